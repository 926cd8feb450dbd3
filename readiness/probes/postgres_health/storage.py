"""Judges what is stored: bloat, dead rows, stale statistics, cache hits, ages of transaction numbers. Pure."""

from readiness.probes.base import Finding, Status
from readiness.probes.postgres_health.facts import (
    Examination,
    Row,
    count,
    format_bytes,
    format_seconds,
    number,
    plural,
    text,
    worst_of,
)
from readiness.probes.postgres_health.listing import Listing, judge_listing, make_unread
from readiness.probes.postgres_health.thresholds import grade


def judge_storage(case: Examination) -> list[Finding]:
    return [
        _judge_ages(case),
        judge_cache_hit(case),
        judge_listing(case, _DEAD),
        _judge_bloat(case, _TABLE_BLOAT, "tables"),
        _judge_bloat(case, _INDEX_BLOAT, "indexes"),
        judge_listing(case, _STALE),
    ]


_DEAD = Listing(
    id="dead_tuples",
    query="dead_tuples",
    clean="No table has many dead rows.",
    headline=lambda total: f"{plural(total, 'table has', 'tables have')} many dead rows",
    describe=lambda row: (
        f"{text(row, 'name')}, {count(row, 'dead'):,} dead rows ({number(row, 'percent') or 0:.0f} %), "
        + _describe_last("vacuumed", row, "vacuumed_seconds_ago")
    ),
    statement=lambda row: f"VACUUM (ANALYZE) {text(row, 'name')};",
    advice="Find out what keeps autovacuum back (an open transaction, a slot, its settings); then:",
)
_STALE = Listing(
    id="stale_statistics",
    query="stale_statistics",
    clean="The planner's statistics are fresh.",
    headline=lambda total: f"{plural(total, 'table', 'tables')} changed much since the planner looked",
    describe=lambda row: (
        f"{text(row, 'name')}, {count(row, 'changed'):,} changes to {plural(count(row, 'live'), 'row', 'rows')}, "
        + _describe_last("analyzed", row, "analyzed_seconds_ago")
    ),
    statement=lambda row: f"ANALYZE {text(row, 'name')};",
)


def _describe_last(what: str, row: Row, column: str) -> str:
    seconds = number(row, column)
    return f"never {what}" if seconds is None else f"{what} {format_seconds(seconds)} ago"


def _describe_bloat(row: Row) -> str:
    return (
        f"{text(row, 'name')}, about {format_bytes(number(row, 'wasted_bytes'))} of "
        f"{format_bytes(number(row, 'bytes'))} unused ({number(row, 'percent') or 0:.0f} %)"
    )


def _grade_bloat(row: Row, _: object) -> Status:
    return Status.WARN if row.get("is_judged") is True else Status.PASS


_TABLE_BLOAT = Listing(
    id="table_bloat",
    query="table_bloat",
    clean="No large table is bloated.",
    headline=lambda total: f"{plural(total, 'large table is', 'large tables are')} bloated",
    describe=_describe_bloat,
    statement=lambda row: f"VACUUM (FULL, ANALYZE) {text(row, 'name')};",
    grade=_grade_bloat,
    advice="pg_repack rewrites it while it is used. In a maintenance window, since it locks the table:",
)
_INDEX_BLOAT = Listing(
    id="index_bloat",
    query="index_bloat",
    clean="No large index is bloated.",
    headline=lambda total: f"{plural(total, 'large index is', 'large indexes are')} bloated",
    describe=_describe_bloat,
    statement=lambda row: f"REINDEX INDEX CONCURRENTLY {text(row, 'name')};",
    grade=_grade_bloat,
)


def _judge_bloat(case: Examination, listing: Listing, what: str) -> Finding:
    """An estimate needs statistics: bloat that is seen counts; what is not seen is never fine."""
    finding = judge_listing(case, listing)
    unjudged = max((count(row, "unjudged") for row in case.rows(listing.query)), default=0)
    hidden = any(row.get("is_judged") is not True for row in case.rows(listing.query))
    if finding.status is not Status.PASS or not (unjudged or hidden):
        return finding
    example = next(text(row, "name") for row in case.rows(listing.query))
    summary = f"{plural(unjudged or 1, 'large one', 'large ones')} of the {what} cannot be judged: {example}."
    fix = f"Its column statistics are hidden from this role, or there are none:\n{case.grant_read}\nANALYZE;"
    return Finding(finding.id, Status.SKIPPED, summary, fix=fix)


