"""Reads the health of a database over one connection, in one read-only transaction; writes nothing.

The queries go to the server in a few batches, one message each, so that distance costs little. When a query of a batch
fails, the batch is read again query by query, and only what fails is left unread.
"""

import dataclasses
import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from readiness.probes import net
from readiness.probes.base import Target
from readiness.probes.postgres_health.facts import PostgresObservation, Row
from readiness.probes.postgres_health.thresholds import read_thresholds

SQL_DIRECTORY = Path(__file__).parent.with_name("sql")
OLDEST_MAJOR = 13
SESSION_QUERIES = (
    *("oldest_transaction", "idle_in_transaction", "active_queries", "blocked_sessions", "prepared_transactions"),
    *("sessions_by_role", "standbys", "replica", "replication_slots", "archiver"),
)
CATALOG_QUERIES = (
    *("settings", "frozen_databases", "frozen_tables", "invalid_indexes", "duplicate_indexes"),
    *("unvalidated_constraints", "foreign_keys_without_index", "reference_columns", "disabled_triggers", "sequences"),
)
STATISTICS_QUERIES = (
    *("cache_hit", "dead_tuples", "stale_statistics", "table_bloat", "index_bloat", "unused_indexes"),
    *("sequential_scans", "size", "largest_tables"),
)
STATEMENT_QUERIES = ("slow_queries",)
# The schema of the extension is known from 1.8 on, which came with PostgreSQL 13, to have these column names.
OLDEST_STATEMENTS_VERSION = (1, 8)
_ROUND_TRIPS = 3
_STATEMENT_SECONDS = 3.0  # one query never takes longer; a lock is waited for a third of a second
_SETTINGS = """
SELECT
    set_config('statement_timeout', %(milliseconds)s, true),
    set_config('lock_timeout', '300', true),
    set_config('search_path', 'pg_catalog', true), -- nobody's own function may stand in for a built-in one
    set_config('jit', 'off', true),
    set_config('max_parallel_workers_per_gather', '0', true)
"""

Connection = psycopg.Connection[dict[str, Any]]


@dataclass(slots=True)
class _Reading:
    """The rows read so far, and why some could not be."""

    connection: Connection
    version_num: int
    parameters: Mapping[str, Any]
    deadline: net.Deadline
    names: Mapping[str, str] = field(default_factory=dict)
    rows: dict[str, Sequence[Row]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)


def read_health(parameters: Mapping[str, str], target: Target, deadline: net.Deadline) -> PostgresObservation:
    """Connect with libpq's `parameters` and read everything. Raises psycopg.Error, net.DeadlineError."""
    started = time.perf_counter()
    # No server-side prepared statements, and settings only for this transaction: PgBouncer may sit in between.
    with psycopg.connect(
        **parameters,  # type: ignore[arg-type]
        prepare_threshold=None,
        row_factory=dict_row,
        cursor_factory=psycopg.ClientCursor,
    ) as connection:
        connected = time.perf_counter()
        connection.read_only = True
        with net.cut_off_at(deadline, connection.fileno()):
            seconds = min(_STATEMENT_SECONDS, max(0.1, deadline.remaining_seconds("queries") / 2))
            connection.execute(_SETTINGS, {"milliseconds": str(int(seconds * 1000))})
            overview = connection.execute(_load("overview", 0)).fetchone() or {}
            trips = [_time_round_trip(connection) for _ in range(_ROUND_TRIPS)]
            reading = _Reading(
                connection, int(overview.get("version_num") or 0), _bind_parameters(target), deadline, _names(overview)
            )
            for batch in (SESSION_QUERIES, CATALOG_QUERIES, STATISTICS_QUERIES, _choose_statements(overview)):
                _read_batch(reading, batch)
        hostaddr = connection.info.hostaddr
        fastest = min(trips)
        return PostgresObservation(
            local=not hostaddr or hostaddr == "::1" or hostaddr.startswith("127."),
            tls=bool(connection.pgconn.ssl_in_use),
            # A pooler makes up the number that it gives its clients for cancelling.
            pooler_between=connection.info.backend_pid != overview.get("backend_pid"),
            connect_ms=(connected - started) * 1000,
            round_trip_ms=fastest[0] * 1000,
            clock_skew_seconds=fastest[1],
            overview=overview,
            rows=reading.rows,
            unread=reading.unread,
        )


