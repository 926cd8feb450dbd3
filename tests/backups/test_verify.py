"""Reading backups to the end and proving them by a restore: what counts as good, and what heals."""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest
from pytest_django.fixtures import Settings

from backups import catalogue, pg_binaries, storage
from backups.errors import ErrorCode, RequestError
from backups.models import Backup, State, Verification
from readiness.models import Database
from tests.backups.conftest import list_databases, run_prove, run_verify, take
from tests.conftest import Server


def flip_a_bit(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)


def test_it_reads_a_whole_backup(backup: Backup) -> None:
    verification = run_verify(backup)
    assert (verification.state, verification.outcome) == (State.DONE, "pass")
    assert verification.compared["sha256"] == backup.sha256
    assert backup.status == "verified"


def test_it_proves_by_a_restore_and_leaves_nothing(backup: Backup, server: Server) -> None:
    before = list_databases(server)
    verification = run_prove(backup)
    assert (verification.outcome, verification.error) == ("pass", "")
    assert verification.compared["tables"] == 3
    assert verification.compared["rows"] == 5150
    assert verification.detail == "All 3 tables were restored with all of their 5,150 rows."
    assert backup.status == "proven"
    assert list_databases(server) == before
    assert verification.is_swept


def test_it_notices_a_flipped_bit_and_is_content_again_when_it_is_gone(backup: Backup) -> None:
    path = storage.artifact_path(backup.artifact)
    run_prove(backup)
    for position in (0, 40, 200, 1000, -1):
        flip_a_bit(path, position)
        verification = run_verify(backup)
        assert verification.outcome == "fail"
        assert "is damaged" in verification.detail
        assert (backup.status, backup.damage) == ("damaged", verification.detail)
        flip_a_bit(path, position)
        assert run_verify(backup).outcome == "pass"
        assert (backup.status, backup.damage) == ("proven", "")


def test_it_notices_a_truncated_and_a_missing_artifact(backup: Backup) -> None:
    path = storage.artifact_path(backup.artifact)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert run_verify(backup).outcome == "fail"
    path.unlink()
    verification = run_verify(backup)
    assert verification.outcome == "fail"
    assert "is missing" in verification.detail
    assert run_prove(backup).outcome == "fail"
    assert backup.status == "damaged"
    path.write_bytes(whole)
    assert run_verify(backup).outcome == "pass"
    assert backup.status == "verified"


def test_it_notices_a_changed_manifest(backup: Backup) -> None:
    flip_a_bit(storage.manifest_path(backup.artifact), 20)
    verification = run_verify(backup)
    assert verification.outcome == "fail"
    assert "manifest" in verification.detail


def test_it_could_not_tell_with_a_wrong_or_missing_key(backup: Backup, settings: Settings, tmp_path: Path) -> None:
    run_verify(backup)
    path = tmp_path / "other.txt"
    path.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    for identity_file, said in (
        (path, "age key of this portal does not open"),
        (tmp_path / "gone.txt", "cannot be read"),
    ):
        settings.AGE_IDENTITY_FILE = str(identity_file)
        for run in (run_verify, run_prove):
            verification = run(backup)
            assert (verification.outcome, verification.error_code) == ("error", ErrorCode.WRONG_KEY)
            assert said in verification.detail
            assert "AGE-SECRET" not in verification.detail
            assert (backup.status, backup.damage) == ("verified", "")
    settings.AGE_IDENTITY_FILE = ""
    assert run_verify(backup).outcome == "pass"


