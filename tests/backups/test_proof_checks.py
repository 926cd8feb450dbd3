"""What a proof looks at besides the rows: validity, indexes, assertions of the owner, several jobs at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings

from backups import catalogue, dumps, plaintext, proof_checks, servers, storage
from backups.errors import ErrorCode, JobError
from backups.models import Backup, ProofAssertion
from readiness.models import Database
from tests.backups.conftest import list_databases, run_prove, take, take_sibling
from tests.conftest import Server


def assert_that(database: Database, text: str) -> ProofAssertion:
    return ProofAssertion.objects.create(database=database, name="it holds", sql=text)


def test_it_reads_indexes_through_and_says_so(backup: Backup) -> None:
    verification = run_prove(backup)
    assert verification.compared["checks"][1:] == [
        "Every constraint and index that was valid is valid.",
        "pg_amcheck found every table and index sound.",
    ]


def test_it_leaves_out_indexes_where_no_amcheck_is(backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backups.pg_binaries.ClientBinaries.find", lambda *_: None)
    verification = run_prove(backup)
    assert verification.outcome == "pass"
    assert not any("pg_amcheck" in check for check in verification.compared["checks"])


def test_it_proves_a_database_that_has_amcheck_itself(database: Database, server: Server) -> None:
    with server.connect("shop") as other:
        other.execute("CREATE EXTENSION amcheck")
    verification = run_prove(take(database))
    assert (verification.outcome, len(verification.compared["checks"])) == ("pass", 3), verification.detail


def test_it_notices_an_index_that_misses_rows(backup: Backup, server: Server) -> None:
    """An immutable function that is not: its index is right when it is made and wrong when it is read."""
    with server.connect("shop") as other:
        other.execute("CREATE TABLE moody (id int)")
        other.execute("INSERT INTO moody SELECT generate_series(1, 100)")
        other.execute("CREATE SEQUENCE moods")
        other.execute(
            "CREATE FUNCTION mood(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS"
            " $$ BEGIN RETURN $1 + pg_catalog.nextval('public.moods'); END $$"
        )
        other.execute("CREATE INDEX moody_mood ON moody (mood(id))")
    assert backup.database is not None
    verification = run_prove(take(backup.database))
    assert verification.outcome == "fail"
    assert "pg_amcheck found after the restore" in verification.detail
    assert "moody_mood" in verification.detail


def test_it_accepts_what_was_not_valid_before(database: Database, server: Server) -> None:
    with server.connect("shop") as other:
        other.execute("ALTER TABLE orders ADD CONSTRAINT never CHECK (note <> md5('1')) NOT VALID")
    backup = take(database)
    assert backup.metadata["not_valid"] == ["constraint never of public.orders"]
    assert run_prove(backup).outcome == "pass"
    Backup.objects.filter(pk=backup.pk).update(metadata={**backup.metadata, "not_valid": []})
    verification = run_prove(backup)
    assert (verification.outcome, "constraint never of public.orders" in verification.detail) == ("fail", True)


def test_it_asks_what_the_owner_asserts(database: Database, server: Server) -> None:
    with server.connect("shop") as other:
        other.execute("ALTER TABLE orders ADD at timestamptz DEFAULT clock_timestamp()")
    backup = take(database)
    ProofAssertion.objects.create(
        database=database,
        name="orders of the last day",
        sql="SELECT count(*) > 0 FROM orders"
        " WHERE at > current_setting('preflight.taken_at')::timestamptz - interval '1 day'",
    )
    verification = run_prove(backup)
    assert verification.outcome == "pass", verification.detail
    assert verification.compared["assertions"] == [{"name": "orders of the last day", "holds": True, "said": ""}]
    ProofAssertion.objects.create(database=database, name="no customers", sql="SELECT count(*) = 0 FROM customers")
    verification = run_prove(backup)
    assert verification.outcome == "fail"
    assert verification.detail == "What its owner asserts does not hold, “no customers”: It is not true."
    # The rows are whole all the same, and may be what somebody wants back.
    assert (backup.status, backup.proven_at, backup.damage) == ("verified", None, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT count(*) > 0 FROM gone", 'relation "gone" does not exist'),
        ("SELECT NULL::bool", "It is not true."),
        ("INSERT INTO orders (id) VALUES (-1) RETURNING true", "read-only transaction"),
        ("SELECT true; DROP TABLE orders", "multiple commands"),
        ("COMMIT", "could not be answered"),
        ("SELECT pg_sleep(5) IS NOT NULL", "not answered within 1 seconds"),
        ("SELECT pg_read_file('/etc/passwd') <> ''", "permission denied"),
    ],
)
def test_an_assertion_can_do_no_harm(
    database: Database, backup: Backup, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setattr(proof_checks, "ASSERTION_SECONDS", 1)
    assert_that(database, text)
    verification = run_prove(backup)
    assert verification.outcome == "fail"
    assert said in verification.detail


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT count(*) > 0 FROM orders", ""),
        ("SELECT count(*) FROM orders", "true or false"),
        ("SELECT true, true", "true or false"),
        ("SELECT true; SELECT true", "multiple commands"),
        ("SELECT count(*) > 0 FROM gone", "does not exist"),
        ("DROP TABLE orders", "true or false"),
    ],
)
def test_it_tries_an_assertion_without_running_it(database: Database, server: Server, text: str, said: str) -> None:
    complaint = proof_checks.try_assertion(servers.own_server(database), text, "preflight test")
    assert said in complaint
    assert bool(complaint) is bool(said)
    with server.connect("shop") as other:
        assert other.execute("SELECT count(*) FROM orders").fetchone() == (5000,)


def list_plain_files() -> set[str]:
    return {path.suffix for path in (Path(django_settings.VAR_DIR) / "tmp").glob("*")}


def test_it_restores_with_several_jobs_from_a_file_that_is_gone_afterwards(
    backup: Backup, server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    seal = plaintext.PlainFile.seal

    def look(file: plaintext.PlainFile) -> None:
        seal(file)
        modes.append((file.path.stat().st_mode & 0o777, file.path.read_bytes()[:5], file.path.parent.name))

    monkeypatch.setattr(plaintext.PlainFile, "seal", look)
    settings.RESTORE_JOBS_FROM_MB = 0
    before = list_databases(server)
    verification = run_prove(backup)
    assert (verification.outcome, verification.compared["rows"]) == ("pass", 5150)
    assert modes == [(0o600, b"PGDMP", "tmp")]
    assert list_plain_files() == set()
    assert list_databases(server) == before


def test_it_streams_what_does_not_fit_beside(
    backup: Backup, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RESTORE_JOBS_FROM_MB = 0
    monkeypatch.setattr(plaintext, "free_bytes", lambda: 10)
    monkeypatch.setattr(plaintext, "new_file", None)
    assert run_prove(backup).outcome == "pass"


def test_a_damaged_artifact_is_damaged_with_several_jobs_too(backup: Backup, settings: Settings) -> None:
    settings.RESTORE_JOBS_FROM_MB = 0
    path = storage.artifact_path(backup.artifact)
    path.write_bytes(path.read_bytes()[:-1])
    verification = run_prove(backup)
    assert (verification.outcome, "is damaged" in verification.detail) == ("fail", True)


def test_it_says_what_room_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plaintext, "free_bytes", lambda: 1_000_000)
    with pytest.raises(JobError, match="has 1 MB to spare and 2 MB are needed") as caught:
        plaintext.require_room(2_000_000)
    assert caught.value.code == ErrorCode.NO_SPACE


def test_assertions_are_not_asked_of_another_database_of_the_server(database: Database, server: Server) -> None:
    server.create_database("shop_two", "CREATE TABLE t (n int)")
    assert_that(database, "SELECT count(*) = 5000 FROM public.orders")
    backup = take_sibling(database, "shop_two")
    verification = run_prove(backup)
    assert (verification.outcome, verification.compared["assertions"]) == ("pass", []), verification.detail


def test_it_does_not_ask_about_a_table_that_a_partial_backup_leaves_out(database: Database) -> None:
    assert_that(database, "SELECT count(*) > 0 FROM log.events")
    ProofAssertion.objects.create(database=database, name="customers", sql="SELECT count(*) > 0 FROM customers")
    taken = dumps.take(catalogue.request_backup(database, plan=catalogue.Plan(without="log")).pk)
    assert taken is not None
    verification = run_prove(taken)
    assert verification.outcome == "pass", verification.detail
    assert verification.compared["assertions"] == [
        {"name": "it holds", "holds": None, "said": "It was not asked, because the backup leaves out log.events."},
        {"name": "customers", "holds": True, "said": ""},
    ]
    # One that was to be there is missed as ever.
    ProofAssertion.objects.create(database=database, name="gone", sql="SELECT count(*) > 0 FROM gone")
    verification = run_prove(taken)
    assert verification.outcome == "fail"
    assert 'relation "gone" does not exist' in verification.detail
