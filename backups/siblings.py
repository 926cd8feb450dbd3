"""Finds the databases of a whole server and what each is in the portal; reads servers, writes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from backups import servers
from backups.errors import JobError, explain_database_error
from backups.models import BackupSchedule
from backups.names import SCRATCH_PREFIX
from backups.schedules import skipped_databases
from backups.servers import Server
from readiness.models import Database

_NAME = "preflight siblings"
_QUERY = """
    SELECT datname::pg_catalog.text FROM pg_catalog.pg_database
    WHERE NOT datistemplate AND datallowconn AND NOT pg_catalog.starts_with(datname::pg_catalog.text, %s) ORDER BY 1
"""


@dataclass(frozen=True)
class Sibling:
    """A database to back up: a row of the portal, and the name on its server where that is not the row's own."""

    database: Database
    name: str = ""


def find_siblings(schedule: BackupSchedule) -> list[Sibling]:
    """Every database of the schedule's server but templates, closed ones, the portal's own and those to be skipped.

    One that the environment knows by a connection of its own is that row's. Raises JobError.
    """
    server = servers.own_server(schedule.database)
    known = _find_known(schedule, server)
    skipped = skipped_databases(schedule)
    return [
        Sibling(known[name]) if name in known else Sibling(schedule.database, name)
        for name in list_databases(server)
        if name not in skipped
    ]


def list_databases(server: Server) -> list[str]:
    """Names of the databases that people use on a server. Raises JobError."""
    with server.connect(_NAME) as connection:
        try:
            return [str(row[0]) for row in connection.execute(_QUERY, [SCRATCH_PREFIX]).fetchall()]
        except psycopg.Error as error:
            raise explain_database_error(error, server.place) from None


def _find_known(schedule: BackupSchedule, server: Server) -> dict[str, Database]:
    """The environment's own rows on the same server, by the name of their database; the schedule's own wins."""
    known = {}
    rows = list(Database.objects.filter(environment=schedule.database.environment).exclude(pk=schedule.database_id))
    for database in [*rows, schedule.database]:
        try:
            other = servers.own_server(database)
        except JobError:
            continue
        if other.place.server == server.place.server and _port(other) == _port(server):
            known[other.place.database] = database
    return known


def _port(server: Server) -> str:
    return server.parameters.get("port", "5432")
