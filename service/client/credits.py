"""The frames of one stream that the server has not answered yet. Pure: time comes in as `now_s`."""

from __future__ import annotations


class Credits:
    """How many frames may be sent, and when each unanswered one was. first: the number of the next frame."""

    def __init__(self, granted: int, first: int = 0) -> None:
        self._granted = granted
        self._sent = first
        self._settled = first
        """Every frame below it is answered, skipped, dropped or refused."""
        self._sent_s: dict[int, float] = {}

    @property
    def room(self) -> int:
        """Frames that may be sent now; 0: wait for an answer."""
        return max(self._granted - (self._sent - self._settled), 0)

    @property
    def sent(self) -> int:
        """The number that the next frame gets."""
        return self._sent

    @property
    def unanswered(self) -> range:
        """Numbers of the frames that were sent and not answered."""
        return range(self._settled, self._sent)

    def send(self, now_s: float) -> int:
        """One more frame is on its way; its number."""
        seq = self._sent
        self._sent += 1
        self._sent_s[seq] = now_s
        return seq

    def sent_s(self, seq: int) -> float | None:
        """When a frame was sent, unless later ones are answered already."""
        return self._sent_s.get(seq)

    def settle(self, seq: int, more: bool = False) -> None:
        """Frames up to `seq` are answered. more: other people of frame `seq` may follow, remember when it was sent."""
        for settled in [sent for sent in self._sent_s if sent < seq + (not more)]:
            del self._sent_s[settled]
        self._settled = max(self._settled, min(seq + 1, self._sent))
