"""Puts the judgements of a database together: its findings in order, and the numbers behind them. Pure."""

from typing import Any

from readiness.probes.base import Finding, Status
from readiness.probes.postgres_health import connections, queries, server, size
from readiness.probes.postgres_health.constraints import judge_constraints
from readiness.probes.postgres_health.facts import Examination, count, number, rounded, text
from readiness.probes.postgres_health.indexes import judge_indexes
from readiness.probes.postgres_health.locks import judge_locks
from readiness.probes.postgres_health.replication import judge_replication
from readiness.probes.postgres_health.storage import judge_storage, read_hit_percents

_TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
# Rows with these names count into data["counts"] even where `total` is about something else.
_LISTED = {
    "idle_in_transaction": "idle_in_transaction",
    "active_queries": "active_queries",
    "blocked_sessions": "blocked_sessions",
    "prepared_transactions": "prepared_transactions",
    "dead_tuples": "dead_tuples",
    "stale_statistics": "stale_statistics",
    "table_bloat": "table_bloat",
    "index_bloat": "index_bloat",
    "invalid_index": "invalid_indexes",
    "duplicate_index": "duplicate_indexes",
    "unused_index": "unused_indexes",
    "sequential_scans": "sequential_scans",
    "foreign_key_without_index": "foreign_keys_without_index",
    "unvalidated_constraint": "unvalidated_constraints",
    "disabled_trigger": "disabled_triggers",
    "sequences": "sequences",
    "slow_queries": "slow_queries",
}


def judge_health(case: Examination) -> list[Finding]:
    """Return every finding of a database that answered, in a fixed order. Never raises, whatever was seen."""
    return [
        server.judge_reach(case),
        server.judge_engine(case),
        server.judge_version(case),
        connections.judge_connections(case),
        connections.judge_pooling(case),
        connections.judge_superuser(case),
        server.judge_tls(case),
        server.judge_clock(case),
        server.judge_settings(case),
        *judge_locks(case),
        *judge_storage(case),
        size.judge_size(case),
        *judge_indexes(case),
        *judge_constraints(case),
        queries.judge_slow_queries(case),
        *judge_replication(case),
        server.judge_deadlocks(case),
        server.judge_temp_files(case),
    ]


def describe_health(case: Examination, findings: list[Finding]) -> dict[str, Any]:
    """Return the numbers behind the findings, JSON-ready; what is not known is null."""
    overview = case.overview
    return {
        "engine": case.seen.engine,
        "server_version": text(overview, "version_text"),
        "server_version_num": count(overview, "version_num"),
        "in_recovery": overview.get("in_recovery") is True,
        "uptime_seconds": rounded(number(overview, "uptime_seconds"), 0),
        "statistics_seconds": rounded(number(overview, "stats_age_seconds"), 0),
        "role": text(overview, "role"),
        "sees_all_sessions": case.sees_all_sessions,
        "connect_ms": rounded(case.seen.connect_ms, 2),
        "round_trip_ms": rounded(case.seen.round_trip_ms, 3),
        "clock_skew_seconds": rounded(case.seen.clock_skew_seconds, 3),
        "connections": {
            "used": count(overview, "used_connections"),
            "max": count(overview, "max_connections"),
            "reserved": count(overview, "reserved_connections"),
            "plan": case.target.plan.connections,
        },
        "pooling": connections.describe_pooling(case),
        "application": connections.describe_application(case),
        "plan": {"region": case.target.plan.region},
        "tls": case.seen.tls,
        "tls_version": (text(overview, "tls_version") or None) if case.seen.tls else None,
        "local": case.seen.local,
        "oldest_transaction_seconds": rounded(number(case.row("oldest_transaction"), "age_seconds")),
        "tables": count(overview, "table_count"),
        "foreign_keys": count(overview, "foreign_key_count"),
        "size": size.describe_size(case),
        "largest_tables": [
            {"name": text(row, "name"), "bytes": count(row, "bytes"), "rows": count(row, "estimated_rows")}
            for row in case.rows("largest_tables")
        ],
        "cache_hit_percent": {name: rounded(share, 2) for name, share in read_hit_percents(case).items()},
        "xid_age": max((count(row, "xid_age") for row in case.rows("frozen_databases")), default=None),
        "mxid_age": max((count(row, "mxid_age") for row in case.rows("frozen_databases")), default=None),
        "replication_slots": [
            {
                "slot": text(row, "slot"),
                "active": row.get("active") is True,
                "wal_status": text(row, "wal_status"),
                "kept_bytes": rounded(number(row, "kept_bytes"), 0),
            }
            for row in case.rows("replication_slots")
        ],
        "replica_lag_seconds": rounded(number(case.row("replica"), "lag_seconds")),
        "timeouts_ms": {
            text(row, "name"): number({"value": _as_number(row.get("setting"))}, "value")
            for row in case.rows("settings")
            if text(row, "name") in _TIMEOUTS
        },
        "top_queries": queries.describe_top_queries(case),
        "counters": server.describe_counters(case),
        "counts": _count_findings(case, findings),
        "unread": dict(case.seen.unread),
    }


def _count_findings(case: Examination, findings: list[Finding]) -> dict[str, int]:
    """How many objects each finding is about: all of them, also where the finding names ten."""
    counts = {}
    for finding in findings:
        if finding.status is Status.PASS:
            counts[finding.id] = 0
        elif finding.status is not Status.SKIPPED:
            rows = case.rows(_LISTED.get(finding.id, ""))
            counts[finding.id] = max(1, *(count(row, "total") for row in rows)) if rows else 1
    return counts


def _as_number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None
