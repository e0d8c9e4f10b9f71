"""The clock of paper A: a clip is so many levels long, however many seconds it takes.

For experiments only: in a stream nobody knows when an action will be over, so no bundle can have this clock.
"""

from __future__ import annotations


def progress_frames(frames: int, levels: int) -> list[int]:
    """Index of the frame that each level of a clip sees: level n, counted from 1, that at ceil(frames n / levels).

    It is the level's last frame: nothing is seen before it was observed, and the last level sees the end of the clip.
    A clip of fewer frames than levels shows some of them twice.
    """
    if frames < 1 or levels < 1:
        raise ValueError(f"a clip has at least one frame and one level, not {frames} and {levels}")
    return [-(-frames * level // levels) - 1 for level in range(1, levels + 1)]
