"""What a schedule backs up of a database: names as people type them, and what pg_dump makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from backups import catalogue, dumps
from backups.errors import ErrorCode
from backups.models import Backup, BackupSchedule, State
from backups.pg_commands import dump_database
from backups.selection import Selection, SelectionError, parse_selection
from readiness.models import Database
from tests.backups.conftest import run_prove, run_verify


def take_part(database: Database, **plan: str) -> Backup:
    taken = dumps.take(catalogue.request_backup(database, plan=catalogue.Plan(**plan)).pk)  # type: ignore[arg-type]
    assert taken is not None
    return taken


def test_it_reads_schemas_and_tables() -> None:
    found = parse_selection(without='log\n\n public."Odd.name" \n"a ""b"""."c d"\n')
    assert found.without_schemas == {"log"}
    assert found.without_tables == {("public", "Odd.name"), ('a "b"', "c d")}
    assert not found.holds("log", "events")
    assert not found.holds("public", "Odd.name")
    assert found.holds("public", "orders")
    only = parse_selection(only="public.orders")
    assert (only.holds("public", "orders"), only.holds("public", "customers")) == (True, False)
    assert parse_selection().is_everything


@pytest.mark.parametrize(
    ("only", "without"),
    [("a.b.c", ""), ("public.*", ""), ("two words", ""), ('"open', ""), ("public\npublic.orders", ""), ("a.b", "c")],
)
def test_it_refuses_what_is_no_name(only: str, without: str) -> None:
    with pytest.raises(SelectionError):
        parse_selection(only, without)


def test_it_names_exactly_what_was_named() -> None:
    selection = Selection(without_schemas=frozenset({"Log*"}), without_tables=frozenset({("public", 'x"y')}))
    argv = dump_database(Path("pg_dump"), Path("s"), "1", selection).argv
    assert argv[-2:] == ('--exclude-schema="Log*"', '--exclude-table="public"."x""y"')


def test_it_leaves_out_tables_and_counts_what_is_left(database: Database) -> None:
    backup = take_part(database, without="log")
    assert backup.tables == {"public.customers": 50, "public.orders": 5000}
    assert set(backup.metadata["checksums"]) == set(backup.tables)
    assert backup.is_partial
    assert run_verify(backup).outcome == "pass"
    assert run_prove(backup).outcome == "pass"


def test_a_proof_finds_what_depends_on_a_table_that_was_left_out(database: Database) -> None:
    backup = take_part(database, without="public.orders")  # the view busy reads it
    assert "public.orders" not in backup.tables
    proof = run_prove(backup)
    assert proof.outcome == "fail"
    assert "public.orders" in proof.detail


def test_it_dumps_only_a_schema(database: Database) -> None:
    backup = take_part(database, only="log")
    assert backup.tables == {"log.events_2026": 100}
    assert run_prove(backup).outcome == "pass"


def test_it_takes_the_partitions_with_their_table(database: Database) -> None:
    backup = take_part(database, without="log.events")
    assert "log.events_2026" not in backup.tables
    assert run_prove(backup).outcome == "pass"


def test_it_says_what_is_not_there(database: Database) -> None:
    backup = take_part(database, only="public.nothing")
    assert (backup.state, backup.error_code) == (State.FAILED, ErrorCode.NOT_SELECTABLE)
    assert "has no public.nothing, which the schedule names" in backup.error


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"only": "public.*"}, "only"),
        ({"only": "public.orders", "without": "log"}, "without"),
        ({"quiet_from": "08:00"}, "quiet_until"),
        ({"quiet_from": "08:00", "quiet_until": "08:00"}, "quiet_until"),
        ({"only": "public", "covers_server": True}, "only"),
        ({"retries": 11}, "retries"),
        ({"jitter_minutes": 721}, "jitter_minutes"),
    ],
)
def test_it_validates_a_schedule(database: Database, fields: dict[str, object], wrong: str) -> None:
    schedule = BackupSchedule(database=database, **fields)
    schedule.clean_fields(exclude=[wrong]) if wrong in {"only", "without"} else None
    with pytest.raises(ValidationError) as caught:
        schedule.full_clean()
    assert wrong in caught.value.message_dict
