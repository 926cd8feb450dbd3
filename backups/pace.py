"""How fast a phase goes and how long it still takes, from what was seen at what time; pure."""

from __future__ import annotations

from collections import deque

SAMPLES_KEPT = 10


class Pace:
    """Of one phase. Times are seconds of a clock that only goes forward; harmless from any thread."""

    def __init__(self) -> None:
        self._bytes: int | None = None
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES_KEPT)
        self._first: tuple[float, int] | None = None

    def see_bytes(self, count: int) -> None:
        """So many bytes have passed since the phase began."""
        self._bytes = count

    def describe(self, now: float, percent: int | None) -> dict[str, int]:
        """{"bytes", "bytes_per_second", "seconds_left"}, each only where it is known; called about once a second."""
        described: dict[str, int] = {}
        if self._bytes is not None:
            described["bytes"] = self._bytes
            self._samples.append((now, self._bytes))
            at, count = self._samples[0]
            if now > at:
                described["bytes_per_second"] = max(0, round((self._bytes - count) / (now - at)))
        if percent is not None:
            if self._first is None:
                self._first = (now, percent)
            at, begun = self._first
            # The first percent seen may stand for much or for nothing: only what was gained since can be measured.
            if percent > begun and now > at:
                described["seconds_left"] = round((now - at) * (100 - percent) / (percent - begun))
        return described
