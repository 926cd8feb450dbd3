"""When a new result is a change of status, and what the beat bar keeps of it; pure."""

from __future__ import annotations

from readiness.probes.base import Status

BEATS_KEPT = 90
BEAT_LETTERS = {Status.PASS: "p", Status.WARN: "w", Status.FAIL: "f", Status.ERROR: "e", Status.SKIPPED: "n"}


def is_change(previous: str | None, current: str) -> bool:
    """Whether ``current`` differs from the status before it; the first result of all is a change from nothing."""
    return previous != current


def append_beat(beats: str, status: str) -> str:
    """The beat bar with one letter more, the oldest dropped beyond BEATS_KEPT."""
    return (beats + BEAT_LETTERS[Status(status)])[-BEATS_KEPT:]
