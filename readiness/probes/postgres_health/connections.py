"""Judges who is connected: how full the server is, whether a pool stands in front, what the application's role may.

Pure.
"""

from typing import Any

from readiness.probes.base import Finding, Status
from readiness.probes.postgres_health.facts import Examination, Row, count, number, plural, rounded, text
from readiness.probes.postgres_health.listing import make_hidden_sessions, make_unread
from readiness.probes.postgres_health.thresholds import grade

# Sessions that live longer than this, and are no more than that, are a pool's: requests would come and go.
POOLED_SECONDS, POOLED_SESSIONS = 60, 20


def judge_connections(case: Examination) -> Finding:
    """The narrowest of: the server, the plan, the limit of the database, the limits of the roles."""
    limits = case.thresholds
    rooms = _list_rooms(case)
    used, available, what = max(rooms, key=lambda room: room[0] / room[1])
    percent = 100.0 * used / available
    return Finding(
        id="connections",
        status=grade(percent, limits.connections_warn_percent, limits.connections_fail_percent),
        summary=f"{used} of {available} connections {what} are in use ({percent:.0f} %).",
        detail="\n".join(f"{each_what}: {each_used} of {each}" for each_used, each, each_what in rooms),
        fix="Put a pooler (PgBouncer) in front, lower the pool size of the application, or raise the limit.",
    )


def _list_rooms(case: Examination) -> list[tuple[int, int, str]]:
    """Return (used, available, of what) for everything that limits connections; never empty, available from 1."""
    overview, used = case.overview, count(case.overview, "used_connections")
    server = count(overview, "max_connections") - count(overview, "reserved_connections")
    rooms = [(used, max(1, server), "of the server")]
    if case.target.plan.connections:
        rooms.append((used, max(1, case.target.plan.connections), "of the plan"))
    database_limit = number(overview, "database_connection_limit")
    if database_limit is not None and database_limit > 0:
        database = text(overview, "database")
        rooms.append((count(overview, "database_connections"), int(database_limit), f"of database {database}"))
    for row in case.rows("sessions_by_role"):
        role_limit = number(row, "connection_limit")
        if role_limit is not None and role_limit >= 1:
            rooms.append((count(row, "sessions"), int(role_limit), f"of role {text(row, 'role')}"))
    return rooms


def judge_pooling(case: Examination) -> Finding:
    """For information: a missing pool is nothing to fail for, and few sessions do not prove one."""
    pooling = describe_pooling(case)
    if pooling["seen"]:
        return Finding("pooling", Status.PASS, f"Connections are pooled: {pooling['how']}.")
    if "sessions_by_role" in case.seen.unread:
        return make_unread(case, "pooling", "sessions_by_role")
    if pooling["sessions"] and not case.sees_all_sessions:
        return make_hidden_sessions(case, "pooling")
    fix = (
        "Let the application keep its connections (Prisma: connection_limit, Django: CONN_MAX_AGE or a pool), "
        "or put PgBouncer in front."
    )
    if pooling["sessions"]:
        seen = f"{plural(pooling['sessions'], 'session', 'sessions')}, half of them younger than"
        summary = f"No pool was seen: {seen} {pooling['median_seconds'] or 0:.0f} s."
        return Finding("pooling", Status.SKIPPED, summary, fix=fix)
    return Finding("pooling", Status.SKIPPED, "No pool was seen: no session of the application is open.", fix=fix)


def describe_pooling(case: Examination) -> dict[str, Any]:
    """Return `data["pooling"]`: {"seen", "how", "sessions", "median_seconds"}."""
    rows = _list_application_rows(case)
    sessions = sum(count(row, "sessions") for row in rows)
    ages = [age for row in rows if (age := number(row, "median_seconds")) is not None]
    median = min(ages, default=None)
    how = ""
    if case.seen.pooler_between:
        how = "a pooler answers on this address"
    elif 0 < sessions <= POOLED_SESSIONS and median is not None and median > POOLED_SECONDS:
        how = f"{plural(sessions, 'session', 'sessions')} of the application, kept for longer than {POOLED_SECONDS} s"
    return {"seen": bool(how), "how": how, "sessions": sessions, "median_seconds": rounded(median)}


def describe_application(case: Examination) -> dict[str, Any]:
    """Return `data["application"]`: {"role", "sessions", "protected"}; protected: over TLS or never on the network."""
    rows = _list_application_rows(case)
    return {
        "role": case.target.application_role,
        "roles": [text(row, "role") for row in rows],
        "sessions": sum(count(row, "sessions") for row in rows),
        "protected": sum(count(row, "protected_sessions") for row in rows) if case.sees_all_sessions else None,
    }


def _list_application_rows(case: Examination) -> list[Row]:
    """The rows of the application's role, or of every role with sessions when nobody has named it."""
    rows = case.rows("sessions_by_role")
    return [row for row in rows if not case.target.application_role or row.get("is_application") is True]


def judge_superuser(case: Examination) -> Finding:
    """The application's role; unless it is named, the roles that hold sessions, and the probe's own if it is none."""
    if "sessions_by_role" in case.seen.unread:
        return make_unread(case, "superuser", "sessions_by_role")
    named, rows = case.target.application_role, _list_application_rows(case)
    powerful = next((row for row in rows if row.get("is_superuser") is True), None)
    if powerful is not None:
        role = text(powerful, "role")
        summary = f"The application's role {role} is a superuser: a hole in it opens the whole server."
        if not named:
            summary = f"The role {role}, which holds sessions in this database, is a superuser."
        fix = (
            "Let another superuser take the right away, or give the application a role of its own:\n"
            f"ALTER ROLE {text(powerful, 'role_quoted')} NOSUPERUSER;"
        )
        return Finding("superuser", Status.WARN, summary, fix=fix)
    if named and not rows:
        summary = f"There is no role {named} on this server."
        return Finding("superuser", Status.SKIPPED, summary, fix="Correct the application's role of this database.")
    if named or rows:
        roles = ", ".join(text(row, "role") for row in rows)
        return Finding("superuser", Status.PASS, f"The application's role ({roles}) is not a superuser.")
    # A role that may not look at others is hardly one for monitoring: the address given is the application's own.
    if case.overview.get("is_superuser") is False and not case.sees_all_sessions:
        role = text(case.overview, "role")
        return Finding("superuser", Status.PASS, f"The role {role} is not a superuser.")
    summary = "It is not known which role the application uses: no session of it is open."
    return Finding("superuser", Status.SKIPPED, summary, fix="Name the application's role, or probe while it runs.")
