"""Holds an exported snapshot of a database open, with its point-in-time metadata and its row counts; writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from backups.checksums import checksum_tables
from backups.errors import ErrorCode, JobError, Place, explain_database_error
from backups.large_objects import LargeObjects, read_large_objects
from backups.names import name_table
from backups.pg_commands import EVERYTHING
from backups.selection import Selection
from backups.servers import Server, read_system_identifier, read_timeline

_SQL = Path(__file__).with_name("sql")
# One pair of numbers for every portal: two of them never back up one database at the same time either.
# A transaction's lock, because a session's does not hold behind a pooler.
_ADVISORY_LOCK = (0x50464C54, 1)
# A little less than what pg_dump is given, because only the count can name the table that is locked.
LOCK_TIMEOUT = "9s"
_NAMESPACES = "SELECT nspname FROM pg_catalog.pg_namespace"


@dataclass(frozen=True)
class SnapshotFacts:
    """What is known about the moment: times aware, sizes in bytes, ``catalog_row`` the row of pg_database."""

    snapshot_id: str
    transaction_snapshot: str
    lsn: str
    timeline: int | None
    system_identifier: str | None
    taken_at: datetime
    transaction_at: datetime
    server_version: str
    server_version_num: int
    database_size_bytes: int
    database: str
    role: str
    encoding: str
    is_standby: bool
    catalog_row: dict[str, Any]
    extensions: list[dict[str, str]]
    roles: list[str]
    owner: str
    not_valid: list[str]

    @property
    def major(self) -> int:
        """The server's major version: 15 for 15.4."""
        return self.server_version_num // 10000

    def as_point_in_time(self) -> dict[str, Any]:
        """The part that every listing shows: {"lsn", "timeline", "taken_at", "system_identifier", "server_version"}."""
        return {
            "lsn": self.lsn,
            "timeline": self.timeline,
            "taken_at": self.taken_at.astimezone(UTC).isoformat(),
            "system_identifier": self.system_identifier,
            "server_version": self.server_version,
        }

    def as_metadata(self) -> dict[str, Any]:
        """What a restore must know: locale, extensions, roles, size, version number."""
        row = self.catalog_row
        provider = {"i": "icu", "b": "builtin"}.get(str(row.get("datlocprovider", "c")), "libc")
        return {
            "database": self.database,
            "role": self.role,
            "encoding": self.encoding,
            "collate": row.get("datcollate"),
            "ctype": row.get("datctype"),
            "locale_provider": provider,
            "locale": row.get("datlocale") or row.get("daticulocale"),
            "icu_rules": row.get("daticurules"),
            "collation_version": row.get("datcollversion"),
            "extensions": self.extensions,
            "roles": self.roles,
            "owner": self.owner,
            "connection_limit": row.get("datconnlimit"),
            "not_valid": self.not_valid,
            "server_version_num": self.server_version_num,
            "database_size_bytes": self.database_size_bytes,
            "is_standby": self.is_standby,
            "transaction_snapshot": self.transaction_snapshot,
            "transaction_at": self.transaction_at.astimezone(UTC).isoformat(),
        }


class HeldSnapshot:
    """An open transaction that pg_dump can join by ``facts.snapshot_id``."""

    def __init__(self, connection: psycopg.Connection[Any], facts: SnapshotFacts, place: Place) -> None:
        self.facts = facts
        self._connection = connection
        self._place = place

    def count_rows(
        self, on_table: Callable[[str], None] | None = None, selection: Selection = EVERYTHING
    ) -> dict[str, int]:
        """Rows of every selected table as the snapshot sees them. Raises JobError, which names a locked table."""
        return count_rows(self._connection, self._place, on_table, selection)

    def resolve(self, selection: Selection) -> Selection:
        """The selection with the partitions of its tables. Raises JobError for a wanted name that is not there."""
        if selection.is_everything:
            return selection
        try:
            tables = self._connection.execute(_read_sql("partitions")).fetchall()
            schemas = {str(row[0]) for row in self._connection.execute(_NAMESPACES).fetchall()}
        except psycopg.Error as error:
            raise explain_database_error(error, self._place) from None
        there = {(str(schema), str(table)) for schema, table, _, _ in tables}
        absent = [name for name in sorted(selection.only_schemas) if name not in schemas]
        absent += [name_table(*each) for each in sorted(selection.only_tables) if each not in there]
        if absent:
            raise JobError(
                ErrorCode.NOT_SELECTABLE,
                f"{self._place.database} has no {absent[0]}, which the schedule names: correct what it backs up.",
            )
        partitions: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for schema, table, part_schema, part in tables:
            if part is not None:
                partitions.setdefault((str(schema), str(table)), []).append((str(part_schema), str(part)))
        return selection.with_partitions(partitions)

    def may_read_passwords(self) -> bool:
        """Whether the role sees the hashes of roles' passwords."""
        query = "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')"
        try:
            row = self._connection.execute(query).fetchone()
        except psycopg.Error as error:
            raise explain_database_error(error, self._place) from None
        return bool(row and row[0])

    def checksum_tables(self, under_bytes: int, only: Collection[str]) -> dict[str, str]:
        """Checksums of the small ones among ``only`` as the snapshot sees them. Raises JobError."""
        try:
            return checksum_tables(self._connection, under_bytes, only)
        except psycopg.Error as error:
            raise explain_database_error(error, self._place) from None

    def read_large_objects(self, under_bytes: int) -> LargeObjects:
        """The large objects as the snapshot sees them. Raises JobError."""
        try:
            return read_large_objects(self._connection, under_bytes)
        except psycopg.Error as error:
            raise explain_database_error(error, self._place) from None

    def interrupt(self) -> None:
        """From another thread: make a count that runs or waits end with an error."""
        try:
            self._connection.cancel_safe(timeout=2)
        except psycopg.Error:
            # Its end is near anyway: the connection is closed next.
            return


