"""What a client may call a person: its track. Pure."""

from __future__ import annotations

from collections.abc import Sequence

TrackId = int | str
"""A whole number from 0 to 2**64 - 1, or a text; `UNTRACKED`. Given back as it came."""
UNTRACKED = -1
"""A person without a track: the client sent -1, null or nothing."""
MAX_TRACK = 2**64
MAX_TRACK_TEXT = 64
"""Characters."""


def read_track(value: object) -> TrackId:
    """The track that a client's JSON gives a person. Raises ValueError with a sentence."""
    if value is None:
        return UNTRACKED
    if type(value) is int and UNTRACKED <= value < MAX_TRACK:
        return value
    if type(value) is str and 0 < len(value) <= MAX_TRACK_TEXT:
        return value
    if type(value) is float and value.is_integer() and UNTRACKED <= value < 2**53:
        return int(value)
    raise ValueError(
        f"a track is a whole number from 0 to 2**64 - 1, a text of 1 to {MAX_TRACK_TEXT} characters, "
        f"or -1 or null for a person who is not tracked; not {_shown(value)}"
    )


def clashing(tracks: Sequence[TrackId]) -> list[int]:
    """Indices of people without a track where there are several in one frame: nobody can say who is who."""
    if tracks.count(UNTRACKED) < 2:
        return []
    return [index for index, track in enumerate(tracks) if track == UNTRACKED]


CLASHING = "only one person of a frame may be without a track; give each of them a number or a text"


def _shown(value: object) -> str:
    if type(value) is int and abs(value) > 2**66:
        return "a longer number"
    return ascii(value)[:80] if isinstance(value, str | int | float) else type(value).__name__
