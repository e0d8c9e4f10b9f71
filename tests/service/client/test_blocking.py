"""What is peculiar to the blocking client: threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from inkling.client import CallbackError, Client, ClientError, Prediction
from tests.service.client.peer import Peer, listening

BODY = np.ones((17, 3), np.float32)


def test_one_thread_sends_while_another_iterates() -> None:
    heard: list[int] = []
    with listening(Peer(credits=2)) as url, Client(url).stream() as stream:
        reader = threading.Thread(target=lambda: heard.extend(one.seq for one in stream))
        reader.start()
        for _ in range(30):
            stream.send(BODY)
        stream.end()
        reader.join()
    assert heard == list(range(30))


def test_a_callback_may_send_but_not_wait() -> None:
    def answer(about: Prediction) -> None:
        if about.seq < 3:
            stream.send(BODY)
        else:
            list(stream.flush())

    with listening(Peer()) as url:
        stream = Client(url).stream(on_prediction=answer)
        stream.send(BODY)
        with pytest.raises(CallbackError, match="a callback must not wait") as caught:
            list(stream)
        assert isinstance(caught.value.__cause__, ClientError)
        stream.close()


def test_a_stream_may_be_closed_by_its_callback() -> None:
    closed = threading.Event()

    def close(_: Prediction) -> None:
        stream.close()
        closed.set()

    with listening(Peer()) as url:
        stream = Client(url).stream(on_prediction=close)
        stream.send(BODY)
        assert closed.wait(20)
        with pytest.raises(ClientError, match="closed"):
            list(stream)
        stream.close()
