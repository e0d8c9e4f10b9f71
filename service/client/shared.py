"""What an open stream of either client is: its properties, and how its state is made."""

from __future__ import annotations

import random
from collections.abc import Callable

from inkling.service.client.errors import BadArgument, ClientError, RemoteError
from inkling.service.client.reconnect import Backoff, Reconnect, Reconnection
from inkling.service.client.stream_state import Callbacks, ClientStream
from inkling.service.client.target import Options, Target, start_message
from inkling.service.protocol.codec import (
    DecisionMessage,
    Event,
    PeopleMessage,
    PeopleSkeleton,
    Prediction,
    Ready,
    Summary,
)


def new_stream(
    target: Target,
    bundle: str,
    options: Options,
    *,
    on_prediction: Callable[[Prediction], None] | None,
    on_event: Callable[[Event], None] | None,
    on_decision: Callable[[DecisionMessage], None] | None,
    on_people: Callable[[PeopleMessage], None] | None,
    on_error: Callable[[RemoteError], None] | None,
    on_reconnect: Callable[[Reconnection], None] | None,
    reconnect: bool | Reconnect,
    keep_alive_s: float | None,
) -> ClientStream:
    """The state of a stream with a client's arguments. Raises BadArgument."""
    if keep_alive_s is not None and not keep_alive_s > 0:
        raise BadArgument(f"keep_alive_s must be positive, not {keep_alive_s}")
    limits = Reconnect() if reconnect is True else reconnect
    start = start_message(bundle, options).model_copy(update={"people": on_people is not None})
    return ClientStream(
        start,
        Callbacks(on_prediction, on_event, on_decision, on_people, on_error, on_reconnect),
        timeout_s=target.timeout_s,
        keep_alive_s=keep_alive_s,
        backoff=Backoff(limits, random.random) if limits else None,
    )


class OpenStream:
    """What both kinds of stream say of themselves."""

    _state: ClientStream

    @property
    def ready(self) -> Ready:
        """The server's admission: stream id, bundle, version, labels, rate_hz, credits; the latest, if there were more.

        Raises ClientError before there is one.
        """
        if self._state.ready is None:
            raise ClientError("the stream is not open yet: use it in a `with` block, or await it")
        return self._state.ready

    @property
    def labels(self) -> tuple[str, ...]:
        """What `probabilities` are of."""
        return self.ready.labels

    @property
    def skeleton(self) -> PeopleSkeleton | None:
        """What the keypoints of `on_people` are, with the names and bones to draw them; None without `on_people`."""
        return self.ready.skeleton

    @property
    def lead_s(self) -> float:
        """For how many seconds after a frame its prediction is; 0 where predictions are of the moment."""
        return self.ready.lead_s or 0.0

    @property
    def summary(self) -> Summary | None:
        """The server's account of the stream, once it has ended."""
        return self._state.summary

    @property
    def latency_s(self) -> float | None:
        """From sending a frame to the arrival of its prediction, of the latest prediction."""
        return self._state.latency_s

    @property
    def room(self) -> int:
        """Frames that can be sent now without waiting; a live source drops its frame when there is none.

        Raises what ended the stream, if something did.
        """
        self._state.check()
        return self._state.room

    @property
    def connected(self) -> bool:
        """Whether the connection stands; False after the end, and while a lost stream is opened again."""
        return self._state.connected_now

    @property
    def reconnections(self) -> int:
        """How often the stream was opened again."""
        return self._state.reconnections
