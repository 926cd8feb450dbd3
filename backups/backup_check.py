"""Says before a backup what its role, client programs and space let it do, and the way that remains; writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from backups import age_keys, pg_binaries, servers, stores
from backups.errors import COULD_NOT_TELL, JobError, explain_database_error
from backups.models import BackupSchedule
from backups.servers import Server
from readiness.models import Database

_NAME = "preflight check"


@dataclass(frozen=True)
class BackupCheck:
    """``objections`` would make a backup fail, ``warnings`` make it hold less or take longer.

    ``is_told`` is False when the server did not answer, so that nothing could be told.
    """

    objections: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    is_told: bool = True

    def as_json_object(self) -> dict[str, Any]:
        return {
            "possible": not self.objections if self.is_told else None,
            "objections": list(self.objections),
            "warnings": list(self.warnings),
        }


def look(database: Database) -> BackupCheck:
    """Ask the server and this machine what a backup of the database would meet. Raises nothing."""
    objections: list[str] = []
    warnings: list[str] = []
    try:
        age_keys.load_recipients()
        server = servers.own_server(database)
        facts = _read_facts(server)
    except JobError as error:
        return BackupCheck((error.sentence,), is_told=error.code not in COULD_NOT_TELL)
    try:
        warnings += filter(None, [pg_binaries.find_dump_client(facts["server_version_num"] // 10000)[1]])
    except JobError as error:
        objections.append(error.sentence)
    objections += _object_to_tables(server, facts)
    warnings += _warn(database, server, facts)
    for name in stores.default_stores():
        try:
            free = stores.open_store(name).free_bytes()
        except JobError as error:
            warnings.append(error.sentence)
            continue
        if free is not None and free < facts["database_size_bytes"]:
            warnings.append(
                f"The store {name} has {free / 1_000_000:,.0f} MB free, and the database has "
                f"{facts['database_size_bytes'] / 1_000_000:,.0f} MB before compression."
            )
    return BackupCheck(tuple(objections), tuple(warnings))


def _object_to_tables(server: Server, facts: dict[str, Any]) -> list[str]:
    user, objections = server.place.user or "the role", []
    if unreadable := facts["unreadable"]:
        rest = f" and {facts['unreadable_count'] - 1} more" if facts["unreadable_count"] > 1 else ""
        objections.append(
            f"{user} may not read {unreadable}{rest}: grant it pg_read_all_data, or leave the tables out in a schedule."
        )
    if hidden := facts["hidden"]:
        objections.append(
            f"{user} sees only some rows of {hidden}: give the role BYPASSRLS, or use the owner of the table; "
            "where the provider allows neither, leave the table out in a schedule."
        )
    return objections


def _warn(database: Database, server: Server, facts: dict[str, Any]) -> list[str]:
    user, warnings = server.place.user or "the role", []
    wants_roles = BackupSchedule.objects.filter(database=database, with_globals=True).exists()
    if wants_roles and not facts["may_read_passwords"]:
        warnings.append(
            f"{user} may not read pg_authid: roles beside a backup come without their passwords. "
            "Set new ones after a restore."
        )
    if not facts["may_read_control"]:
        warnings.append(
            f"{user} may not read pg_control_system(): the backup cannot say which server it is of, so it can only "
            "be proven on its own server. Grant it, or choose that for the database."
        )
    return warnings


def _read_facts(server: Server) -> dict[str, Any]:
    query = (Path(__file__).with_name("sql") / "may_dump.sql").read_bytes()
    with server.connect(_NAME) as connection, connection.cursor(row_factory=dict_row) as cursor:
        try:
            row = cursor.execute(query).fetchone()
        except psycopg.Error as error:
            raise explain_database_error(error, server.place) from None
    assert row is not None  # noqa: S101  the query gives one row
    return row
