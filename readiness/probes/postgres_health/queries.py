"""Judges slow statements by what pg_stat_statements counted. Pure."""

from typing import Any

from readiness.probes.base import Finding, Status
from readiness.probes.postgres_health.facts import Examination, Row, count, number, plural, rounded, text
from readiness.probes.postgres_health.listing import Listing, judge_listing
from readiness.probes.postgres_health.statement_text import mask_statement
from readiness.probes.postgres_health.thresholds import Thresholds, grade

TOP = 10


def _grade_statement(row: Row, limits: Thresholds) -> Status:
    calls, mean = number(row, "calls") or 0, number(row, "mean_ms") or 0
    if calls < limits.slow_query_calls:
        return Status.PASS
    return grade(mean / 1000, limits.slow_query_warn_seconds, limits.slow_query_fail_seconds)


def _describe_statement(row: Row) -> str:
    mean, share = (number(row, "mean_ms") or 0) / 1000, number(row, "share_percent") or 0
    calls = plural(count(row, "calls"), "call", "calls")
    return f"{_show(row)} ({calls}, mean {mean:.2f} s, {share:.0f} % of all time)"


def _show(row: Row) -> str:
    value = row.get("text")
    return mask_statement(value) if isinstance(value, str) else ""


_SLOW = Listing(
    id="slow_queries",
    query="slow_queries",
    clean="No statement that is called often is slow.",
    headline=lambda total: f"{plural(total, 'statement is', 'statements are')} slow",
    describe=_describe_statement,
    statement=lambda row: "",
    grade=_grade_statement,
    advice=(
        "EXPLAIN (ANALYZE, BUFFERS) it with real values; add an index, or read less. Then count anew:\n"
        "SELECT pg_stat_statements_reset();"
    ),
)


def judge_slow_queries(case: Examination) -> Finding:
    """Skipped, with what to install or grant, unless pg_stat_statements is there and shows everyone's statements."""
    version = text(case.overview, "statements_version")
    if not version:
        fix = (
            "Add pg_stat_statements to shared_preload_libraries, restart the server; then, in this database:\n"
            "CREATE EXTENSION pg_stat_statements;"
        )
        return _skip("The extension pg_stat_statements is not installed in this database.", fix)
    if not case.sees_all_sessions:
        return _skip("The role may not see the statements of others.", case.grant_monitor)
    if "slow_queries" in case.seen.unread:
        fix = "Add pg_stat_statements to shared_preload_libraries and restart the server."
        return _skip(f"pg_stat_statements cannot be read. {case.seen.unread['slow_queries']}", fix)
    if "slow_queries" not in case.seen.rows:
        fix = "ALTER EXTENSION pg_stat_statements UPDATE;"
        return _skip(f"pg_stat_statements {version} is older than the server.", fix)
    if not case.rows("slow_queries"):
        return _skip("pg_stat_statements has counted nothing yet.", "Nothing to do: traffic will tell.")
    return judge_listing(case, _SLOW)


def _skip(summary: str, fix: str) -> Finding:
    return Finding("slow_queries", Status.SKIPPED, summary, fix=fix)


def describe_top_queries(case: Examination) -> list[dict[str, Any]]:
    """Return `data["top_queries"]`: the ten statements that took most time, most first, without literals."""
    return [
        {
            "queryid": text(row, "queryid"),
            "text": _show(row),
            "calls": count(row, "calls"),
            "mean_ms": rounded(number(row, "mean_ms"), 3),
            "total_ms": rounded(number(row, "total_ms"), 3),
            "share_percent": rounded(number(row, "share_percent"), 2),
            "rows": count(row, "rows"),
        }
        for row in case.rows("slow_queries")
        if (number(row, "place") or 0) <= TOP
    ][:TOP]
