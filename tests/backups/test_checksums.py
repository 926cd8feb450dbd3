"""Checksums of tables: of the rows and nothing else, whatever their order and whoever asks under which settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pytest_django.fixtures import Settings

from backups import storage
from backups.checksums import checksum_tables
from backups.models import Backup
from readiness.models import Database
from tests.backups.conftest import run_prove, take
from tests.conftest import Server

EVERYTHING = 2**62
ROWS = (
    "(1, 'a \"b\" \\ c', 0.1, '2026-01-01 12:00+00', '1 day', '\\x00ff', 12.50, '{\"b\": 1}', ARRAY['x', NULL])",
    "(2, NULL, 'NaN', 'infinity', '-3 mons', NULL, -1, '[]', '{}')",
)


@pytest.fixture
def zoo(server: Server) -> Iterator[psycopg.Connection[Any]]:
    server.create_database(
        "zoo",
        "CREATE TABLE beasts (id int, name text, weight float8, at timestamptz, lived interval, print bytea, "
        "price money, facts jsonb, tags text[], twice int GENERATED ALWAYS AS (id * 2) STORED)",
        f"INSERT INTO beasts VALUES {', '.join(ROWS)}",
    )
    with server.connect("zoo") as connection:
        yield connection


def read(connection: psycopg.Connection[Any], table: str = "public.beasts") -> str | None:
    return checksum_tables(connection, EVERYTHING, {table}).get(table)


def test_it_does_not_depend_on_order_settings_or_columns_places(zoo: psycopg.Connection[Any]) -> None:
    before = read(zoo)
    zoo.execute("CREATE TABLE other (tags text[], facts jsonb, price money, print bytea, gone int, id int)")
    zoo.execute("ALTER TABLE other DROP COLUMN gone, ADD lived interval, ADD at timestamptz, ADD weight float8")
    zoo.execute("ALTER TABLE other ADD name text")
    zoo.execute(
        "INSERT INTO other (id, name, weight, at, lived, print, price, facts, tags)"
        " SELECT id, name, weight, at, lived, print, price, facts, tags FROM beasts ORDER BY id DESC"
    )
    zoo.execute("SET TimeZone = 'Asia/Kolkata'")
    zoo.execute("SET DateStyle = 'German'")
    zoo.execute("SET IntervalStyle = 'iso_8601'")
    zoo.execute("SET extra_float_digits = -5")
    zoo.execute("SET bytea_output = 'escape'")
    assert before is not None
    assert read(zoo, "public.other") == read(zoo) == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE beasts SET name = 'a' WHERE id = 2",
        "UPDATE beasts SET name = '' WHERE id = 2",
        "UPDATE beasts SET weight = 0.10000000000000002 WHERE id = 1",
        "UPDATE beasts SET print = '\\x00fe' WHERE id = 1",
        "UPDATE beasts SET tags = ARRAY['x', 'NULL'] WHERE id = 1",
        "DELETE FROM beasts WHERE id = 1",
        "INSERT INTO beasts SELECT id, name, weight, at, lived, print, price, facts, tags FROM beasts WHERE id = 1",
    ],
)
def test_it_notices_every_change_of_a_row(zoo: psycopg.Connection[Any], change: str) -> None:
    before = read(zoo)
    zoo.execute(change)
    assert read(zoo) != before


def test_it_leaves_out_big_tables_and_those_not_asked_for(zoo: psycopg.Connection[Any]) -> None:
    assert checksum_tables(zoo, 1, {"public.beasts"}) == {}
    assert checksum_tables(zoo, 0, {"public.beasts"}) == {}
    assert checksum_tables(zoo, EVERYTHING, {"public.other"}) == {}


def test_it_runs_no_cast_that_somebody_made_for_a_table(zoo: psycopg.Connection[Any]) -> None:
    before = read(zoo)
    zoo.execute("CREATE FUNCTION trap(beasts) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'sprung'; END $$")
    zoo.execute("CREATE CAST (beasts AS text) WITH FUNCTION trap(beasts) AS IMPLICIT")
    assert read(zoo) == before


def test_a_backup_holds_them_in_its_manifest_and_a_proof_compares_them(backup: Backup) -> None:
    sums = backup.metadata["checksums"]
    assert set(sums) == set(backup.tables)
    assert json.loads(storage.manifest_path(backup.artifact).read_text())["metadata"]["checksums"] == sums
    verification = run_prove(backup)
    assert (verification.outcome, verification.compared["checksums"]) == ("pass", 3)
    assert "The contents of 3 of 3 tables have their checksums." in verification.compared["checks"]


def test_a_proof_fails_when_as_many_rows_are_others(backup: Backup) -> None:
    metadata = {**backup.metadata, "checksums": {**backup.metadata["checksums"], "public.orders": "0" * 16}}
    Backup.objects.filter(pk=backup.pk).update(metadata=metadata)
    verification = run_prove(backup)
    assert (verification.outcome, verification.compared["changed"]) == ("fail", ["public.orders"])
    assert "The contents of table public.orders are not those of the backup" in verification.detail
    assert backup.status == "damaged"


def test_they_can_be_turned_off(database: Database, settings: Settings) -> None:
    settings.CHECKSUM_TABLES_UNDER_MB = 0
    backup = take(database)
    assert backup.metadata["checksums"] == {}
    assert run_prove(backup).outcome == "pass"


def test_they_are_of_the_snapshot(database: Database, server: Server) -> None:
    first = take(database)
    with server.connect("shop") as other:
        other.execute("UPDATE customers SET name = 'x' WHERE id = 1")
    second = take(database)
    different = {
        name for name, value in first.metadata["checksums"].items() if second.metadata["checksums"][name] != value
    }
    assert different == {"public.customers"}
    assert run_prove(first).outcome == run_prove(second).outcome == "pass"
