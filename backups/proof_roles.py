"""Makes and drops the role that one proof runs as: it owns the scratch database and nothing else, and is no superuser.

A dump carries code: a CHECK, a default or an index may call any function, and a proof runs all of them. So what a
backup holds never runs as the role that made the scratch database, where that role has rights worth stealing.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from backups.errors import ErrorCode, JobError, explain_database_error
from backups.names import is_scratch
from backups.proof_servers import ServerFacts
from backups.servers import Server

# What belongs to the role that made it: a certificate, a password file, a ticket.
_OF_THE_ROLE = frozenset({"user", "password", "passfile", "sslcert", "sslkey", "sslpassword", "gssdelegation"})
_ALWAYS_THERE = frozenset({"plpgsql"})
_SCHEMAS_ALWAYS_THERE = frozenset({"public", "pg_catalog"})


def may_make_role(facts: ServerFacts) -> bool:
    """Whether a proof on that server gets a role of its own: our role has rights worth stealing, and can make one."""
    return facts.is_superuser or facts.may_create_roles


def create_role(server: Server, name: str, application_name: str) -> Server:
    """Make a role that may log in and nothing else; the same server as that role. Raises JobError.

    The password is random, lives in memory and a 0600 service file only, and reaches the server as a verifier.
    """
    assert is_scratch(name)  # noqa: S101  the reaper drops what is called so
    password = secrets.token_urlsafe(24)
    with server.connect(application_name) as connection:
        verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
        role = sql.Identifier(name)
        try:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {}").format(
                    role, sql.Literal(verifier)
                )
            )
            # A role that is no superuser must be a member to make a database for it, and to drop that again.
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
        except psycopg.Error as error:
            raise explain_database_error(error, server.place) from None
    kept = {key: value for key, value in server.parameters.items() if key not in _OF_THE_ROLE}
    return replace(server, parameters={**kept, "user": name, "password": password})


def require_login(scratch: Server, application_name: str) -> None:
    """Raises JobError: NOT_PROVABLE where pg_hba.conf admits only roles that it names."""
    try:
        scratch.connect(application_name).close()
    except JobError as error:
        if error.code != ErrorCode.AUTHENTICATION:
            raise
        raise JobError(
            ErrorCode.NOT_PROVABLE,
            f"The proof server {scratch.place.server} lets only known roles in, and a proof runs as a role of its own: "
            "let pg_hba.conf accept preflight_proof_* with scram-sha-256.",
        ) from None


def drop_role(server: Server, name: str, application_name: str) -> None:
    """Drop one of our own roles; harmless when it is gone. Raises JobError."""
    assert is_scratch(name)  # noqa: S101  never anybody else's
    with server.connect(application_name) as connection:
        try:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
        except psycopg.Error as error:
            raise explain_database_error(error, server.place) from None


def create_extensions(
    scratch: Server, role: str, extensions: Iterable[Mapping[str, Any]], application_name: str
) -> frozenset[str]:
    """Make the backup's extensions in the empty scratch database as our own role, since ``role`` may not.

    Nothing of the backup is there yet, so no script of an extension can be led astray. Returns the schemas that were
    made for them, which the archive must not make again. Raises JobError.
    """
    made: set[str] = set()
    with scratch.connect(application_name) as connection:
        try:
            for extension in extensions:
                name, schema = str(extension["name"]), str(extension.get("schema") or "public")
                if name in _ALWAYS_THERE:
                    continue
                if schema not in _SCHEMAS_ALWAYS_THERE | made and not _makes_its_own_schema(connection, name):
                    connection.execute(
                        sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(
                            sql.Identifier(schema), sql.Identifier(role)
                        )
                    )
                    made.add(schema)
                connection.execute(
                    sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {} CASCADE").format(
                        sql.Identifier(name), sql.Identifier(schema)
                    )
                )
                _allow_configuration(connection, name, role)
        except psycopg.Error as error:
            explained = explain_database_error(error, scratch.place)
            raise JobError(
                ErrorCode.NOT_PROVABLE, f"The extension {name} cannot be made for the proof: {explained.sentence}"
            ) from None
    return frozenset(made)


def see_all_rows(scratch: Server, application_name: str) -> None:
    """As the role that owns them: let tables whose policies bind even their owner be counted whole. Raises JobError."""
    query = (
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE c.relforcerowsecurity AND c.relkind IN ('r', 'p')"
    )
    with scratch.connect(application_name) as connection:
        try:
            connection.execute("SET search_path = ''")
            for schema, table in connection.execute(query).fetchall():
                name = sql.Identifier(schema, table)
                connection.execute(sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY").format(name))
        except psycopg.Error as error:
            raise explain_database_error(error, scratch.place) from None


def _makes_its_own_schema(connection: psycopg.Connection[Any], extension: str) -> bool:
    row = connection.execute(
        "SELECT pg_catalog.bool_or(schema IS NOT NULL) FROM pg_catalog.pg_available_extension_versions WHERE name = %s",
        [extension],
    ).fetchone()
    return bool(row and row[0])


def _allow_configuration(connection: psycopg.Connection[Any], extension: str, role: str) -> None:
    """Rows that people add to an extension's own tables are in the archive, and the role has to put them back."""
    query = (
        "SELECT n.nspname, c.relname, c.relkind FROM pg_catalog.pg_extension AS e"
        " CROSS JOIN LATERAL pg_catalog.unnest(e.extconfig) AS configured(oid)"
        " JOIN pg_catalog.pg_class AS c ON c.oid = configured.oid"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE e.extname = %s"
    )
    for schema, table, kind in connection.execute(query, [extension]).fetchall():
        rights = sql.SQL("SELECT, UPDATE ON SEQUENCE" if kind in {"S", b"S"} else "SELECT, INSERT ON TABLE")
        name = sql.Identifier(schema, table)
        connection.execute(sql.SQL("GRANT {} {} TO {}").format(rights, name, sql.Identifier(role)))
