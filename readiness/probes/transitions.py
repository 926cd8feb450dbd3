"""When results change a confirmed status, and what the beat bar keeps of them; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from readiness.probes.base import Status

BEATS_KEPT = 90
BEAT_LETTERS: Mapping[str, str] = {
    Status.PASS: "p",
    Status.WARN: "w",
    Status.FAIL: "f",
    Status.ERROR: "e",
    Status.SKIPPED: "n",
}
_GOOD = {Status.PASS, Status.WARN}


@dataclass(frozen=True, slots=True)
class Patience:
    """How many bad results in a row change a good status, and how many good ones change it back."""

    failures_before_down: int = 1
    successes_before_up: int = 1


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The status that counts, and the change that waits: ``pending_count`` results in a row speak for it."""

    status: str
    pending_status: str = ""
    pending_count: int = 0

    @property
    def is_pending(self) -> bool:
        """Whether the newest result contradicts the status that counts."""
        return self.pending_count > 0


def confirm(previous: Confirmed | None, observed: str, patience: Patience) -> Confirmed:
    """What counts after one more result.

    The first result of all counts at once, and so does one on the same side (pass to warn, fail to error): patience
    is only for crossing from good to bad and back.
    """
    if previous is None or _is_good(previous.status) == _is_good(observed):
        return Confirmed(observed)
    needed = patience.successes_before_up if _is_good(observed) else patience.failures_before_down
    count = previous.pending_count + 1
    return Confirmed(observed) if count >= needed else Confirmed(previous.status, observed, count)


def is_change(previous: str | None, current: str) -> bool:
    """Whether ``current`` differs from the status before it; the first result of all is a change from nothing."""
    return previous != current


def append_beat(beats: str, status: str) -> str:
    """The beat bar with one letter more, the oldest dropped beyond BEATS_KEPT."""
    return (beats + BEAT_LETTERS[status])[-BEATS_KEPT:]


def _is_good(status: str) -> bool:
    return status in _GOOD
