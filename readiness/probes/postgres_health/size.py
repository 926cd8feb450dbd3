"""Judges how much is stored, against the plan and at the pace of what was stored before. Pure."""

import math
import statistics
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from readiness.probes.base import Finding, Status
from readiness.probes.postgres_health.facts import Examination, count, format_bytes, number, rounded, text, worst_of
from readiness.probes.postgres_health.listing import make_unread
from readiness.probes.postgres_health.thresholds import grade

SHORTEST_HISTORY = timedelta(hours=12)
LONGEST_FORECAST_DAYS = 3_650.0
_MAX_POINTS = 60
_DAY_SECONDS = 86_400.0


def find_growth(history: Sequence[tuple[datetime, float]], now: datetime) -> float | None:
    """Return by how many bytes a day it grows (shrinks: below 0); None when the history spans less than half a day.

    `history` is (when, bytes) in any order, aware times; what lies after `now` is left out. The median of the slopes
    between all pairs (Theil-Sen), so that one clean-up or one import does not decide.
    """
    points = _sort_history(history, now)
    if not points or points[-1][0] - points[0][0] < SHORTEST_HISTORY:
        return None
    step = max(1, math.ceil(len(points) / _MAX_POINTS))
    kept = [*points[:-1:step], points[-1]]
    return statistics.median(
        (later - earlier) / ((later_at - earlier_at).total_seconds() / _DAY_SECONDS)
        for position, (earlier_at, earlier) in enumerate(kept)
        for later_at, later in kept[position + 1 :]
        if later_at > earlier_at
    )


def forecast_full(history: Sequence[tuple[datetime, float]], limit_bytes: float, now: datetime) -> float | None:
    """Return in how many days from `now` a limit is reached at the usual growth, 0 when it is reached.

    None when that cannot be said (see `find_growth`), when nothing grows, or when it takes more than ten years.
    """
    points = _sort_history(history, now)
    if points and points[-1][1] >= limit_bytes:
        return 0.0
    growth = find_growth(history, now)
    if not points or growth is None or growth <= 0:
        return None
    latest_at, latest = points[-1]
    days = (limit_bytes - latest) / growth - (now - latest_at).total_seconds() / _DAY_SECONDS
    return None if days > LONGEST_FORECAST_DAYS else max(0.0, days)


def _sort_history(history: Sequence[tuple[datetime, float]], now: datetime) -> list[tuple[datetime, float]]:
    return sorted((at, float(size)) for at, size in history if math.isfinite(size) and at <= now)


def judge_size(case: Examination) -> Finding:
    if "size" in case.seen.unread:
        return make_unread(case, "size", "size")
    size, limits = describe_size(case), case.thresholds
    growth = size["bytes_per_day"]
    pace = f", {format_bytes(growth)} more every day" if growth is not None and growth > 0 else ""
    summary = f"The database takes {format_bytes(size['database_bytes'])}{pace}."
    largest = [
        f"{text(row, 'name')}: {format_bytes(number(row, 'bytes'))}"
        for row in case.rows("largest_tables")
        if count(row, "bytes")
    ]
    if size["used_percent"] is None:
        return Finding("size", Status.PASS, summary, "\n".join(largest))
    status = grade(size["used_percent"], limits.storage_warn_percent, limits.storage_fail_percent)
    summary = (
        f"{format_bytes(size['used_bytes'])} of the plan's {format_bytes(size['limit_bytes'])} are used "
        f"({size['used_percent']:.0f} %)"
    )
    days = size["days_until_full"]
    if days is not None:
        summary += f", full in about {days:.0f} days"
        # The fewer the worse: the negative puts it in order.
        soon = grade(-days, -limits.storage_full_warn_days, -limits.storage_full_fail_days)
        status = worst_of(status, soon)
    fix = "Delete or archive what nobody needs, or order more storage before it is full: a full disk stops the server."
    return Finding("size", status, f"{summary}.", "\n".join(largest), fix)


def describe_size(case: Examination) -> dict[str, Any]:
    """Return `data["size"]`; `used_bytes` is what later targets are given as `size_history`.

    {"database_bytes", "server_bytes", "used_bytes", "limit_bytes", "used_percent", "bytes_per_day", "days_until_full"}:
    used is the whole server where the role may ask for it, since a plan counts all of its databases.
    """
    row, limit = case.row("size"), case.target.plan.storage_bytes
    database, server = number(row, "database_bytes"), number(row, "server_bytes")
    used = server if server is not None else database
    history = [*case.target.size_history, *([(case.now, used)] if used is not None else [])]
    percent = days = None
    if limit is not None and limit > 0 and used is not None:
        percent = 100.0 * used / limit
        days = forecast_full(history, limit, case.now)
    return {
        "database_bytes": None if database is None else int(database),
        "server_bytes": None if server is None else int(server),
        "used_bytes": None if used is None else int(used),
        "limit_bytes": limit,
        "used_percent": None if percent is None else round(percent, 1),
        "bytes_per_day": rounded(find_growth(history, case.now), 0),
        "days_until_full": None if days is None else round(days, 1),
    }
