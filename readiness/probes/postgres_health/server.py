"""Judges the server itself: reach, version, TLS, clock, settings, and the counters that should stand still. Pure."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from readiness.probes.base import Finding, Status
from readiness.probes.postgres_health.facts import Examination, Row, count, format_bytes, number, plural, text, worst_of
from readiness.probes.postgres_health.listing import make_unread
from readiness.probes.postgres_health.thresholds import grade

END_OF_LIFE_WARNING_DAYS = 180
# postgresql.org/support/versioning: the day each major gets its last fix.
END_OF_LIFE = {
    13: date(2025, 11, 13),
    14: date(2026, 11, 12),
    15: date(2027, 11, 11),
    16: date(2028, 11, 9),
    17: date(2029, 11, 8),
    18: date(2030, 11, 14),
}
# The newest minor of each major that we know of; a server may be newer than this list, never than its own major's.
KNOWN_MINORS = {13: 23, 14: 25, 15: 20, 16: 16, 17: 12, 18: 6}
KNOWN_MINORS_SINCE = date(2026, 9, 30)
_MUST_BE_ON = ("fsync", "full_page_writes", "autovacuum", "track_counts")


def judge_reach(case: Examination) -> Finding:
    limits, milliseconds = case.thresholds, case.seen.round_trip_ms
    status = grade(milliseconds, limits.round_trip_warn_ms, limits.round_trip_fail_ms)
    took = f"in {milliseconds:.1f} ms" if milliseconds >= 0.1 else "in less than 0.1 ms"
    summary = f"The database answers {took}."
    detail = f"connected in {case.seen.connect_ms:.0f} ms"
    return Finding("reachable", status, summary, detail, "Put the application and the database closer together.")


def judge_engine(case: Examination) -> Finding:
    return Finding("engine", Status.PASS, f"The database is PostgreSQL {text(case.overview, 'version_text')}.")


def judge_version(case: Examination) -> Finding:
    """End of life fails, its last half year and an old minor warn."""
    major, today = case.major, case.now.date()
    minor = count(case.overview, "version_num") % 10_000
    ends_on = END_OF_LIFE.get(major)
    upgrade = "Upgrade to a newer major version, with pg_upgrade or a dump and restore."
    if ends_on is None and major > max(END_OF_LIFE):
        return Finding("version", Status.PASS, f"PostgreSQL {major} is newer than this portal's list of versions.")
    if ends_on is None or ends_on < today:
        since = f" since {ends_on.isoformat()}" if ends_on else ""
        return Finding("version", Status.FAIL, f"PostgreSQL {major} gets no fixes any more{since}.", fix=upgrade)
    newest = KNOWN_MINORS[major]
    detail = f"server version {text(case.overview, 'version_text')}; newest minors known as of {KNOWN_MINORS_SINCE}"
    if minor < newest:
        summary = f"PostgreSQL {major}.{minor} lacks the fixes of {major}.{newest}."
        fix = f"Install PostgreSQL {major}.{newest} or newer and restart the server; the data stays as it is."
        return Finding("version", Status.WARN, summary, detail, fix)
    status = Status.WARN if (ends_on - today).days < END_OF_LIFE_WARNING_DAYS else Status.PASS
    summary = f"PostgreSQL {major} gets fixes until {ends_on.isoformat()}."
    return Finding("version", status, summary, detail, upgrade)


def judge_tls(case: Examination) -> Finding:
    if case.seen.tls:
        version = text(case.overview, "tls_version")
        shown = f" ({version})" if version and not case.seen.pooler_between else ""
        return Finding("tls", Status.PASS, f"The connection is encrypted{shown}.")
    if case.seen.local:
        return Finding("tls", Status.PASS, "The connection does not leave this machine, so it needs no TLS.")
    fix = "Set ssl = on on the server and add sslmode=require (better: verify-full) to the connection string."
    return Finding("tls", Status.FAIL, "The connection crosses the network without TLS.", fix=fix)


def judge_clock(case: Examination) -> Finding:
    """Half a round trip of the measured difference may be the network's, and is not held against the clock."""
    skew, limits = case.seen.clock_skew_seconds, case.thresholds
    if skew is None:
        return Finding("clock_skew", Status.SKIPPED, "The server did not say what time it is.")
    certain = max(0.0, abs(skew) - case.seen.round_trip_ms / 2_000)
    status = grade(certain, limits.clock_skew_warn_seconds, limits.clock_skew_fail_seconds)
    if status is Status.PASS:
        return Finding("clock_skew", status, f"The server's clock and ours agree within {abs(skew):.2f} s.")
    way = "ahead of" if skew > 0 else "behind"
    fix = "Let both machines take their time from NTP; timedatectl status shows which one does not."
    return Finding("clock_skew", status, f"The server's clock is {abs(skew):.1f} s {way} ours.", fix=fix)


