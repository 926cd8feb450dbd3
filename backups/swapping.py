"""Swaps two databases of a server by name, all or nothing; reads and writes the server's list of databases.

The transaction that renames is the only moment that counts: before it the database in use is itself, after it the
restored one is. Around it the database in use is closed, and whoever finds it closed without a swap reopens it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from backups.errors import ErrorCode, JobError, explain_database_error
from backups.names import is_kept, is_scratch
from backups.servers import Server

END_SESSIONS_SECONDS = 10.0
RENAME_ATTEMPTS = 5


@dataclass(frozen=True)
class LiveFacts:
    """A database as it is in use: ``acl``, ``settings`` and ``sessions`` are lists of objects (sql/live_facts.sql)."""

    oid: int
    owner: str
    is_open: bool
    connection_limit: int
    is_template: bool
    size_bytes: int | None
    has_acl: bool
    acl: list[dict[str, Any]]
    settings: list[dict[str, Any]]
    comment: str | None
    sessions: list[dict[str, Any]]
    slots: list[str]
    subscriptions: list[str]
    prepared_transactions: int
    may_rename: bool
    may_end_sessions: bool


@dataclass(frozen=True)
class Swap:
    """Which database gives its name to which: ``incoming`` becomes ``live``, what was ``live`` becomes ``kept``."""

    live: str
    incoming: str
    kept: str
    live_oid: int
    incoming_oid: int

    def as_json_object(self) -> dict[str, Any]:
        return dict(self.__dict__)


def read_live_facts(admin: Server, name: str, application_name: str) -> LiveFacts | None:
    """What the server knows about a database of this name; None when it has none. Raises JobError."""
    query = Path(__file__).with_name("sql").joinpath("live_facts.sql").read_bytes()
    with admin.connect(application_name) as connection, connection.cursor(row_factory=dict_row) as cursor:
        try:
            row = cursor.execute(query, [name]).fetchone()
        except psycopg.Error as error:
            raise explain_database_error(error, admin.place) from None
    return None if row is None else LiveFacts(**row)


def object_to_swap(facts: LiveFacts, name: str, user: str) -> list[str]:
    """Everything that forbids taking this database's name away, as sentences; empty when nothing does. Pure."""
    objections = []
    if not facts.may_rename:
        objections.append(
            f"{user} may not rename {name}, which belongs to {facts.owner}: GRANT {facts.owner} TO {user}, "
            f"and ALTER ROLE {user} CREATEDB. Or restore into a new database and point the application to it."
        )
    if not facts.may_end_sessions:
        objections.append(f"{user} may not end the sessions in {name}: GRANT pg_signal_backend TO {user}.")
    if facts.slots:
        objections.append(
            f"The logical replication slot {facts.slots[0]} reads {name} and would go on reading the old database: "
            "drop it, and make it anew afterwards."
        )
    if facts.subscriptions:
        objections.append(
            f"{name} has the subscription {facts.subscriptions[0]}, which would go on writing into the old database: "
            "drop it, and make it anew afterwards."
        )
    if facts.prepared_transactions:
        objections.append(f"{name} has prepared transactions: commit them or roll them back first.")
    if facts.is_template:
        objections.append(f"{name} is a template, and templates are not replaced.")
    return objections


def swap(admin: Server, names: Swap, facts: LiveFacts, application_name: str, *, copies: bool) -> None:
    """End all sessions and swap. ``copies`` gives owner, privileges and settings of the live database to the other.

    Raises JobError; then nothing is renamed, and the live database is open again.
    """
    with admin.connect(application_name) as connection:
        try:
            with _closed(connection, names.live):
                for attempt in range(1, RENAME_ATTEMPTS + 1):
                    _end_sessions(connection, [names.live, names.incoming])
                    try:
                        _rename(connection, names, facts, copies=copies)
                        return
                    except psycopg.errors.ObjectInUse:
                        if attempt == RENAME_ATTEMPTS:
                            raise
        except psycopg.errors.ObjectInUse:
            raise JobError(
                ErrorCode.BUSY, f"Sessions in {names.live} could not be ended: end them and try again. Nothing changed."
            ) from None
        except psycopg.Error as error:
            raise explain_database_error(error, admin.place) from None


def is_swapped(admin: Server, names: Swap, application_name: str) -> bool:
    """Whether the swap took place, whoever died on the way: told by the number of the database, not by its name."""
    facts = read_live_facts(admin, names.live, application_name)
    return facts is not None and facts.oid == names.incoming_oid


def reopen(admin: Server, name: str, oid: int, application_name: str) -> bool:
    """Let connections into the database again if it is still that one and closed; whether it was. Raises JobError."""
    facts = read_live_facts(admin, name, application_name)
    if facts is None or facts.oid != oid or facts.is_open:
        return False
    with admin.connect(application_name) as connection:
        try:
            _allow_connections(connection, name, is_allowed=True)
        except psycopg.Error as error:
            raise explain_database_error(error, admin.place) from None
    return True


