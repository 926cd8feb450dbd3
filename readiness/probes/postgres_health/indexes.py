"""Judges indexes that are broken, superfluous or missing. Pure."""

from dataclasses import replace

from readiness.probes.base import Finding, Status
from readiness.probes.postgres_health.facts import Examination, Row, count, format_bytes, number, plural, text
from readiness.probes.postgres_health.listing import Listing, judge_listing

_DAY_SECONDS = 86_400


def judge_indexes(case: Examination) -> list[Finding]:
    return [
        judge_listing(case, _INVALID),
        judge_listing(case, _DUPLICATE),
        _judge_unused(case),
        judge_listing(case, _SEQUENTIAL if text(case.overview, "statements_version") else _SEQUENTIAL_UNCOUNTED),
    ]


def _mend_invalid(row: Row) -> str:
    name = text(row, "name")
    if row.get("is_leftover_of_reindex") is True:
        return f"DROP INDEX CONCURRENTLY {name};"
    return f"REINDEX INDEX CONCURRENTLY {name};"


_INVALID = Listing(
    id="invalid_index",
    query="invalid_indexes",
    clean="Every index is valid.",
    headline=lambda total: f"{plural(total, 'index is', 'indexes are')} invalid",
    describe=lambda row: f"{text(row, 'name')} on {text(row, 'on_table')}",
    statement=_mend_invalid,
    advice="It slows writes and serves no query. Mend what kept it from being built (such as duplicate rows); then:",
)


def _describe_duplicate(row: Row) -> str:
    how = "does the same as" if row.get("is_same") is True else "is the beginning of"
    size = format_bytes(number(row, "bytes"))
    leans = ", and a foreign key refers to it" if row.get("is_referred_to") is True else ""
    return f"{text(row, 'name')} on {text(row, 'on_table')} {how} {text(row, 'kept')} ({size}){leans}"


def _drop_duplicate(row: Row) -> str:
    """ "" for what PostgreSQL would not drop; a partitioned index goes only with a lock, as a constraint does."""
    if row.get("is_referred_to") is True:
        return ""
    constraint = text(row, "constraint_quoted")
    if constraint:
        return f"ALTER TABLE {text(row, 'on_table')} DROP CONSTRAINT {constraint};"
    if row.get("is_partitioned") is True:
        return f"DROP INDEX {text(row, 'name')};"
    return f"DROP INDEX CONCURRENTLY {text(row, 'name')};"


_DUPLICATE = Listing(
    id="duplicate_index",
    query="duplicate_indexes",
    clean="No index repeats another.",
    headline=lambda total: f"{plural(total, 'index repeats', 'indexes repeat')} another",
    describe=_describe_duplicate,
    statement=_drop_duplicate,
    advice="Every write pays for both. Take it out of the application's schema, too:",
)
_UNUSED = Listing(
    id="unused_index",
    query="unused_indexes",
    clean="Every large index is used.",
    headline=lambda total: f"{plural(total, 'large index was', 'large indexes were')} never used",
    describe=lambda row: f"{text(row, 'name')} on {text(row, 'on_table')} ({format_bytes(number(row, 'bytes'))})",
    statement=lambda row: f"DROP INDEX CONCURRENTLY {text(row, 'name')};",
    advice="Standbys count their own use: look there, too, and think of yearly reports. Then:",
)


def _judge_unused(case: Examination) -> Finding:
    """Statistics that are young cannot say that an index is unused."""
    finding = judge_listing(case, _UNUSED)
    if finding.status is not Status.WARN:
        return finding
    since_reset = number(case.overview, "stats_age_seconds")
    age = since_reset if since_reset is not None else number(case.overview, "uptime_seconds") or 0
    days = case.thresholds.unused_index_days
    if age >= days * _DAY_SECONDS:
        return finding
    summary = f"The statistics are younger than {days:g} days: {finding.summary[:1].lower()}{finding.summary[1:]}"
    return Finding(finding.id, Status.SKIPPED, summary, finding.detail, "Nothing to do yet: time will tell.")


_SEQUENTIAL = Listing(
    id="sequential_scans",
    query="sequential_scans",
    clean="No large table is mostly read from end to end.",
    headline=lambda total: f"{plural(total, 'large table is', 'large tables are')} mostly read from end to end",
    describe=lambda row: (
        f"{text(row, 'name')}, {count(row, 'scans'):,} sequential and {count(row, 'index_scans'):,} index scans "
        f"of {plural(count(row, 'live'), 'row', 'rows')}"
    ),
    statement=lambda row: "",
    advice=(
        "Find its statements and index the columns of their WHERE and JOIN:\n"
        "SELECT query, calls, mean_exec_time FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 20;"
    ),
)
_SEQUENTIAL_UNCOUNTED = replace(
    _SEQUENTIAL, advice="Find its statements and index the columns of their WHERE and JOIN."
)
