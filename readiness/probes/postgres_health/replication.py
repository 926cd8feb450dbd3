"""Judges how WAL travels: lag of replicas, slots that keep it, the archiver. Pure."""

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
from readiness.probes.postgres_health.listing import Listing, judge_listing, make_hidden_sessions, make_unread
from readiness.probes.postgres_health.thresholds import Thresholds, grade


def judge_replication(case: Examination) -> list[Finding]:
    return [judge_lag(case), judge_listing(case, _SLOTS), judge_archiver(case)]


def judge_lag(case: Examination) -> Finding:
    """On a standby its own lag, on a primary that of the standbys that stream from it."""
    for query in ("replica", "standbys"):
        if query in case.seen.unread:
            return make_unread(case, "replica_lag", query)
    limits, replica = case.thresholds, case.row("replica")
    warn, fail = limits.replica_lag_warn_seconds, limits.replica_lag_fail_seconds
    fix = "Look at the standby's load, its disk, the network, and at long queries there that hold replay up."
    if replica.get("in_recovery") is True:
        lag = number(replica, "lag_seconds")
        if lag is None:
            return Finding("replica_lag", Status.SKIPPED, "This standby has not replayed a transaction yet.")
        summary = f"This server is a standby, {format_seconds(lag)} behind."
        detail = f"received {text(replica, 'received')}, replayed {text(replica, 'replayed')}"
        return Finding("replica_lag", grade(lag, warn, fail), summary, detail, fix)
    standbys = case.rows("standbys")
    if not standbys:
        return Finding("replica_lag", Status.PASS, "This server is no standby, and none streams from it.")
    if not case.sees_all_sessions:
        return make_hidden_sessions(case, "replica_lag")
    described = [_describe_standby(row) for row in standbys]
    return Finding(
        id="replica_lag",
        # No lag is reported by a standby that has caught up and been idle since.
        status=worst_of(*(grade(number(row, "lag_seconds") or 0, warn, fail) for row in standbys)),
        summary=f"{plural(len(standbys), 'standby streams', 'standbys stream')} from this server: {described[0]}.",
        detail="\n".join(described[1:]),
        fix=fix,
    )


def _describe_standby(row: Row) -> str:
    lag = number(row, "lag_seconds") or 0
    name = text(row, "application") or "unnamed"
    address = f" at {address}" if (address := text(row, "address")) else ""
    return f"{name}{address}, {format_seconds(lag)} and {format_bytes(number(row, 'lag_bytes') or 0)} behind"


def _grade_slot(row: Row, limits: Thresholds) -> Status:
    if text(row, "wal_status") == "lost" or text(row, "invalidation_reason"):
        return Status.FAIL
    size = grade(number(row, "kept_bytes") or 0, limits.slot_warn_bytes, limits.slot_fail_bytes)
    is_idle = row.get("active") is False and row.get("is_synced") is not True
    return worst_of(size, Status.WARN if is_idle else Status.PASS)


def _describe_slot(row: Row) -> str:
    parts = [text(row, "slot"), "active" if row.get("active") is True else "inactive"]
    seconds = number(row, "inactive_seconds")
    if seconds is not None:
        parts[-1] += f" for {format_seconds(seconds)}"
    if text(row, "wal_status") == "lost":
        parts.append("has lost WAL that it needs")
    if reason := text(row, "invalidation_reason"):
        parts.append(f"invalidated ({reason})")
    parts.append(f"keeps {format_bytes(number(row, 'kept_bytes') or 0)} of WAL")
    return ", ".join(parts)


def _drop_slot(row: Row) -> str:
    # PostgreSQL drops none that is read from.
    return "" if row.get("active") is True else f"SELECT pg_drop_replication_slot({text(row, 'slot_quoted')});"


_SLOTS = Listing(
    id="replication_slots",
    query="replication_slots",
    clean="No replication slot keeps WAL back.",
    headline=lambda total: f"{plural(total, 'replication slot needs', 'replication slots need')} attention",
    describe=_describe_slot,
    statement=_drop_slot,
    grade=_grade_slot,
    advice="A slot without a reader fills the disk. Start its reader again, or, when nobody needs it:",
)


def judge_archiver(case: Examination) -> Finding:
    """A failure of the last hour fails, one of the last day warns; so does one that was followed by a success."""
    mode = text(case.overview, "archive_mode")
    if mode not in ("on", "always"):
        fix = "Nothing to do, unless this server is to be recovered to a point in time by archived WAL."
        return Finding("archiver", Status.SKIPPED, "WAL archiving is off (archive_mode).", fix=fix)
    if "archiver" in case.seen.unread:
        return make_unread(case, "archiver", "archiver")
    row, limits = case.row("archiver"), case.thresholds
    failed, archived = number(row, "failed_seconds_ago"), number(row, "archived_seconds_ago")
    if failed is None or failed >= limits.archiver_warn_seconds:
        if archived is None:
            return Finding("archiver", Status.SKIPPED, "WAL archiving is on and has had nothing to do yet.")
        return Finding("archiver", Status.PASS, f"WAL was archived {format_seconds(archived)} ago, without failure.")
    recovered = row.get("has_recovered") is True
    status = Status.FAIL if failed < limits.archiver_fail_seconds and not recovered else Status.WARN
    after = f", and worked {format_seconds(archived)} ago" if recovered else " and has not worked since"
    return Finding(
        id="archiver",
        status=status,
        summary=f"Archiving WAL failed {format_seconds(failed)} ago{after}: {text(row, 'last_failed_wal')}.",
        detail=f"{count(row, 'failed_count')} failures, {count(row, 'archived_count')} archived",
        fix="The server's log has what archive_command said. Mend it; to try at once:\nSELECT pg_switch_wal();",
    )