def load_query(name: str, version_num: int) -> str:
    """Return the SQL of a query for a server: <name>.sql, or the newest <name>.<major>.sql that is not newer than it.

    A server older than 13 gets what 13 gets. Raises KeyError for a name without a file.
    """
    by_major = _list_files()[name]
    major = max(version_num // 10_000, OLDEST_MAJOR)
    return by_major[max(known for known in by_major if known <= major)].read_text(encoding="utf-8").strip()


@functools.cache
def _list_files() -> dict[str, dict[int, Path]]:
    files: dict[str, dict[int, Path]] = {}
    for path in SQL_DIRECTORY.glob("*.sql"):
        name, _, major = path.name.removesuffix(".sql").partition(".")
        files.setdefault(name, {})[int(major or OLDEST_MAJOR)] = path
    return files


@functools.cache
def _load(name: str, version_num: int) -> sql.SQL:
    return sql.SQL(load_query(name, version_num))


def _bind_parameters(target: Target) -> dict[str, Any]:
    return {**dataclasses.asdict(read_thresholds(target.thresholds)), "application_role": target.application_role}


def _names(overview: Row) -> dict[str, str]:
    return {"schema": str(overview.get("statements_schema") or "public")}


def _choose_statements(overview: Row) -> tuple[str, ...]:
    """Nothing to ask where the extension is missing, too old, or shows only our own statements."""
    usable = is_version_from(overview.get("statements_version"), OLDEST_STATEMENTS_VERSION)
    return STATEMENT_QUERIES if usable and overview.get("sees_all_sessions") else ()


def is_version_from(version: object, oldest: tuple[int, ...]) -> bool:
    """Return whether an extension's version, as "1.10", is `oldest` or newer."""
    parts = str(version or "").split(".")
    return all(part.isdecimal() for part in parts) and tuple(int(part) for part in parts) >= oldest


def _time_round_trip(connection: Connection) -> tuple[float, float | None]:
    """Return how long a round trip took, and by how many seconds the server's clock is ahead of ours."""
    started, started_at = time.perf_counter(), time.time()
    row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8 AS server_time").fetchone()
    seconds = time.perf_counter() - started
    return seconds, None if row is None else row["server_time"] - (started_at + seconds / 2)


def _read_batch(reading: _Reading, names: tuple[str, ...]) -> None:
    if not names:
        return
    try:
        found = _ask(reading, names)
    except psycopg.OperationalError as error:
        if reading.connection.closed:
            raise
        found = _recover(reading, names, error)
    except psycopg.Error as error:
        found = _recover(reading, names, error)
    reading.rows.update(found)


def _recover(reading: _Reading, names: tuple[str, ...], error: psycopg.Error) -> dict[str, list[dict[str, Any]]]:
    reading.connection.execute("ROLLBACK TO SAVEPOINT health")
    if len(names) == 1:
        reading.unread[names[0]] = _explain(error)
    else:
        for name in names:
            _read_batch(reading, (name,))
    return {}


def _ask(reading: _Reading, names: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    reading.deadline.remaining_seconds("queries")
    identifiers = {name: sql.Identifier(value) for name, value in reading.names.items()}
    queries = [_load(name, reading.version_num).format(**identifiers) for name in names]
    message = sql.SQL(";\n").join([sql.SQL("SAVEPOINT health"), *queries, sql.SQL("RELEASE SAVEPOINT health")])
    cursor = reading.connection.execute(message, reading.parameters)
    answers = [result.fetchall() for result in cursor.results() if result.description is not None]
    return dict(zip(names, answers, strict=True))


def _explain(error: psycopg.Error) -> str:
    """Return one sentence. The server's own words may quote what it was asked, so only its kind is told."""
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "The role may not read this."
    if isinstance(error, psycopg.errors.QueryCanceled):
        return "Reading this took longer than the probe waits."
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "Another session holds a lock on what has to be read."
    if isinstance(error, psycopg.errors.ObjectNotInPrerequisiteState):
        return "The extension is not loaded by the server."
    return f"The server did not answer this: {type(error).__name__} ({error.sqlstate or 'no code'})."