def drop_kept(admin: Server, name: str, application_name: str) -> None:
    """Drop a database that was kept closed, never one that somebody opened again. Raises JobError."""
    assert is_kept(name)  # noqa: S101  never anybody else's
    facts = read_live_facts(admin, name, application_name)
    if facts is None:
        return
    if facts.is_open:
        raise JobError(
            ErrorCode.BUSY, f"The kept database {name} was opened again, so it is not dropped: drop it by hand."
        )
    with admin.connect(application_name) as connection:
        try:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        except psycopg.Error as error:
            raise explain_database_error(error, admin.place) from None


def shut_to_others(admin: Server, name: str, application_name: str) -> None:
    """Until it gets its name, only owner and superusers may connect to a database of ours. Raises JobError."""
    assert is_scratch(name)  # noqa: S101  never anybody else's
    with admin.connect(application_name) as connection:
        try:
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        except psycopg.Error as error:
            raise explain_database_error(error, admin.place) from None


@contextmanager
def _closed(connection: psycopg.Connection[Any], name: str) -> Iterator[None]:
    _allow_connections(connection, name, is_allowed=False)
    try:
        yield
    except BaseException:
        # A connection that is lost leaves this to the reaper.
        with suppress(psycopg.Error):
            _allow_connections(connection, name, is_allowed=True)
        raise


def _rename(connection: psycopg.Connection[Any], names: Swap, facts: LiveFacts, *, copies: bool) -> None:
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    live, incoming, kept = (sql.Identifier(name) for name in (names.live, names.incoming, names.kept))
    with connection.transaction():
        connection.execute(rename.format(live, kept))
        connection.execute(rename.format(incoming, live))
        if copies:
            for statement in build_copies(names.live, facts):
                connection.execute(statement)
        _allow_connections(connection, names.live, is_allowed=True)


def build_copies(name: str, facts: LiveFacts) -> list[sql.Composed]:
    """What gives a database the owner, privileges, settings, limit and comment of another. Pure."""
    database = sql.Identifier(name)
    statements = [
        sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, sql.Identifier(facts.owner)),
        sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, sql.Literal(facts.connection_limit)),
        sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(facts.comment)),
    ]
    acl = facts.acl
    if not facts.has_acl:
        acl = [{"role": None, "privilege": each} for each in ("CONNECT", "TEMPORARY")]
    statements.append(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for entry in acl:
        role = sql.SQL("PUBLIC") if entry["role"] is None else sql.Identifier(entry["role"])
        grant = sql.SQL("GRANT {} ON DATABASE {} TO {}").format(sql.SQL(str(entry["privilege"])), database, role)
        statements.append(sql.Composed([grant, sql.SQL(" WITH GRANT OPTION" if entry.get("is_grantable") else "")]))
    for entry in facts.settings:
        scope = (
            sql.SQL("ALTER DATABASE {}").format(database)
            if entry["role"] is None
            else sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(entry["role"]), database)
        )
        for setting in entry["settings"] or ():
            key, _, value = str(setting).partition("=")
            statements.append(sql.SQL("{} SET {} TO {}").format(scope, _setting_name(key), _setting_value(key, value)))
    return statements


# Stored as a list of names that are quoted already where that is needed; one literal would be one name.
_LISTS = frozenset(
    {"search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries", "datestyle"}
)


def _setting_name(key: str) -> sql.Composable:
    return sql.SQL(".").join(sql.Identifier(part) for part in key.split("."))


def _setting_value(key: str, value: str) -> sql.Composable:
    if key.lower() not in _LISTS or not value:
        return sql.Literal(value)
    parts = [part.strip() for part in value.split(",")]
    names = [part[1:-1].replace('""', '"') if part[:1] == part[-1:] == '"' else part for part in parts]
    return sql.SQL(", ").join(sql.Literal(name) for name in names)


def _allow_connections(connection: psycopg.Connection[Any], name: str, *, is_allowed: bool) -> None:
    connection.execute(
        sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
            sql.Identifier(name), sql.SQL("true" if is_allowed else "false")
        )
    )


def _end_sessions(connection: psycopg.Connection[Any], names: list[str]) -> None:
    deadline = time.monotonic() + END_SESSIONS_SECONDS
    while time.monotonic() < deadline:
        ended = connection.execute(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
            "WHERE datname = ANY(%s) AND pid <> pg_catalog.pg_backend_pid()",
            [names],
        ).fetchall()
        if not ended:
            return
        time.sleep(0.05)
    raise psycopg.errors.ObjectInUse
