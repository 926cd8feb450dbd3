"""How time between results is accounted, and what share of it was up; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from readiness.probes.base import ErrorReason, Status

# A result speaks for the time up to the next one, but for no longer than twice its interval.
VALID_INTERVALS = 2
_DOWN_REASONS = {ErrorReason.REFUSED, ErrorReason.TIMEOUT, ErrorReason.UNREACHABLE}


class Standing(StrEnum):
    """What a stretch of time counts as."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Seconds of one standing within one hour, which starts at ``hour`` (UTC)."""

    hour: datetime
    standing: Standing
    seconds: float


def stand(status: str, reason: str, *, in_maintenance: bool) -> Standing:
    """What the time after a result counts as.

    For users a target that refuses, hangs or cannot be reached is down, though the probe could not tell why.
    """
    if in_maintenance:
        return Standing.MAINTENANCE
    if status in {Status.PASS, Status.WARN}:
        return Standing.UP
    if status == Status.FAIL or reason in _DOWN_REASONS:
        return Standing.DOWN
    return Standing.UNKNOWN


def account(start: datetime, end: datetime, standing: Standing, interval_seconds: int) -> Iterator[Stretch]:
    """The stretches, hour by hour, that a result of ``start`` speaks for until the next one at ``end``.

    What lies beyond VALID_INTERVALS is nobody's: it is not accounted at all, and so unknown.
    """
    if standing is Standing.UNKNOWN:
        return
    end = min(end, start + timedelta(seconds=interval_seconds * VALID_INTERVALS))
    while start < end:
        hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        stop = min(end, hour + timedelta(hours=1))
        yield Stretch(hour, standing, (stop - start).total_seconds())
        start = stop


@dataclass(frozen=True, slots=True)
class Uptime:
    """Seconds of a period. ``share`` is of the time that is known and was not maintenance; None when that is none."""

    up_seconds: float
    down_seconds: float
    maintenance_seconds: float
    total_seconds: float

    @property
    def share(self) -> float | None:
        known = self.up_seconds + self.down_seconds
        return self.up_seconds / known if known else None

    @property
    def unknown_seconds(self) -> float:
        return max(0.0, self.total_seconds - self.up_seconds - self.down_seconds - self.maintenance_seconds)


def add_up(rows: Iterable[tuple[float, float, float]], total_seconds: float) -> Uptime:
    """Adds (up, down, maintenance) seconds of a period that is ``total_seconds`` long."""
    up = down = maintenance = 0.0
    for row in rows:
        up, down, maintenance = up + row[0], down + row[1], maintenance + row[2]
    return Uptime(up, down, maintenance, total_seconds)
