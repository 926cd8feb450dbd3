"""How time between results is accounted, hour by hour, and what share of it was up; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from readiness.probes.base import ErrorReason, Status

# A result speaks for the time up to the next one, but for no longer than twice its interval.
VALID_INTERVALS = 2
_HOUR_SECONDS = 3600
_DOWN_REASONS = {ErrorReason.REFUSED, ErrorReason.TIMEOUT, ErrorReason.UNREACHABLE}


class Standing(StrEnum):
    """What a stretch of time counts as."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Seconds of one standing within one ``hour``: whole hours since 1970 began, UTC."""

    hour: int
    standing: Standing
    seconds: float


@dataclass(slots=True)
class HourAccount:
    """How one kind on one environment did within one ``hour`` (whole hours since 1970 began, UTC)."""

    hour: int
    up: float = 0.0
    down: float = 0.0
    maintenance: float = 0.0
    runs: int = 0
    duration_ms_sum: int = 0
    duration_ms_max: int = 0

    @property
    def starts_at(self) -> datetime:
        return datetime.fromtimestamp(self.hour * _HOUR_SECONDS, UTC)

    def add(self, stretch: Stretch) -> None:
        if stretch.standing is Standing.UP:
            self.up += stretch.seconds
        elif stretch.standing is Standing.DOWN:
            self.down += stretch.seconds
        elif stretch.standing is Standing.MAINTENANCE:
            self.maintenance += stretch.seconds

    def count(self, duration_ms: int) -> None:
        self.runs += 1
        self.duration_ms_sum += duration_ms
        if duration_ms > self.duration_ms_max:
            self.duration_ms_max = duration_ms

    def as_json_object(self) -> dict[str, Any]:
        # Spelled out: dataclasses.asdict copies deeply, which took a tenth of the time of storing.
        return {
            "hour": self.hour,
            "up": self.up,
            "down": self.down,
            "maintenance": self.maintenance,
            "runs": self.runs,
            "duration_ms_sum": self.duration_ms_sum,
            "duration_ms_max": self.duration_ms_max,
        }


def find_hour(at: datetime) -> int:
    """The hour that ``at`` lies in: whole hours since 1970 began, UTC."""
    return int(at.timestamp() // _HOUR_SECONDS)


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
    at = start.timestamp()
    last = min(end.timestamp(), at + interval_seconds * VALID_INTERVALS)
    while at < last:
        hour = int(at // _HOUR_SECONDS)
        stop = min(last, float((hour + 1) * _HOUR_SECONDS))
        yield Stretch(hour, standing, stop - at)
        at = stop


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
