"""Whether a moment lies in a maintenance window; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim


@dataclass(frozen=True, slots=True)
class Window:
    """One window: ``environment_id`` None and ``kind`` empty stand for all. Either ``starts_at`` or ``cron`` is set."""

    environment_id: int | None
    kind: str
    starts_at: datetime | None
    cron: str
    time_zone: str
    duration_minutes: int


def is_covered(windows: Iterable[Window], environment_id: int, kind: str, at: datetime) -> bool:
    """Whether any of ``windows`` covers that kind of that environment at that moment."""
    return any(
        covers(window, at)
        for window in windows
        if window.environment_id in {None, environment_id} and window.kind in {"", kind}
    )


def covers(window: Window, at: datetime) -> bool:
    """Whether the window is open at ``at``, its first moment included and its last excluded."""
    duration = timedelta(minutes=window.duration_minutes)
    if window.starts_at is not None:
        return window.starts_at <= at < window.starts_at + duration
    # The first start after a moment that lies just too far back: if it is not after ``at``, the window is open.
    local = (at - duration).astimezone(ZoneInfo(window.time_zone))
    try:
        return next(CronSim(window.cron, local)) <= at
    except StopIteration:
        return False


def next_start(window: Window, at: datetime) -> datetime | None:
    """When the window opens next after ``at``; None when it never will again."""
    if window.starts_at is not None:
        return window.starts_at if window.starts_at > at else None
    return next(CronSim(window.cron, at.astimezone(ZoneInfo(window.time_zone))), None)
