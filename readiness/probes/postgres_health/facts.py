"""What was read from a database, and how its values are taken: whatever a server sends, a judge gets a number or text.

Pure. Rows are untrusted: a column may be missing, null or of another type, and nothing here raises for it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from readiness.probes.base import Status, Target, worst_status
from readiness.probes.postgres_health.thresholds import Thresholds, read_thresholds

Row = Mapping[str, Any]
MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class PostgresObservation:
    """What one connection showed; `failure_reason` is set, and nothing else, when there was none.

    `rows` holds the rows of each query by its name, `unread` one sentence for each query that could not be read.
    """

    engine: str = "postgresql"
    failure_reason: str | None = None
    failure_text: str = ""
    failure_fix: str = ""
    local: bool = False
    tls: bool = False
    pooler_between: bool = False
    connect_ms: float = 0.0
    round_trip_ms: float = 0.0
    clock_skew_seconds: float | None = None
    overview: Row | None = None
    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Examination:
    """All that a judge may look at: what was seen, of which target, against which thresholds, and when."""

    seen: PostgresObservation
    target: Target
    now: datetime

    @cached_property
    def thresholds(self) -> Thresholds:
        return read_thresholds(self.target.thresholds)

    @property
    def overview(self) -> Row:
        return self.seen.overview or {}

    @property
    def major(self) -> int:
        return int(number(self.overview, "version_num") or 0) // 10_000

    @property
    def sees_all_sessions(self) -> bool:
        return self.overview.get("sees_all_sessions") is True

    @property
    def grant_monitor(self) -> str:
        """What lets the probe see sessions and settings of others."""
        return f"GRANT pg_monitor TO {text(self.overview, 'role_quoted') or 'the role of the probe'};"

    @property
    def grant_read(self) -> str:
        """What lets the probe read column statistics and sequences."""
        role = text(self.overview, "role_quoted") or "the role of the probe"
        if self.major >= 14:
            return f"GRANT pg_read_all_data TO {role};"
        return f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}; and the same for SEQUENCES."

    def rows(self, query: str) -> Sequence[Row]:
        """The rows of a query; none when it was not read."""
        return self.seen.rows.get(query, ())

    def row(self, query: str) -> Row:
        """The only row of a query; an empty one when it was not read."""
        return next(iter(self.rows(query)), {})


def number(row: Row, name: str) -> float | None:
    """Return a column as a finite number, or None."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        converted = float(value)
    except (OverflowError, ValueError):
        return None
    return converted if math.isfinite(converted) else None


def count(row: Row, name: str) -> int:
    """Return a column as a whole number from 0; 0 when it is none."""
    return max(0, int(number(row, name) or 0))


def text(row: Row, name: str) -> str:
    """Return a column as text of at most 500 characters; "" for null."""
    value = row.get(name)
    return "" if value is None else str(value)[:MAX_TEXT]


def worst_of(first: Status, *others: Status) -> Status:
    """Return the worst of at least one status."""
    return worst_status((first, *others))


def rounded(value: float | None, digits: int = 1) -> float | None:
    """Return a number as `data` shows it."""
    return None if value is None or not math.isfinite(value) else round(value, digits)


def format_bytes(value: float | None) -> str:
    """Return bytes as people say them: 512 B, 9.5 MB, 3.0 GB."""
    if value is None:
        return "an unknown size"
    for unit, size in (("TB", 2**40), ("GB", 2**30), ("MB", 2**20), ("kB", 2**10)):
        if abs(value) >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} B"


def format_seconds(value: float | None) -> str:
    """Return seconds as people say them: 4 s, 12 min, 3 h, 5 d."""
    if value is None:
        return "an unknown time"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if abs(value) >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.0f} s" if abs(value) >= 10 else f"{value:.1f} s"


def plural(amount: float, one: str, many: str) -> str:
    """Return "1 index" or "3 indexes"."""
    return f"1 {one}" if amount == 1 else f"{amount:,.0f} {many}"
