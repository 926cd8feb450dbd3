"""One dump from request to artifact, on a real server with the real pg_dump."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from pathlib import Path

import pyrage
import pytest
from pytest_django.fixtures import Settings

from backups import catalogue, dumps, pg_binaries, snapshot, storage
from backups.errors import ErrorCode
from backups.models import Backup, State
from backups.stores import DirectoryStore
from readiness.models import Database
from tests.backups.conftest import SHOP_TABLES, list_files, run_verify, take
from tests.conftest import Server


def test_it_takes_a_backup_of_one_moment(backup: Backup, store: Path) -> None:
    assert (backup.status, backup.error) == ("done", "")
    artifact = storage.artifact_path(backup.artifact)
    assert artifact.is_relative_to(store.resolve())
    assert backup.bytes == artifact.stat().st_size
    assert backup.sha256 == hashlib.sha256(artifact.read_bytes()).hexdigest()
    assert backup.tables == SHOP_TABLES
    assert set(backup.snapshot) == {"lsn", "timeline", "taken_at", "system_identifier", "server_version"}
    assert backup.taken_at is not None
    assert backup.taken_at.isoformat() == backup.snapshot["taken_at"]
    assert backup.duration_ms is not None
    assert (backup.percent, backup.is_swept, backup.lease_expires_at) == (100, True, None)
    assert backup.tool_version.startswith(str(backup.metadata["server_version_num"] // 10000))


def test_it_encrypts_what_it_stores(backup: Backup) -> None:
    content = storage.artifact_path(backup.artifact).read_bytes()
    assert content.startswith(b"age-encryption.org/v1")
    assert b"customer 1" not in content


def test_it_writes_a_manifest_that_alone_describes_the_backup(backup: Backup, database: Database) -> None:
    text = storage.manifest_path(backup.artifact).read_text()
    manifest = json.loads(text)
    assert manifest["tables"] == SHOP_TABLES
    assert manifest["sha256"] == backup.sha256
    assert manifest["snapshot"] == backup.snapshot
    assert manifest["metadata"]["encoding"] == "UTF8"
    assert manifest["recipients"][0].startswith("age1")
    assert "AGE-SECRET" not in text
    assert "password" not in text


def test_it_leaves_only_artifact_and_manifest(backup: Backup, store: Path, settings: Settings) -> None:
    name = backup.artifact.rpartition("/")[2]
    assert list_files(store) == {name, f"{name}.manifest.json"}
    assert list((Path(settings.VAR_DIR) / "tmp").glob("*.service")) == []


def test_it_takes_a_queued_backup_once(database: Database) -> None:
    queued = catalogue.request_backup(database)
    assert dumps.take(queued.pk) is not None
    assert dumps.take(queued.pk) is None


def test_it_says_that_the_password_is_wrong_and_nothing_of_it(database: Database, server: Server, store: Path) -> None:
    database.dsn = "postgresql://postgres:wr0ng-s3cret@127.0.0.1:{}/shop".format(
        server.dsn().split("port=")[1].split()[0]
    )
    database.save()
    failed = take(database)
    assert (failed.state, failed.error_code) == (State.FAILED, ErrorCode.AUTHENTICATION)
    assert "did not let postgres in" in failed.error
    assert "wr0ng" not in repr(failed.__dict__)
    assert list_files(store) == set()


def test_it_says_that_nothing_listens(database: Database) -> None:
    database.dsn = "postgresql://app@127.0.0.1:1/shop"
    database.save()
    failed = take(database)
    assert failed.error_code == ErrorCode.UNREACHABLE
    assert "127.0.0.1:1" in failed.error


def test_it_says_which_reference_cannot_be_read(database: Database) -> None:
    database.dsn = "env:NO_SUCH_VARIABLE"
    database.save()
    failed = take(database)
    assert failed.error_code == ErrorCode.BAD_CONNECTION
    assert "NO_SUCH_VARIABLE" in failed.error


def test_it_names_the_table_that_the_role_may_not_read(database: Database, server: Server, store: Path) -> None:
    with server.connect("shop") as other:
        other.execute("DROP ROLE IF EXISTS blind")
        other.execute("CREATE ROLE blind LOGIN PASSWORD 'sees little'")
        other.execute("GRANT SELECT ON customers TO blind")
        other.execute("GRANT USAGE ON SCHEMA log TO blind")
    try:
        url = server.url("shop")
        database.dsn = "postgresql://blind:sees%20little@" + url.rpartition("@")[2]
        database.save()
        failed = take(database)
        assert failed.error_code == ErrorCode.PERMISSION, failed.error
        assert "blind may not read table" in failed.error
        assert list_files(store) == set()
    finally:
        with server.connect("shop") as other:
            other.execute("DROP OWNED BY blind")
            other.execute("DROP ROLE blind")


def test_it_names_the_package_of_a_missing_client(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_binaries, "list_clients", lambda: iter(()))
    failed = take(database)
    assert failed.error_code == ErrorCode.CLIENT_MISSING
    assert "install the package postgresql-client-" in failed.error


def test_it_refuses_before_writing_when_the_store_is_too_small(
    database: Database, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    monkeypatch.setattr(DirectoryStore, "free_bytes", lambda _store: 1_000_000)
    failed = take(database)
    assert failed.error_code == ErrorCode.NO_SPACE
    assert "has 1 MB free" in failed.error
    assert list_files(store) == set()


def test_it_expects_about_as_much_as_last_time(
    backup: Backup, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert backup.bytes is not None
    monkeypatch.setattr(DirectoryStore, "free_bytes", lambda _store: (backup.bytes or 0) * 2)
    assert take(database).status == "done"


def test_it_names_a_locked_table_after_trying_again(
    database: Database, server: Server, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "LOCK_TIMEOUT", "300ms")
    phases: list[str] = []
    with server.connect("shop") as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        failed = dumps.take(catalogue.request_backup(database).pk, lambda phase, percent: phases.append(phase))
    assert failed is not None
    assert failed.error_code == ErrorCode.LOCK_TIMEOUT
    assert "Table public.orders of shop stayed locked" in failed.error
    assert phases.count("waiting for a lock") == dumps.LOCK_ATTEMPTS - 1
    assert list_files(store) == set()
    assert take(database).status == "done"


@pytest.mark.django_db(transaction=True)
def test_it_stops_within_seconds_when_it_is_cancelled(database: Database, server: Server, store: Path) -> None:
    queued = catalogue.request_backup(database)

    def cancel() -> None:
        from django.db import connection

        deadline = time.monotonic() + 20
        while not Backup.objects.filter(pk=queued.pk, state=State.RUNNING, worker__children__0__program="pg_dump"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert catalogue.request_cancel(Backup.objects.get(pk=queued.pk))
        connection.close()

    with server.connect("shop") as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        canceller = threading.Thread(target=cancel)
        canceller.start()
        ended = dumps.take(queued.pk)
        canceller.join()
    assert ended is not None
    assert (ended.status, ended.error) == ("cancelled", "")
    assert ended.finished_at is not None
    assert ended.cancel_requested_at is not None
    assert (ended.finished_at - ended.cancel_requested_at).total_seconds() < 5
    assert list_files(store) == set()


def test_it_leaves_no_file_when_the_row_was_taken_away(
    database: Database, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*args: object, **kwargs: object) -> bool:
        Backup.objects.update(state=State.FAILED)
        return False

    monkeypatch.setattr(catalogue, "finish_backup", lose)
    assert take(database).state == State.FAILED
    assert list_files(store) == set()


def test_it_survives_a_failure_of_its_own_without_a_traceback_in_the_row(
    database: Database, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*args: object) -> str:
        raise RuntimeError("postgresql://app:s3cret@db/shop")

    monkeypatch.setattr(storage, "write_manifest", explode)
    failed = take(database)
    assert failed.error_code == ErrorCode.INTERNAL
    assert "RuntimeError" in failed.error
    assert "s3cret" not in failed.error
    assert list_files(store) == set()


def test_it_dumps_a_database_of_strange_names(database: Database, server: Server) -> None:
    database.dsn = server.create_database(
        "Strange; name", 'CREATE SCHEMA "a.b"', 'CREATE TABLE "a.b"."c d" AS SELECT 1 AS "x ""y"""'
    )
    database.save()
    backup = take(database)
    assert (backup.status, backup.tables) == ("done", {'"a.b".c d': 1})


def test_it_encrypts_to_every_recipient_at_the_level_that_was_set(
    database: Database, settings: Settings, tmp_path: Path, store: Path
) -> None:
    safe = pyrage.x25519.Identity.generate()
    plain = take(database)
    own = json.loads(storage.manifest_path(plain.artifact).read_text())["recipients"]
    settings.AGE_RECIPIENTS = [*own, str(safe.to_public())]
    settings.BACKUP_ZSTD_LEVEL = 19
    backup = take(database)
    assert json.loads(storage.manifest_path(backup.artifact).read_text())["recipients"] == settings.AGE_RECIPIENTS
    assert backup.bytes is not None
    assert plain.bytes is not None
    assert backup.bytes < plain.bytes
    (tmp_path / "safe.txt").write_text(f"{safe}\n")
    for identity in ("", str(tmp_path / "safe.txt")):
        settings.AGE_IDENTITY_FILE = identity
        assert run_verify(backup).outcome == "pass"
