"""What figures on few validation clips are worth, in a sentence."""

from __future__ import annotations

import math

FEW_CLIPS = 30
"""Fewer validation clips than this are warned of."""
Z_95 = 1.96


def few_clips_warning(share: float, clips: int, folds: int = 0) -> str:
    """A warning where there are fewer than `FEW_CLIPS` validation clips, else an empty text.

    share: the AUC on these clips, in [0, 1]. folds: of a recipe that validates in folds already, else 0.
    """
    if clips >= FEW_CLIPS:
        return ""
    low, high = wilson_interval(share, clips)
    worth = (
        f"Only {clips} validation clips: an AUC of {100 * share:.0f} on them means somewhere between {100 * low:.0f} "
        f"and {100 * high:.0f} (95 % interval), and the calibration and the promises rest on the same few clips."
    )
    if folds:
        return f"{worth} More clips are what helps."
    return (
        f"{worth} To validate on all training clips instead, fit in folds, into another run: "
        "--set validation.share=0 --set validation.folds=5 --set validation.select=last"
    )


def wilson_interval(share: float, clips: int) -> tuple[float, float]:
    """The 95 % interval of a share of so many independent clips (Wilson, 1927)."""
    if clips < 1:
        return 0.0, 1.0
    spread = Z_95**2 / clips
    centre = (share + spread / 2) / (1 + spread)
    half = Z_95 / (1 + spread) * math.sqrt(share * (1 - share) / clips + spread / (4 * clips))
    return max(0.0, centre - half), min(1.0, centre + half)