def test_it_calls_a_damaged_artifact_damaged_whatever_the_key(
    backup: Backup, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "other.txt"
    path.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    settings.AGE_IDENTITY_FILE = str(path)
    flip_a_bit(storage.artifact_path(backup.artifact), -1)
    assert run_verify(backup).outcome == "fail"


def test_it_could_not_tell_without_a_client(backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_binaries, "list_clients", lambda: iter(()))
    verification = run_verify(backup)
    assert (verification.state, verification.outcome) == (State.FAILED, "error")
    assert "postgresql-client-" in verification.detail
    assert backup.status == "done"


def test_it_notices_that_rows_are_not_those_of_the_backup(backup: Backup) -> None:
    run_prove(backup)
    tables = {**backup.tables, "public.orders": 5001, "public.gone": 1}
    Backup.objects.filter(pk=backup.pk).update(tables=tables)
    backup.refresh_from_db()
    verification = run_prove(backup)
    assert verification.outcome == "fail"
    assert verification.detail == (
        "Table public.gone did not exist after the restore and had 1 row in the backup "
        "(2 tables differing, 4 expected)."
    )
    assert backup.status == "damaged"
    run_verify(backup)
    assert backup.status == "damaged"
    Backup.objects.filter(pk=backup.pk).update(tables={k: v for k, v in tables.items() if k != "public.gone"})


def test_it_does_not_prove_on_the_databases_own_server_unless_chosen(backup: Backup, database: Database) -> None:
    database.prove_on_own_server = False
    database.save()
    verification = run_prove(backup)
    assert (verification.state, verification.outcome) == (State.DONE, "not_provable")
    assert "is the database's own server" in verification.detail
    assert "PROOF_DATABASE_URL" in verification.detail
    assert backup.status == "done"


def test_it_uses_the_databases_own_server_when_the_proof_server_is_gone(backup: Backup, settings: Settings) -> None:
    settings.PROOF_DATABASE_URL = "postgresql://app@127.0.0.1:1/x"
    verification = run_prove(backup)
    assert verification.outcome == "pass"
    assert verification.scratch["server"] == "own"


def test_it_could_not_tell_when_the_only_proof_server_is_gone(
    backup: Backup, database: Database, settings: Settings
) -> None:
    database.prove_on_own_server = False
    database.save()
    settings.PROOF_DATABASE_URL = "postgresql://app:s3cret@127.0.0.1:1/x"
    verification = run_prove(backup)
    assert (verification.outcome, verification.error_code) == ("error", ErrorCode.UNREACHABLE)
    assert "s3cret" not in verification.detail
    assert backup.status == "done"


def test_it_says_that_the_proof_server_runs_another_major(backup: Backup) -> None:
    metadata = {**backup.metadata, "server_version_num": 990000}
    Backup.objects.filter(pk=backup.pk).update(metadata=metadata)
    verification = run_prove(backup)
    assert verification.outcome == "not_provable"
    assert "of PostgreSQL 99 and the proof server" in verification.detail


def test_it_says_which_extension_the_proof_server_lacks(backup: Backup) -> None:
    metadata = {**backup.metadata, "extensions": [{"name": "rare_thing", "version": "1"}]}
    Backup.objects.filter(pk=backup.pk).update(metadata=metadata)
    verification = run_prove(backup)
    assert verification.outcome == "not_provable"
    assert "lacks the extension rare_thing" in verification.detail


def test_it_says_that_the_role_may_not_create_databases(backup: Backup, server: Server, settings: Settings) -> None:
    with server.connect() as other:
        other.execute("DROP ROLE IF EXISTS humble")
        other.execute("CREATE ROLE humble LOGIN PASSWORD 'humble'")
    try:
        settings.PROOF_DATABASE_URL = "postgresql://humble:humble@" + server.url("postgres").rpartition("@")[2]
        Database.objects.update(dsn=settings.PROOF_DATABASE_URL)
        verification = run_prove(backup)
        assert verification.outcome == "not_provable"
        assert "may not create databases" in verification.detail
    finally:
        with server.connect() as other:
            other.execute("DROP ROLE humble")


def test_it_makes_the_scratch_database_with_the_originals_locale(database: Database, server: Server) -> None:
    with server.connect() as other:
        other.execute("DROP DATABASE IF EXISTS latin")
        other.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    server.made.append("latin")
    with server.connect("latin") as other:
        other.execute("CREATE TABLE words (word text)")
        other.execute("INSERT INTO words VALUES ('Käse')")
    database.dsn = server.dsn("latin")
    database.save()
    backup = take(database)
    assert backup.metadata["encoding"] == "LATIN1"
    verification = run_prove(backup)
    assert (verification.outcome, verification.compared["notes"]) == ("pass", [])


def test_it_proves_elsewhere_with_a_note_when_a_locale_is_missing(backup: Backup) -> None:
    metadata = {**backup.metadata, "collate": "xx_XX.UTF-8", "ctype": "xx_XX.UTF-8", "locale_provider": "libc"}
    Backup.objects.filter(pk=backup.pk).update(metadata=metadata)
    verification = run_prove(backup)
    assert verification.outcome == "pass"
    assert "xx_XX.UTF-8" in verification.compared["notes"][0]


def test_it_reads_nothing_that_is_not_done(database: Database) -> None:
    queued = catalogue.request_backup(database)
    with pytest.raises(RequestError, match="is queued"):
        catalogue.request_verification(queued, "verify")


def test_it_reads_a_backup_for_one_at_a_time(backup: Backup) -> None:
    catalogue.request_verification(backup, "verify")
    with pytest.raises(RequestError, match="already"):
        catalogue.request_verification(backup, "verify")
    assert catalogue.request_verification(backup, "prove").kind == Verification.Kind.PROVE


def test_what_has_an_altered_manifest_is_not_proven(backup: Backup) -> None:
    """A restore refuses it, so a proof must not say that it can be restored."""
    assert run_prove(backup).outcome == "pass"
    path = Path(storage.artifact_address(backup.artifact)).with_name(f"{Path(backup.artifact).name}.manifest.json")
    whole = path.read_text()
    path.write_text(whole.replace("5000", "5001"))
    proof = run_prove(backup)
    assert (proof.outcome, backup.status) == ("fail", "damaged"), proof.detail
    assert "is not what was written" in proof.detail
    path.write_text(whole)
    assert run_prove(backup).outcome == "pass"
