"""The demonstration's databases on the portal's own server; creates and drops them and the role that owns them."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from django.conf import settings
from psycopg import sql

ROLE = "preflight_demo"
# (database, assets, readings for each asset); the second is at least 150 MB.
SIZES = {"demo_staging": (60, 200), "demo_production": (2_000, 1_000)}
_FOLDER = Path(__file__).parent


class DemoError(Exception):
    """The demonstration cannot be loaded or removed; the message is one sentence."""


def create_databases(directory: Path) -> None:
    """Makes the role and both databases with their rows, unless they are there, and writes how to reach them.

    A database is filled under another name first, so that one with its name is always whole.
    """
    password = _read_or_make_password(directory)
    try:
        with _connect("") as server:
            _create_role(server, password)
            for name, (assets, readings) in SIZES.items():
                if not _has_database(server, name):
                    _create_database(server, name, assets, readings)
    except psycopg.errors.InsufficientPrivilege:
        raise DemoError(
            "The demonstration needs its own databases, and the portal's database role may not create any: "
            "give it CREATEDB and CREATEROLE, or start with DEMO=0."
        ) from None
    write_connections(directory)


def write_connections(directory: Path) -> None:
    """Writes one 0600 file a database with its connection string: the private server may have changed its port."""
    password = _read_or_make_password(directory)
    database = settings.DATABASES["default"]
    host, port = database["HOST"], database["PORT"] or "5432"
    if not host or str(host).startswith("/"):
        host = "127.0.0.1"
    for name in SIZES:
        _write_private(
            connection_file(directory, name), f"postgresql://{ROLE}:{quote(password)}@{host}:{port}/{name}\n"
        )


def connection_file(directory: Path, name: str) -> Path:
    """Where the connection string of one database lies."""
    return directory / f"{name}.dsn"


def drop_databases() -> None:
    """Drops everything the demonstration's role owns, databases restored from its backups included, and the role."""
    with _connect("") as server:
        owned = server.execute(
            "SELECT datname FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba WHERE rolname = %s", [ROLE]
        ).fetchall()
        for name in sorted({*SIZES, *(name for (name,) in owned)}):
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        if server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
            server.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(ROLE)))
            server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(ROLE)))


def _create_role(server: psycopg.Connection[Any], password: str) -> None:
    verb = "ALTER" if server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone() else "CREATE"
    # CREATEDB, so that a restore can make a database beside the first one; pg_monitor, so that the probe sees sessions.
    server.execute(
        sql.SQL("{} ROLE {} LOGIN CREATEDB PASSWORD {}").format(
            sql.SQL(verb), sql.Identifier(ROLE), sql.Literal(_scram(server, password))
        )
    )
    server.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(ROLE)))


def _scram(server: psycopg.Connection[Any], password: str) -> str:
    """The password as a SCRAM verifier: the statement may end up in the server's log."""
    return server.pgconn.encrypt_password(password.encode(), ROLE.encode(), b"scram-sha-256").decode()


def _create_database(server: psycopg.Connection[Any], name: str, assets: int, readings: int) -> None:
    part = f"{name}_part"
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(part)))
    server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(part), sql.Identifier(ROLE)))
    with _connect(part) as database:
        database.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(ROLE)))
        database.execute("SELECT set_config('demo.assets', %s, false)", [str(assets)])
        database.execute("SELECT set_config('demo.readings', %s, false)", [str(readings)])
        database.execute((_FOLDER / "schema.sql").read_bytes())
        database.execute((_FOLDER / "rows.sql").read_bytes())
        database.execute("ANALYZE")
    server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(part), sql.Identifier(name)))


def _has_database(server: psycopg.Connection[Any], name: str) -> bool:
    return server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


def _connect(dbname: str) -> psycopg.Connection[Any]:
    database = settings.DATABASES["default"]
    return psycopg.connect(
        host=database["HOST"],
        port=database["PORT"] or None,
        user=database["USER"],
        password=database["PASSWORD"],
        dbname=dbname or database["NAME"],
        autocommit=True,
        connect_timeout=10,
        application_name="preflight demo",
    )


def _read_or_make_password(directory: Path) -> str:
    path = directory / "password"
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(24))
    return path.read_text().strip()


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    part.rename(path)
