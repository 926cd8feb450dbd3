"""How many items were open on each day, and when none will be at that pace; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil

# The pace is that of the last days: what was slow a month ago says little about next week.
PACE_DAYS = 14


@dataclass(frozen=True)
class Point:
    """How many items that weigh in the verdict were open at the end of a day."""

    day: date
    open_count: int


@dataclass(frozen=True)
class Forecast:
    """When nothing will be open: ``done_on`` is None when the pace leads nowhere, ``sentence`` says so in words.

    ``per_day`` is how many items got settled a day, less those that came back; ``days_late`` counts from the target.
    """

    done_on: date | None
    per_day: float
    sentence: str
    days_late: int = 0

    @property
    def is_late(self) -> bool:
        return self.days_late > 0


def make_forecast(points: Sequence[Point], today: date, target: date | None) -> Forecast:
    """Goes on from the last point at the pace of the last PACE_DAYS days. ``points`` come oldest first."""
    if not points:
        return Forecast(None, 0.0, "Nothing is recorded yet.")
    now = points[-1]
    if not now.open_count:
        return Forecast(now.day, 0.0, "Nothing is open.")
    oldest = now.day - timedelta(days=PACE_DAYS)
    # The newest point before the window opens stands for the day on which it opens: nothing changed in between.
    before = [point for point in points if point.day <= oldest]
    first = Point(oldest, before[-1].open_count) if before else points[0]
    days = (now.day - first.day).days
    if not days:
        return Forecast(None, 0.0, "A forecast needs two days.")
    per_day = (first.open_count - now.open_count) / days
    if per_day <= 0:
        word = "day" if days == 1 else f"{days} days"
        return Forecast(None, per_day, f"No end in sight: no fewer are open than {word} ago.")
    done_on = today + timedelta(days=ceil(now.open_count / per_day))
    pace = f"{per_day:.1f} a day"
    if target is None:
        return Forecast(done_on, per_day, f"At {pace}, nothing is open on {done_on:%-d %B %Y}.")
    late = (done_on - target).days
    if late <= 0:
        return Forecast(done_on, per_day, f"At {pace}, nothing is open on {done_on:%-d %B %Y}, in time.")
    days_word = "day" if late == 1 else "days"
    return Forecast(
        done_on, per_day, f"At {pace}, nothing is open on {done_on:%-d %B %Y}, {late} {days_word} late.", late
    )