def judge_cache_hit(case: Examination) -> Finding:
    if "cache_hit" in case.seen.unread:
        return make_unread(case, "cache_hit", "cache_hit")
    limits = case.thresholds
    shares = {name: share for name, share in read_hit_percents(case).items() if share is not None}
    if not shares:
        summary = "Too little was read since the statistics began to say how much came from memory."
        return Finding("cache_hit", Status.SKIPPED, summary, fix="Nothing to do: traffic will tell.")
    worst_name, worst = min(shares.items(), key=lambda item: item[1])
    # Less is worse here.
    status = Status.PASS
    if worst < limits.cache_hit_warn_percent:
        status = Status.FAIL if worst < limits.cache_hit_fail_percent else Status.WARN
    return Finding(
        id="cache_hit",
        status=status,
        summary=f"{worst:.1f} % of the blocks of {worst_name} came from memory.",
        detail=", ".join(f"{name} {share:.2f} %" for name, share in shares.items()),
        fix="Raise shared_buffers to a quarter of the memory, and look for large sequential scans.",
    )


def read_hit_percents(case: Examination) -> dict[str, float | None]:
    """Return how many percent of blocks came from shared buffers, for tables and indexes; None on low traffic."""
    row, shares = case.row("cache_hit"), {}
    for what, singular in (("tables", "table"), ("indexes", "index")):
        blocks, hits = number(row, f"{singular}_blocks"), number(row, f"{singular}_hits")
        enough = blocks is not None and hits is not None and blocks >= max(1.0, case.thresholds.cache_hit_blocks)
        shares[what] = 100.0 * hits / blocks if enough and blocks and hits is not None else None
    return shares


def _judge_ages(case: Examination) -> Finding:
    """Transaction numbers and multixacts run out at two billion; VACUUM freezes old rows long before."""
    if "frozen_databases" in case.seen.unread:
        return make_unread(case, "xid_age", "frozen_databases")
    limits = case.thresholds
    graded = [
        (
            worst_of(
                grade(number(row, "xid_age") or 0, limits.xid_age_warn, limits.xid_age_fail),
                grade(number(row, "mxid_age") or 0, limits.mxid_age_warn, limits.mxid_age_fail),
            ),
            row,
        )
        for row in case.rows("frozen_databases")
    ]
    if not graded:
        return Finding("xid_age", Status.SKIPPED, "The server did not say how old its transaction numbers are.")
    old = [row for status, row in graded if status is not Status.PASS]
    if not old:
        oldest = max(count(row, "xid_age") for _, row in graded)
        summary = f"The oldest transaction number is {oldest / 1e6:.0f} of 2,147 million old."
        return Finding("xid_age", Status.PASS, summary)
    tables = [text(row, "name") for row in case.rows("frozen_tables")]
    here = [f"VACUUM (FREEZE, VERBOSE) {name};" for name in tables]
    elsewhere = [
        f"-- in database {text(row, 'database')}:\nVACUUM (FREEZE);"
        for row in old
        if row.get("is_this") is not True and row.get("takes_connections") is True
    ]
    return Finding(
        id="xid_age",
        status=worst_of(*(status for status, _ in graded)),
        summary=f"{plural(len(old), 'database nears', 'databases near')} wraparound: {_describe_age(old[0])}.",
        detail="\n".join([*(_describe_age(row) for row in old[1:]), *(f"table {name}" for name in tables)]),
        fix="\n".join(
            ["End old transactions, drop idle slots and prepared transactions, which hold it up; then:"]
            + (here or ["VACUUM (FREEZE);"] * any(row.get("is_this") is True for row in old))
            + elsewhere
        ),
    )


def _describe_age(row: Row) -> str:
    xids, mxids = count(row, "xid_age"), count(row, "mxid_age")
    return f"{text(row, 'database')}, transaction numbers {xids / 1e6:,.0f} M, multixacts {mxids / 1e6:,.0f} M old"
