"""What a healthy stream saw beside an attack, measured against its solo run."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.attacks.healthy import FRAMES, PATIENCE_S
from tests.attacks.server import AttackFailed, Victim, victim


@dataclass(slots=True)
class Seen:
    """wrong: predictions that differ from the solo run in any bit, or did not come. Times while the attack ran."""

    predictions: int = 0
    wrong: int = 0
    p99_ms: float = 0.0
    silence_ms: float = 0.0
    failure: str = ""
    between_s: tuple[float, float] = field(default=(0.0, 0.0))


def solo_run(directory: Path) -> Mapping[int, NDArray[np.float32]]:
    """Probabilities by frame, of a server that has nothing else to do."""
    out = directory / "solo.npz"
    with victim() as target:
        command = [*_command(target, out), "--hz", "0", "--frames", str(FRAMES)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=100)
    with np.load(out) as found:
        if found["failure"]:
            raise AttackFailed(f"the solo run failed: {found['failure']}")
        return dict(zip(found["seq"].tolist(), found["probabilities"], strict=True))


@contextlib.contextmanager
def beside(target: Victim, solo: Mapping[int, NDArray[np.float32]]) -> Iterator[Seen]:
    """A healthy stream for as long as the block lasts. What it yields is filled in when the block is left."""
    seen = Seen()
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "healthy.npz"
        process = subprocess.Popen(_command(target, out), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline().strip() != "streaming":
                raise AttackFailed("the healthy stream did not get under way")
            began_s = time.monotonic()
            yield seen
            seen.between_s = (began_s, time.monotonic())
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=2 * PATIENCE_S)
            with np.load(out) as found:
                judge(seen, {key: found[key] for key in found}, solo)
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


def judge(seen: Seen, found: Mapping[str, NDArray[Any]], solo: Mapping[int, NDArray[np.float32]]) -> None:
    """Fill in the figures. found: as `tests.attacks.healthy` writes them."""
    begin_s, end_s = seen.between_s
    seen.failure = str(found["failure"])
    got = dict(zip(found["seq"].tolist(), found["probabilities"], strict=True))
    wanted = [seq for seq in solo if seq < len(found["sent_s"])]
    seen.predictions = len(got)
    seen.wrong = sum(seq not in got or not np.array_equal(got[seq], solo[seq]) for seq in wanted)
    answered_s, sent_s = found["answered_s"], found["sent_s"][found["seq"]]
    while_s = (answered_s >= begin_s) & (sent_s <= end_s)
    if while_s.any():
        seen.p99_ms = round(1e3 * float(np.percentile((answered_s - sent_s)[while_s], 99)), 1)
    # A stream that heard nothing more was silent until the end.
    heard_s = [begin_s, *answered_s[while_s].tolist(), max(end_s, float(answered_s[-1]))]
    seen.silence_ms = round(1e3 * float(np.diff(heard_s).max()), 1)


def _command(target: Victim, out: Path) -> list[str]:
    return [sys.executable, "-m", "tests.attacks.healthy", target.stream_url, str(out)]
