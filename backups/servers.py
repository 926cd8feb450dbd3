"""Reads connection strings; opens psycopg connections and writes 0600 service files under var/tmp."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow, tuple_row

from backups import leftovers, pg_commands
from backups.errors import ErrorCode, JobError, Place, explain_database_error
from backups.models import Backup, Restore
from portal.secrets import SecretError
from readiness.models import Database

CONNECT_TIMEOUT_SECONDS = 10
_MAINTENANCE_DATABASES = ("postgres", "template1")
# A peer that vanished (a cut cable, a dropped firewall state) is noticed within a minute.
_KEEPALIVES = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    # In milliseconds, for bytes on the way: keepalives are sent only while nothing is.
    "tcp_user_timeout": "60000",
}


@dataclass(frozen=True)
class Server:
    """One database on one server, as libpq's parameters; its repr holds no secret."""

    parameters: Mapping[str, str] = field(repr=False)

    @property
    def place(self) -> Place:
        """Where it is, in words."""
        host = self.parameters.get("host") or self.parameters.get("hostaddr") or "localhost"
        shown = "on this machine" if host.startswith("/") else f"{host}:{self.parameters.get('port', '5432')}"
        user = self.parameters.get("user", "")
        return Place(shown, user, self.parameters.get("dbname") or user)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in anything that people read."""
        return tuple(self.parameters[key] for key in ("password", "sslpassword") if self.parameters.get(key))

    def with_database(self, name: str) -> Server:
        """The same server and user, another database."""
        return replace(self, parameters={**self.parameters, "dbname": name})

    def connect(self, application_name: str) -> psycopg.Connection[TupleRow]:
        """An autocommit connection. Raises JobError with a sentence."""
        parameters: dict[str, Any] = {**self.parameters, "application_name": application_name}
        try:
            connection = psycopg.connect(make_conninfo(**parameters), autocommit=True)
            if connection.info.parameter_status("client_encoding") == "SQL_ASCII":
                # Names would be bytes otherwise, and such a database says of none what letters they are.
                connection.execute("SET client_encoding = 'UTF8'")
            return connection
        except psycopg.Error as error:
            explained = explain_database_error(error, self.place)
            if explained.code in {ErrorCode.TOOL_FAILED, ErrorCode.CONNECTION_LOST}:
                explained = JobError(ErrorCode.UNREACHABLE, explained.sentence)
            raise explained from None

    @contextmanager
    def service_file(self, application_name: str) -> Iterator[Path]:
        """A 0600 file that names this database as pg_commands.SERVICE, gone afterwards. Raises JobError."""
        try:
            text = pg_commands.render_service(self.parameters, application_name)
        except pg_commands.ServiceError as error:
            raise JobError(ErrorCode.BAD_CONNECTION, str(error)) from None
        with temporary_file(text, "service") as path:
            yield path


@contextmanager
def temporary_file(text: str, kind: str) -> Iterator[Path]:
    """A 0600 file under var/tmp that ends in ``kind``, gone afterwards; the reaper sweeps it after a kill."""
    path = temporary_directory() / f"{leftovers.owner_mark()}-{secrets.token_hex(8)}.{kind}"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        yield path
    finally:
        path.unlink(missing_ok=True)


def temporary_directory() -> Path:
    """var/tmp, made 0700 when it is missing."""
    directory = Path(settings.VAR_DIR) / "tmp"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def parse_server(dsn: str) -> Server:
    """The server behind a URI or a keyword string. Raises JobError, whose sentence holds nothing of the string."""
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.Error:
        given = {}
    parameters = {key: str(value) for key, value in given.items() if value is not None}
    if not parameters:
        raise JobError(
            ErrorCode.BAD_CONNECTION,
            "The connection is not one that PostgreSQL understands: give postgresql://user:password@host:5432/name.",
        )
    defaults = {"connect_timeout": str(CONNECT_TIMEOUT_SECONDS), **_KEEPALIVES}
    return Server({**defaults, **parameters})


def own_server(database: Database | None) -> Server:
    """The server that an environment's database lives on. Raises JobError."""
    if database is None:
        raise JobError(
            ErrorCode.BAD_CONNECTION, "The database of this backup was removed from the portal: add it again first."
        )
    try:
        return parse_server(database.read_dsn())
    except SecretError as error:
        raise JobError(ErrorCode.BAD_CONNECTION, str(error)) from None


def server_of_backup(backup: Backup) -> Server:
    """The database that a backup is of. Raises JobError."""
    server = own_server(backup.database)
    return server.with_database(backup.sibling) if backup.sibling else server


def server_of_restore(job: Restore) -> Server:
    """The server that a restore goes to. Raises JobError."""
    return own_server(job.target) if job.target else server_of_backup(job.backup)


def find_maintenance(server: Server, application_name: str, *, or_own: bool = False) -> Server:
    """The same server by a database that is never renamed, and is there when the wanted one is not.

    ``or_own``: where the role is let into none of them, the database it was given does, as long as that one keeps its
    name. Raises JobError.
    """
    first: JobError | None = None
    candidates = [server.with_database(name) for name in _MAINTENANCE_DATABASES] + ([server] if or_own else [])
    for candidate in candidates:
        try:
            candidate.connect(application_name).close()
        except JobError as error:
            if error.code == ErrorCode.UNREACHABLE:
                raise
            first = first or error
            continue
        return candidate
    assert first is not None  # noqa: S101  one of them failed
    raise first


def proof_server() -> Server:
    """The server on which backups are proven: PROOF_DATABASE_URL, else the portal's own. Raises JobError."""
    if settings.PROOF_DATABASE_URL:
        return parse_server(settings.PROOF_DATABASE_URL)
    portal = settings.DATABASES["default"]
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    parameters = {key: str(portal[name]) for key, name in names.items() if portal.get(name)}
    # Only what libpq itself knows: the rest of OPTIONS is psycopg's and Django's.
    ssl = {key: str(value) for key, value in portal.get("OPTIONS", {}).items() if key.startswith("ssl")}
    return parse_server(make_conninfo("", **parameters, **ssl))


def read_system_identifier(connection: psycopg.Connection[Any]) -> str | None:
    """What tells one cluster from all others; None where the role may not ask."""
    identifier = _ask_control(connection, "SELECT system_identifier FROM pg_catalog.pg_control_system()")
    return None if identifier is None else str(identifier)


def read_timeline(connection: psycopg.Connection[Any]) -> int | None:
    """The timeline the cluster writes, which a recovery to a point in time begins with; None where it is secret."""
    timeline = _ask_control(connection, "SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()")
    return None if timeline is None else int(timeline)


def _ask_control(connection: psycopg.Connection[Any], query: LiteralString) -> Any:
    """One value out of the control file, or None: managed servers may forbid it. Leaves an open transaction usable."""
    try:
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(query).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return row[0] if row else None
