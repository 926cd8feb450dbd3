"""Roles and settings of a server beside a backup: with passwords where the role may, readable by hand, verified."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from backups import catalogue, dumps
from backups.models import Backup, State
from portal import keys
from readiness.models import Database
from tests.backups.conftest import run_verify
from tests.conftest import Server


@pytest.fixture
def roles(server: Server, shop: str) -> Iterator[None]:
    """One role that owns nothing, and one that may read the shop and no passwords."""
    with server.connect() as connection:
        connection.execute("CREATE ROLE globals_test LOGIN PASSWORD 'hidden' CONNECTION LIMIT 7")
        connection.execute("CREATE ROLE globals_reader LOGIN PASSWORD 'reads'")
    with server.connect("shop") as connection:
        for schema in ("public", "log"):
            place = sql.Identifier(schema)
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO globals_reader").format(place))
            for kind in ("TABLES", "SEQUENCES"):
                grant = "GRANT SELECT ON ALL {} IN SCHEMA {} TO globals_reader"
                connection.execute(sql.SQL(grant).format(sql.SQL(kind), place))
    yield
    with server.connect("shop") as connection:
        connection.execute("DROP OWNED BY globals_reader")
    with server.connect() as connection:
        for name in ("globals_test", "globals_reader"):
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def take_with_globals(database: Database) -> Backup:
    taken = dumps.take(catalogue.request_backup(database, plan=catalogue.Plan(with_globals=True)).pk)
    assert taken is not None
    assert taken.state == State.DONE, taken.error
    return taken


def read_by_hand(path: Path, settings: object) -> str:
    """What the runbook says: age and zstd, nothing of ours."""
    key = keys.age_identity_path(Path(settings.VAR_DIR))  # type: ignore[attr-defined]
    with path.open("rb") as file:
        opened = subprocess.run(["age", "--decrypt", "-i", str(key)], stdin=file, capture_output=True, check=True)
    return subprocess.run(["zstd", "-dc"], input=opened.stdout, capture_output=True, check=True).stdout.decode()


def test_it_keeps_roles_with_their_passwords(database: Database, roles: None, store: Path, settings: object) -> None:
    backup = take_with_globals(database)
    assert (backup.globals["has_passwords"], backup.warnings) == (True, [])
    manifest = json.loads((store / (backup.artifact + ".manifest.json")).read_text())
    assert manifest["globals"] == backup.globals
    text = read_by_hand(store / backup.globals["artifact"], settings)
    assert "CREATE ROLE globals_test" in text
    assert "CONNECTION LIMIT 7" in text
    assert "SCRAM-SHA-256$" in text
    assert len(text) == backup.globals["plain_bytes"]


def test_it_leaves_passwords_out_where_the_role_may_not_read_them(
    database: Database, roles: None, server: Server, store: Path, settings: object
) -> None:
    info = server.dsn("shop", host="127.0.0.1")
    database.dsn = make_conninfo(info, user="globals_reader", password="reads")
    database.save()
    backup = take_with_globals(database)
    assert backup.globals["has_passwords"] is False
    assert "without their passwords" in backup.warnings[0]
    text = read_by_hand(store / backup.globals["artifact"], settings)
    assert "CREATE ROLE globals_test" in text
    assert "SCRAM" not in text


def test_it_finds_damage_in_the_roles(database: Database, roles: None, store: Path) -> None:
    backup = take_with_globals(database)
    path = store / backup.globals["artifact"]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert run_verify(backup).outcome == "fail"
    assert backup.status == "damaged"
