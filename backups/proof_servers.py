"""Chooses the server on which a backup may be proven, or says why there is none; reads servers, writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from backups import servers
from backups.errors import ErrorCode, JobError, explain_database_error
from backups.models import Backup
from backups.pg_binaries import archive_major
from backups.servers import Server

PROOF, OWN = "proof", "own"


@dataclass(frozen=True)
class ServerFacts:
    """What a server says about itself: ``extensions`` are those that could be installed."""

    major: int
    system_identifier: str | None
    may_create_databases: bool
    is_superuser: bool
    may_create_roles: bool
    extensions: frozenset[str]
    roles: frozenset[str]
    databases: frozenset[str]


@dataclass(frozen=True)
class ProofServer:
    """A server that was chosen: ``kind`` is "proof" or "own"."""

    kind: str
    server: Server
    facts: ServerFacts


def choose_proof_server(backup: Backup, application_name: str) -> ProofServer:
    """The proof server, or the database's own where its owner chose that. Raises JobError: NOT_PROVABLE and others."""
    may_use_own = backup.database is not None and backup.database.prove_on_own_server
    # A dump from elsewhere was never in use on any server of ours.
    is_nobodys = backup.database is None and backup.is_foreign
    objections = []
    for kind in (PROOF, OWN) if may_use_own else (PROOF,):
        try:
            server = find_server(kind, backup)
            facts = read_server_facts(server, application_name)
        except JobError as error:
            objections.append(error)
            continue
        if reason := object_to(backup, facts, server.place.server, may_use_own=may_use_own or is_nobodys):
            objections.append(JobError(ErrorCode.NOT_PROVABLE, reason))
            continue
        return ProofServer(kind, server, facts)
    raise next((each for each in objections if each.code == ErrorCode.NOT_PROVABLE), objections[0])


def find_server(kind: str, backup: Backup) -> Server:
    """The server that a recorded "proof" or "own" means. Raises JobError."""
    return servers.server_of_backup(backup) if kind == OWN else servers.proof_server()


def object_to(backup: Backup, facts: ServerFacts, where: str, *, may_use_own: bool) -> str:
    """Why the backup cannot be proven on that server, and what to do; empty when it can."""
    metadata: Mapping[str, Any] = backup.metadata
    major = archive_major(int(metadata["server_version_num"]), backup.tool_version)
    elsewhere = f"set PROOF_DATABASE_URL to a PostgreSQL {major} server other than the database's own"
    own = backup.snapshot.get("system_identifier")
    if not may_use_own and (own is None or facts.system_identifier is None):
        return (
            f"It cannot be told whether the proof server {where} is the database's own server: "
            "choose to prove on its own server, or let both roles read pg_control_system()."
        )
    if not may_use_own and own == facts.system_identifier:
        return (
            f"The proof server {where} is the database's own server: {elsewhere}, "
            "or choose to prove this database on its own server."
        )
    if facts.major != major:
        return (
            f"The backup is of PostgreSQL {major} and the proof server {where} runs {facts.major}: {elsewhere}, "
            "or choose to prove this database on its own server."
        )
    if not facts.may_create_databases:
        return f"The role on the proof server {where} may not create databases: run ALTER ROLE ... CREATEDB there."
    needed = {str(extension["name"]) for extension in metadata.get("extensions", [])}
    if missing := sorted(needed - facts.extensions):
        return f"The proof server {where} lacks the extension {', '.join(missing)}: install it there."
    return ""


def read_server_facts(server: Server, application_name: str) -> ServerFacts:
    """Ask a server about itself. Raises JobError."""
    query = (Path(__file__).with_name("sql") / "server_facts.sql").read_bytes()
    with server.connect(application_name) as connection, connection.cursor(row_factory=dict_row) as cursor:
        try:
            row = cursor.execute(query).fetchone()
            identifier = servers.read_system_identifier(connection)
        except psycopg.Error as error:
            raise explain_database_error(error, server.place) from None
    assert row is not None  # noqa: S101  the query gives one row
    return ServerFacts(
        major=int(row["server_version_num"]) // 10000,
        system_identifier=identifier,
        may_create_databases=row["may_create_databases"],
        is_superuser=row["is_superuser"],
        may_create_roles=row["may_create_roles"],
        extensions=frozenset(row["extensions"]),
        roles=frozenset(row["roles"]),
        databases=frozenset(row["databases"]),
    )
