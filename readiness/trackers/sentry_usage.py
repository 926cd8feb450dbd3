"""Reads what Sentry says about quotas, sessions and transactions; a figure it does not tell is None. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from readiness.trackers.base import read_count

ACCEPTED = {"accepted"}
# Not among them: filtered and client_discard, which people have chosen.
DROPPED = {"rate_limited", "invalid", "abuse", "cardinality_limited"}
OUTCOMES_QUERY = {"field": "sum(quantity)", "groupBy": "outcome", "category": "error"}
SESSIONS_QUERY = {"field": ["count_unique(user)", "sum(session)"], "statsPeriod": "24h", "interval": "1d"}
# Newer Sentries keep transactions as spans; older ones know only the first of these.
DURATION_QUERIES = (
    ("avg(span.duration)", {"dataset": "spans", "query": "is_transaction:true"}),
    ("avg(transaction.duration)", {"dataset": "transactions", "query": "event.type:transaction"}),
)


def sum_outcomes(data: Any, outcomes: set[str]) -> int | None:
    """Events that ended in one of ``outcomes``; None when the answer has another form."""
    groups = data.get("groups") if isinstance(data, Mapping) else None
    if not isinstance(groups, list):
        return None
    total = 0
    for group in groups:
        by, totals = (group.get("by"), group.get("totals")) if isinstance(group, Mapping) else (None, None)
        if not isinstance(by, Mapping) or not isinstance(totals, Mapping):
            return None
        if by.get("outcome") in outcomes:
            total += read_count(totals.get("sum(quantity)")) or 0
    return total


def read_session_users(data: Any) -> int | None:
    """Users with a session; None when the application reports no sessions, which is not "nobody came"."""
    groups = data.get("groups") if isinstance(data, Mapping) else None
    totals = groups[0].get("totals") if isinstance(groups, list) and groups and isinstance(groups[0], Mapping) else None
    if not isinstance(totals, Mapping) or not read_count(totals.get("sum(session)")):
        return None
    return read_count(totals.get("count_unique(user)")) or None


def read_mean(data: Any, field: str) -> float | None:
    """Milliseconds; None when there was no transaction."""
    rows = data.get("data") if isinstance(data, Mapping) else None
    row = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], Mapping) else {}
    value = row.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not read_count(row.get("count()")):
        return None
    return float(value) if 0 <= value < 1e12 else None