@contextmanager
def hold_snapshot(server: Server, application_name: str) -> Iterator[HeldSnapshot]:
    """Export a snapshot and keep its transaction open for the block.

    Raises JobError: unreachable, or BUSY when another backup of this database is being taken, by whomever.
    """
    connection = server.connect(application_name)
    try:
        try:
            facts = _begin(connection)
        except psycopg.Error as error:
            raise explain_database_error(error, server.place) from None
        if facts is None:
            raise JobError(
                ErrorCode.BUSY,
                f"Another backup of {server.place.database} is being taken from the server {server.place.server}: "
                "wait until it has ended.",
            )
        yield HeldSnapshot(connection, facts, server.place)
    finally:
        connection.close()


def _begin(connection: psycopg.Connection[Any]) -> SnapshotFacts | None:
    """Begin, lock, export; None when the lock is taken."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # One statement takes the snapshot; no time-out may end the transaction, except waiting for locks.
        cursor.execute(
            """
            SELECT pg_catalog.clock_timestamp() AS taken_at,
                   pg_catalog.pg_try_advisory_xact_lock(%s, %s) AS is_ours,
                   pg_catalog.set_config('lock_timeout', %s, true),
                   pg_catalog.set_config('row_security', 'off', true),
                   pg_catalog.set_config('search_path', '', true),
                   (SELECT pg_catalog.count(pg_catalog.set_config(name, '0', true)) FROM pg_catalog.pg_settings
                    WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout'))
            """,
            [*_ADVISORY_LOCK, LOCK_TIMEOUT],
        )
        first = _one(cursor)
        if not first["is_ours"]:
            return None
        cursor.execute(_read_sql("snapshot"))
        facts = _one(cursor)
        cursor.execute(_read_sql("requirements"))
        facts.update(_one(cursor))
        facts["not_valid"] = [row["what"] for row in cursor.execute(_read_sql("not_valid")).fetchall()]
    facts["server_version"] = str(facts["server_version"]).split()[0]
    return SnapshotFacts(
        **facts,
        taken_at=first["taken_at"],
        timeline=read_timeline(connection),
        system_identifier=read_system_identifier(connection),
    )


def count_rows(
    connection: psycopg.Connection[Any],
    place: Place,
    on_table: Callable[[str], None] | None = None,
    selection: Selection = EVERYTHING,
    schema: str | None = None,
) -> dict[str, int]:
    """{"schema.table": rows} of every table that a dump of the selection holds, or those of one schema.

    Raises JobError.
    """
    counts: dict[str, int] = {}
    current = ""
    try:
        for namespace, table in connection.execute(_read_sql("tables")).fetchall():
            if schema not in (None, namespace) or not selection.holds(namespace, table):
                continue
            current = name_table(namespace, table)
            if on_table is not None:
                on_table(current)
            query = sql.SQL("SELECT pg_catalog.count(*) FROM ONLY {}").format(sql.Identifier(namespace, table))
            row = connection.execute(query).fetchone()
            counts[current] = int(row[0]) if row else 0
    except psycopg.errors.LockNotAvailable:
        raise JobError(
            ErrorCode.LOCK_TIMEOUT,
            f"Table {current} of {place.database} stayed locked by another session for {LOCK_TIMEOUT}: "
            "end that session and try again.",
        ) from None
    except psycopg.Error as error:
        raise explain_database_error(error, place) from None
    return counts


def _one(cursor: psycopg.Cursor[dict[str, Any]]) -> dict[str, Any]:
    row = cursor.fetchone()
    assert row is not None  # noqa: S101  each of these queries gives one row
    return row


def _read_sql(name: str) -> bytes:
    return (_SQL / f"{name}.sql").read_bytes()
