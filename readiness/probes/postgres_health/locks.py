"""Judges what holds others up: open transactions, long statements, blocked sessions, prepared transactions. Pure."""

from readiness.probes.base import Finding, Status
from readiness.probes.postgres_health.facts import Examination, Row, count, format_seconds, number, plural, text
from readiness.probes.postgres_health.listing import Listing, judge_listing, make_hidden_sessions, make_unread
from readiness.probes.postgres_health.thresholds import grade

FIRST_WITH_TRANSACTION_TIMEOUT = 17


def judge_locks(case: Examination) -> list[Finding]:
    return [
        _judge_oldest_transaction(case),
        judge_listing(case, _IDLE),
        judge_listing(case, _ACTIVE),
        judge_listing(case, _BLOCKED),
        judge_listing(case, _PREPARED),
    ]


def _describe_session(row: Row) -> str:
    parts = [f"pid {count(row, 'pid')}"]
    parts += [f"{name} {value}" for name in ("role", "database", "application") if (value := text(row, name))]
    return ", ".join(parts)


def _terminate(row: Row) -> str:
    return f"SELECT pg_terminate_backend({count(row, 'pid')});"


def _age(row: Row) -> str:
    return format_seconds(number(row, "age_seconds"))


def _judge_oldest_transaction(case: Examination) -> Finding:
    """Names the oldest transaction also while it is young: it is what VACUUM waits for."""
    name, oldest, limits = "oldest_transaction", case.row("oldest_transaction"), case.thresholds
    if name in case.seen.unread:
        return make_unread(case, name, name)
    if not oldest and not case.sees_all_sessions:
        return make_hidden_sessions(case, name)
    if not oldest:
        return Finding(name, Status.PASS, "No other session has a transaction open.")
    status = grade(number(oldest, "age_seconds"), limits.transaction_warn_seconds, limits.transaction_fail_seconds)
    if status is Status.PASS and not case.sees_all_sessions:
        return make_hidden_sessions(case, name)
    timeout = "transaction_timeout" if case.major >= FIRST_WITH_TRANSACTION_TIMEOUT else "statement_timeout"
    pid, role = count(oldest, "pid"), text(oldest, "role_quoted")
    return Finding(
        id=name,
        status=status,
        summary=f"The oldest transaction is open for {_age(oldest)} (pid {pid}, {text(oldest, 'state')}).",
        detail=", ".join(f"{what} {text(oldest, what)}" for what in ("database", "role", "application")),
        fix="It keeps VACUUM from removing dead rows. Find out what it waits for; end it, and limit the next ones:\n"
        f"{_terminate(oldest)}\nALTER ROLE {role} SET {timeout} = '10min';",
    )


_IDLE = Listing(
    id="idle_in_transaction",
    query="idle_in_transaction",
    clean="No session idles inside a transaction.",
    headline=lambda total: f"{plural(total, 'session idles', 'sessions idle')} inside a transaction",
    describe=lambda row: f"{_describe_session(row)}, for {_age(row)}",
    statement=lambda row: (
        f"{_terminate(row)}\nALTER ROLE {text(row, 'role_quoted')} SET idle_in_transaction_session_timeout = '60s';"
    ),
    grade=lambda row, limits: grade(
        number(row, "age_seconds"), limits.idle_in_transaction_warn_seconds, limits.idle_in_transaction_fail_seconds
    ),
    advice="Its locks stay. Let the application commit before it waits for anything else; end it, and limit the next:",
    needs_sessions=True,
)
_ACTIVE = Listing(
    id="active_queries",
    query="active_queries",
    clean="No statement has been running for long.",
    headline=lambda total: f"{plural(total, 'statement runs', 'statements run')} for long",
    describe=lambda row: (
        f"{_describe_session(row)}, for {_age(row)}" + (f", waits for {wait}" if (wait := text(row, "wait")) else "")
    ),
    statement=lambda row: f"SELECT pg_cancel_backend({count(row, 'pid')});",
    grade=lambda row, limits: grade(
        number(row, "age_seconds"), limits.active_query_warn_seconds, limits.active_query_fail_seconds
    ),
    advice="EXPLAIN it, and give it an index or a limit; to stop it:",
    needs_sessions=True,
)


def _list_blockers(row: Row) -> list[int]:
    blockers = row.get("blockers")
    return [pid for pid in blockers if isinstance(pid, int) and pid > 0] if isinstance(blockers, list) else []


def _describe_blocked(row: Row) -> str:
    blockers = ", ".join(f"pid {pid}" for pid in _list_blockers(row)) or "a prepared transaction or a session now gone"
    relation = text(row, "relation")
    what = f" for {relation}" if relation else ""
    return f"{_describe_session(row)}, waits{what} since {_age(row)}, blocked by {blockers}"


_BLOCKED = Listing(
    id="blocked_sessions",
    query="blocked_sessions",
    clean="No session waits for another.",
    headline=lambda total: f"{plural(total, 'session is', 'sessions are')} blocked",
    describe=_describe_blocked,
    statement=lambda row: "\n".join(f"SELECT pg_terminate_backend({pid});" for pid in _list_blockers(row)),
    grade=lambda row, limits: grade(
        number(row, "age_seconds"), limits.blocked_warn_seconds, limits.blocked_fail_seconds
    ),
    advice="See what the blocking session does, and end it if nobody needs it:",
)
_PREPARED = Listing(
    id="prepared_transactions",
    query="prepared_transactions",
    clean="No prepared transaction was left behind.",
    headline=lambda total: f"{plural(total, 'prepared transaction was', 'prepared transactions were')} left behind",
    describe=lambda row: (
        f"{text(row, 'gid')} of role {text(row, 'role')} in database {text(row, 'database')}, for {_age(row)}"
    ),
    statement=lambda row: f"ROLLBACK PREPARED {text(row, 'gid_quoted')};",
    grade=lambda row, limits: grade(
        number(row, "age_seconds"), limits.prepared_warn_seconds, limits.prepared_fail_seconds
    ),
    advice="It holds its locks over restarts. Ask the transaction manager; then, in its database, COMMIT PREPARED or:",
)