def judge_settings(case: Examination) -> Finding:
    if "settings" in case.seen.unread:
        return make_unread(case, "settings", "settings")
    rows = case.rows("settings")
    off = [text(row, "name") for row in rows if text(row, "name") in _MUST_BE_ON and text(row, "setting") == "off"]
    pending = [text(row, "name") for row in rows if row.get("pending_restart") is True]
    if off or pending:
        complaints = [f"{name} is off" for name in off]
        complaints += [f"{name} waits for a restart" for name in pending if name not in off]
        return Finding(
            id="settings",
            status=worst_of(Status.FAIL if off else Status.WARN),
            summary=f"{plural(len(complaints), 'setting needs', 'settings need')} attention: {complaints[0]}.",
            detail="\n".join(complaints[1:]),
            fix="\n".join(
                [f"ALTER SYSTEM SET {name} = on;" for name in off]
                + (["SELECT pg_reload_conf();"] if off else [])
                + (["Restart the server, so that what was configured comes into force."] if pending else [])
            ),
        )
    if case.overview.get("sees_all_settings") is not True:
        summary = "The role may not see every setting, so some may wait for a restart."
        return Finding("settings", Status.SKIPPED, summary, fix=case.grant_monitor)
    return Finding("settings", Status.PASS, "What protects the data is on, and no setting waits for a restart.")


def judge_deadlocks(case: Examination) -> Finding:
    fix = "Let every transaction take its locks in the same order; the server's log names the statements."
    return _judge_counter(case, "deadlocks", "deadlocks", "deadlock", fix)


def judge_temp_files(case: Examination) -> Finding:
    fix = (
        "Find the statements with many temp_blks_written in pg_stat_statements; give them an index, or more memory:\n"
        f"ALTER DATABASE {text(case.overview, 'database_quoted')} SET work_mem = '16MB';"
    )
    finding = _judge_counter(case, "temp_files", "temporary files", "temporary file", fix)
    if finding.status is not Status.WARN:
        return finding
    before = number(_read_counters(case.target.previous), "temp_bytes") or 0
    written = max(0.0, (number(case.overview, "temp_bytes") or 0) - before)
    return Finding(finding.id, finding.status, finding.summary, f"{format_bytes(written)} written", finding.fix)


def describe_counters(case: Examination) -> dict[str, Any]:
    """Return what the next look compares itself with, as `data["counters"]`."""
    names = ("deadlocks", "temp_files", "temp_bytes")
    counters: dict[str, Any] = {name: count(case.overview, name) for name in names}
    return {**counters, "stats_reset": text(case.overview, "stats_reset"), "at": case.now.isoformat()}


def _judge_counter(case: Examination, name: str, many: str, one: str, fix: str) -> Finding:
    before = _read_counters(case.target.previous)
    then, current = number(before, name), number(case.overview, name)
    if then is None or current is None:
        summary = f"One look cannot say whether there are new {many}: it needs a second one."
        return Finding(name, Status.SKIPPED, summary, fix="Nothing to do: the next run compares.")
    if text(before, "stats_reset") != text(case.overview, "stats_reset") or current < then:
        summary = f"The statistics began anew since the last look, so new {many} cannot be counted."
        return Finding(name, Status.SKIPPED, summary, fix="Nothing to do: the next run compares.")
    if current == then:
        return Finding(name, Status.PASS, f"No {one} since the last look.")
    new = plural(current - then, f"new {one}", f"new {many}")
    since = text(before, "at")
    return Finding(name, Status.WARN, f"{new} since the last look.", f"last look: {since}" if since else "", fix)


def _read_counters(previous: Mapping[str, Any] | None) -> Row:
    counters = (previous or {}).get("counters")
    return counters if isinstance(counters, Mapping) else {}
