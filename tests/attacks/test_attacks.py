"""The dangerous half of the attacks, and that what judges them would notice.

Memory and equality are as strict here as in `make attack`; latency is not, because tests share their machine.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.attacks.__main__ import ATTACKS
from tests.attacks.attack import HANGS, REACHED, SHUT_OUT, Attack, Verdict, launch
from tests.attacks.beside import Seen, judge, solo_run
from tests.attacks.churn import churned
from tests.attacks.fuzz import decoded, flood
from tests.attacks.memory import Memory
from tests.attacks.mutations import mutations, valid
from tests.attacks.server import Log, victim

LOOSE_MS = 1500
SHORT = [attack for attack in ATTACKS if attack.short]
Solo = Mapping[int, NDArray[np.float32]]


@pytest.fixture(scope="module")
def solo(tmp_path_factory: pytest.TempPathFactory) -> Solo:
    return solo_run(tmp_path_factory.mktemp("solo"))


@pytest.mark.parametrize("attack", SHORT, ids=lambda attack: attack.name)
def test_an_attack_stays_within_bounds(attack: Attack, solo: Solo) -> None:
    assert launch(attack, solo).broken(LOOSE_MS) == []


def test_malformed_messages_get_errors_and_the_server_lives_on() -> None:
    with victim() as target:
        got, sent = asyncio.run(flood(target, 3000, seed=7))
        assert target.alive()
        assert "internal" not in target.errors()
    assert sent >= 3000
    assert got["bad_message"] > 1000
    assert got["ready"] > 500
    assert got[HANGS] == 0
    assert target.log.tracebacks + target.log.foreign == []


def test_the_codec_raises_typed_errors_only() -> None:
    got = decoded(itertools.islice(mutations(1), 20_000))
    assert sum(got.values()) == 20_000
    assert {"bad_message", "bad_pose", "bad_image", "bad_time", "PackedPose", "EncodedImage", "Start"} <= set(got)


def test_streams_that_come_and_go_get_the_predictions_of_their_solo_runs() -> None:
    with victim() as target:
        got = asyncio.run(churned(target.stream_url, 100, seed=3))
        assert target.errors() == {}
    assert (got["joins"], got["wrong"], got["missing"]) == (100, 0, 0)
    assert min(got["predictions"] / 1000, got["kill"], got["close"], got["end"], got["reset"]) > 2
    assert target.log.tracebacks == []


# -- that it would be noticed -------------------------------------------------------------------------------------
def test_mutations_start_from_messages_that_are_valid_and_are_the_same_each_time() -> None:
    texts, binary = valid()
    assert set(decoded(iter([*texts, *binary]))) == {"Start", "PackedPose", "Reset", "Flush", "End", "EncodedImage"}
    first, again = (list(itertools.islice(mutations(5), 200)) for _ in "ab")
    assert first == again
    assert len({*first} - {*texts, *binary}) > 150


def found(**changed: Any) -> dict[str, NDArray[Any]]:
    """What a healthy stream of six frames writes, every other one with a result after 10 ms."""
    seq = np.array([0, 2, 4])
    sent_s = np.arange(6) / 30
    good = {
        "seq": seq,
        "probabilities": np.full((3, 2), 0.5, np.float32),
        "sent_s": sent_s,
        "answered_s": sent_s[seq] + 0.01,
        "failure": np.array(""),
    }
    return good | changed


RIGHT = {seq: np.full(2, 0.5, np.float32) for seq in (0, 2, 4, 6)}


def judged(**changed: Any) -> Seen:
    seen = Seen(between_s=(0.0, 0.2))
    judge(seen, found(**changed), RIGHT)
    return seen


def test_what_a_healthy_stream_saw_is_judged_by_its_solo_run() -> None:
    fine = judged()
    assert (fine.predictions, fine.wrong, fine.failure) == (3, 0, "")
    assert fine.p99_ms == pytest.approx(10, abs=0.1)
    assert fine.silence_ms == pytest.approx(66.7, abs=0.1)


def test_a_bit_that_differs_and_a_prediction_that_did_not_come_are_wrong() -> None:
    other = np.full((3, 2), 0.5, np.float32)
    other[1, 1] = np.nextafter(np.float32(0.5), np.float32(1))
    assert judged(probabilities=other).wrong == 1
    gone = {"seq": np.array([0, 2]), "probabilities": other[:1].repeat(2, 0), "answered_s": np.array([0.01, 0.08])}
    assert judged(**gone).wrong == 1


def test_late_answers_and_a_stream_that_falls_silent_are_seen() -> None:
    assert judged(answered_s=np.array([0.01, 0.9, 0.9])).p99_ms > 800
    assert judged(answered_s=np.array([0.01, 0.9, 0.9])).silence_ms == pytest.approx(890)


GOOD: dict[str, Any] = {
    "name": "none", "peak_mib": 300.0, "seen": Seen(predictions=50, p99_ms=20.0), "got": Counter(["413 too_large"]),
    "internal": 0, "tracebacks": 0, "foreign_lines": 0, "killed": False, "alive": True, "seconds": 1.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"peak_mib": 601.0}, "peak 601 MB"),
        ({"killed": True}, "killed"),
        ({"alive": False}, "not ready afterwards"),
        ({"internal": 2}, "2 internal"),
        ({"tracebacks": 1}, "1 tracebacks"),
        ({"foreign_lines": 1}, "1 foreign log lines"),
        ({"seen": Seen(wrong=1)}, "1 wrong"),
        ({"seen": Seen(failure="gone")}, "stream lost (gone)"),
        ({"seen": Seen(p99_ms=251.0)}, "p99 251 ms"),
        ({"got": Counter([HANGS])}, f"{HANGS} x 1"),
        ({"got": Counter([f"{SHUT_OUT}: 503"])}, f"{SHUT_OUT}: 503 x 1"),
        ({"got": Counter([REACHED])}, f"{REACHED} x 1"),
        ({"got": Counter(["500 internal"])}, "500 internal x 1"),
    ],
)
def test_a_bound_that_does_not_hold_is_named(wrong: dict[str, Any], said: str) -> None:
    assert Verdict(**GOOD).broken() == []
    assert Verdict(**GOOD | wrong).broken() == [said]


def test_a_process_is_killed_where_its_container_would_kill_it_and_its_children_count() -> None:
    hungry = "import subprocess, sys, time; held = bytearray(b'x') * 80_000_000; "
    child = f"{hungry} print('full', flush=True); time.sleep(60)"
    parent = f"{hungry} subprocess.Popen([sys.executable, '-c', {child!r}]).wait()"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    with Memory(process.pid, limit_mib=1000) as memory:
        while not memory.peak_mib:
            pass
        assert not memory.killed
    assert 150 < memory.peak_mib < 300
    with Memory(process.pid, limit_mib=150) as memory:
        process.wait(30)
    assert memory.killed
    process.stdout.close()


def test_lines_of_others_and_raw_escapes_in_a_log_are_found() -> None:
    log = Log(['{"message": "fine"}', "Corrupt JPEG data", '{"exception": "Traceback (most recent call last)…"}'])
    assert log.foreign == ["Corrupt JPEG data"]
    assert len(log.tracebacks) == 1
    plain = Log(["12:00 info x: \x1b[2J", "12:00 info x: \\x1b[2J"], form="plain")
    assert (plain.foreign, plain.raw_escapes) == ([], plain.lines[:1])
