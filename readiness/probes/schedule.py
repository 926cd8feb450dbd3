"""When a probe runs next and when its last word is out of date; pure."""

from __future__ import annotations

from datetime import datetime, timedelta

STALE_AFTER_INTERVALS = 2


def next_run_at(previous: datetime, interval_seconds: int, now: datetime) -> datetime:
    """The first moment after ``now`` on the grid that ``previous`` started, so that late ticks do not drift."""
    interval = timedelta(seconds=interval_seconds)
    # Negative when the grid goes on later than now, because somebody probed in between: that moves nothing.
    missed = (now - previous) // interval
    return previous + interval * (missed + 1)


def is_stale(observed_at: datetime, interval_seconds: int, now: datetime) -> bool:
    """Whether a result is older than twice its interval, and so says nothing about now."""
    return now - observed_at > timedelta(seconds=interval_seconds * STALE_AFTER_INTERVALS)
