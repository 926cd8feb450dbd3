"""Copies of a backup in several stores: a local one and a real S3 server."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import catalogue, copying, dumps, pruning, reaper, restore_requests, restores, store_check, stores, tasks
from backups.errors import ErrorCode
from backups.models import Backup, BackupCopy, State, StoreState, Verification
from readiness.models import Database
from tests.backups.conftest import list_files, run_prove, run_verify
from tests.backups.store_settings import BUCKET, s3_client, s3_text, use_stores
from tests.conftest import Server
from tests.servers.object_stores import ObjectServer, nanio_server


@pytest.fixture
def offsite(tmp_path: Path, store: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """An S3 server that the settings know as the store offsite."""
    with nanio_server(tmp_path) as server:
        monkeypatch.setenv("S3_KEY", server.access_key)
        monkeypatch.setenv("S3_SECRET", server.secret_key)
        client: Any = s3_client(server)
        client.create_bucket(Bucket=BUCKET)
        use_stores(settings, s3_text(server))
        yield server


def take_into(database: Database, *names: str) -> Backup:
    """A backup that went through the steps of its task up to the copies."""
    backup = dumps.take(catalogue.request_backup(database, plan=catalogue.Plan(stores=names)).pk)
    assert backup is not None
    for copy in backup.copies.filter(state=State.QUEUED):
        copying.copy(copy.pk)
    return backup


def states(backup: Backup) -> dict[str, str]:
    return {copy.store: "damaged" if copy.damaged_at else copy.state for copy in backup.copies.all()}


def files_of(backup: Backup) -> list[str]:
    return sorted([backup.artifact, backup.artifact + ".manifest.json"])


def corrupt_local(store: Path, backup: Backup) -> None:
    path = store / backup.artifact
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def spooled(settings: Settings) -> list[Path]:
    return [path for path in (Path(settings.VAR_DIR) / "spool").rglob("*") if path.is_file()]


def test_it_copies_into_every_store(database: Database, offsite: ObjectServer, store: Path) -> None:
    backup = take_into(database, "offsite", "local")
    assert backup.stores == ["local", "offsite"]
    assert states(backup) == {"local": "done", "offsite": "done"}
    assert sorted(stores.open_store("offsite").list_names()) == files_of(backup)
    assert stores.open_store("offsite").read_bytes(backup.artifact) == (store / backup.artifact).read_bytes()
    assert all(copy.read_back_at for copy in backup.copies.all())
    report = StoreState.objects.get(name="offsite")
    assert (report.is_usable, report.error) == (True, "")


def test_it_needs_no_local_store(database: Database, offsite: ObjectServer, store: Path, settings: Settings) -> None:
    backup = take_into(database, "offsite")
    assert backup.status == "done"
    assert states(backup) == {"offsite": "done"}
    assert list_files(store) == set()
    reaper.reap()
    assert spooled(settings) == []
    assert run_verify(backup).outcome == "pass"
    assert run_prove(backup).outcome == "pass"


def test_it_does_not_fail_a_backup_for_a_copy_and_tries_that_again(
    database: Database, offsite: ObjectServer, tmp_path: Path, settings: Settings
) -> None:
    offsite.stop()
    backup = take_into(database, "local", "offsite")
    assert backup.status == "done"
    copy = backup.copies.get(store="offsite")
    assert (copy.state, copy.attempts, copy.error_code) == (State.FAILED, 1, ErrorCode.STORE_UNREACHABLE)
    assert "cannot be reached" in copy.error
    assert StoreState.objects.get(name="offsite").error == copy.error
    assert copy.next_try_at is not None
    assert timedelta(0) < copy.next_try_at - timezone.now() <= timedelta(minutes=1)
    assert catalogue.find_copies_to_retry(timezone.now()) == []

    (tmp_path / "again").mkdir()
    with nanio_server(tmp_path / "again") as server:
        client: Any = s3_client(server)
        client.create_bucket(Bucket=BUCKET)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("S3_KEY", server.access_key)
            patch.setenv("S3_SECRET", server.secret_key)
            use_stores(settings, s3_text(server))
            (retried,) = catalogue.find_copies_to_retry(timezone.now() + timedelta(minutes=2))
            assert catalogue.find_copies_to_retry(timezone.now() + timedelta(minutes=2)) == []
            assert tasks.copy_backup(retried.pk) == State.DONE
            assert states(backup) == {"local": "done", "offsite": "done"}
            assert StoreState.objects.get(name="offsite").error == ""


def test_it_fails_when_no_store_takes_the_backup(database: Database, offsite: ObjectServer, settings: Settings) -> None:
    offsite.stop()
    backup = take_into(database, "offsite")
    assert (backup.state, backup.error_code) == (State.FAILED, ErrorCode.STORE_UNREACHABLE)
    assert backup.copies.count() == 0
    assert spooled(settings) == []


def test_it_sends_to_the_next_store_when_the_first_refuses(
    database: Database, offsite: ObjectServer, settings: Settings, store: Path
) -> None:
    use_stores(settings, s3_text(offsite) + s3_text(replace(offsite, endpoint="http://127.0.0.1:9"), name="first"))
    settings.BACKUP_STORE_CONFIGS = {
        name: settings.BACKUP_STORE_CONFIGS[name] for name in ("local", "first", "offsite")
    }
    backup = take_into(database, "offsite", "first")
    assert backup.stores == ["first", "offsite"]
    assert (backup.status, states(backup)) == ("done", {"first": "failed", "offsite": "done"})
    assert spooled(settings) == []
    verified = run_verify(backup)
    assert verified.outcome == "pass", verified.detail


def test_it_reads_another_copy_when_one_is_damaged_and_mends_that(
    database: Database, offsite: ObjectServer, store: Path
) -> None:
    backup = take_into(database, "local", "offsite")
    whole = (store / backup.artifact).read_bytes()
    corrupt_local(store, backup)
    verified = run_verify(backup)
    assert (verified.outcome, backup.damaged_at) == ("pass", None)
    assert "local" in verified.detail
    assert states(backup) == {"local": "damaged", "offsite": "done"}
    assert run_prove(backup).outcome == "pass"
    path = store.parent / "plain"
    assert store_check.export_plain(backup, path) == backup.plain_bytes

    (mended,) = catalogue.find_copies_to_retry(timezone.now())
    copying.copy(mended.pk)
    assert states(backup) == {"local": "done", "offsite": "done"}
    assert (store / backup.artifact).read_bytes() == whole


def test_it_reads_another_copy_when_one_store_is_down(database: Database, offsite: ObjectServer, store: Path) -> None:
    backup = take_into(database, "local", "offsite")
    offsite.stop()
    verified = run_verify(backup)
    assert (verified.outcome, backup.status) == ("pass", "verified")
    assert "offsite" in verified.detail
    assert states(backup) == {"local": "done", "offsite": "done"}


def test_it_calls_a_backup_damaged_when_every_copy_is(database: Database, offsite: ObjectServer, store: Path) -> None:
    backup = take_into(database, "local", "offsite")
    corrupt_local(store, backup)
    client: Any = s3_client(offsite)
    client.put_object(Bucket=BUCKET, Key=f"backups/{backup.artifact}", Body=b"something else")
    assert run_verify(backup).outcome == "fail"
    assert backup.status == "damaged"


def test_it_takes_a_truncated_upload_for_none(
    database: Database, offsite: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = stores.RemoteStore.put

    def put_half(self: stores.RemoteStore, name: str, source: Any) -> None:
        put(self, name, source)
        if name.endswith(".age"):
            client: Any = s3_client(offsite)
            kept = client.get_object(Bucket=BUCKET, Key=f"backups/{name}")["Body"].read(100)
            client.put_object(Bucket=BUCKET, Key=f"backups/{name}", Body=kept)

    monkeypatch.setattr(stores.RemoteStore, "put", put_half)
    backup = take_into(database, "local", "offsite")
    copy = backup.copies.get(store="offsite")
    assert (copy.state, copy.error_code) == (State.FAILED, ErrorCode.STORE_FAILED)
    assert "does not give back what was written" in copy.error
    assert stores.open_store("offsite").list_names() == []


@pytest.mark.django_db(transaction=True)
def test_it_stops_an_upload_within_five_seconds_and_leaves_nothing(
    database: Database, offsite: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = dumps.take(catalogue.request_backup(database, plan=catalogue.Plan(stores=("local", "offsite"))).pk)
    assert backup is not None
    reading = threading.Event()
    read = copying._Watched.read

    def slow(self: Any, size: int = -1) -> bytes:
        reading.set()
        time.sleep(0.2)
        return read(self, min(size, 50) if size > 0 else 50)

    monkeypatch.setattr(copying._Watched, "read", slow)
    monkeypatch.setattr("backups.store_kinds.s3.CHUNK_BYTES", 5 * 1024 * 1024)
    copy = backup.copies.get(store="offsite")
    asked: list[float] = []

    def cancel() -> None:
        reading.wait(20)
        catalogue.request_cancel(BackupCopy.objects.get(pk=copy.pk))
        asked.append(time.monotonic())

    thread = threading.Thread(target=cancel)
    thread.start()
    done = copying.copy(copy.pk)
    ended = time.monotonic()
    thread.join()
    assert done is not None
    assert done.state == State.CANCELLED
    assert ended - asked[0] < 5
    reaper.reap()
    assert stores.open_store("offsite").list_names() == []


def test_it_deletes_from_every_store_and_shows_one_that_refuses(
    database: Database, offsite: ObjectServer, store: Path
) -> None:
    backup = take_into(database, "local", "offsite")
    assert catalogue.expire(backup, "nobody wants it", timezone.now())
    offsite.stop()
    assert not catalogue.delete_expired(Backup.objects.get(pk=backup.pk))
    backup.refresh_from_db()
    assert "cannot be reached" in backup.delete_error
    assert list_files(store) == set()
    assert pruning.retry_deletions() == 0


def test_it_rebuilds_from_a_remote_store_alone(database: Database, offsite: ObjectServer, store: Path) -> None:
    backup = take_into(database, "offsite")
    Backup.objects.all().delete()
    rebuilt = store_check.rebuild_catalogue("test", "offsite")
    (again,) = rebuilt.added
    assert rebuilt.refused == ()
    assert (again.artifact, again.sha256, again.tables) == (backup.artifact, backup.sha256, backup.tables)
    again.refresh_from_db()
    assert states(again) == {"offsite": "done"}
    assert run_prove(again).outcome == "pass"


def test_it_lists_what_every_store_has_too_much_or_too_little(
    database: Database, offsite: ObjectServer, store: Path
) -> None:
    backup = take_into(database, "local", "offsite")
    client: Any = s3_client(offsite)
    client.delete_object(Bucket=BUCKET, Key=f"backups/{backup.artifact}")
    client.put_object(Bucket=BUCKET, Key="backups/shop/stray.dump.zst.age", Body=b"x")
    tasks.tend()
    state = StoreState.objects.get(name="offsite")
    assert (state.orphans, state.missing) == (["shop/stray.dump.zst.age"], [backup.pk])
    local = StoreState.objects.get(name="local")
    assert (local.orphans, local.missing) == ([], [])


def test_it_copies_from_the_only_store_that_has_it(
    database: Database, offsite: ObjectServer, store: Path, settings: Settings
) -> None:
    backup = take_into(database, "local", "offsite")
    whole = (store / backup.artifact).read_bytes()
    for path in store.rglob("*.*"):
        path.unlink()
    assert run_verify(backup).outcome == "pass"
    (mended,) = catalogue.find_copies_to_retry(timezone.now())
    done = copying.copy(mended.pk)
    assert done is not None
    assert done.state == State.DONE, done.error
    assert (store / backup.artifact).read_bytes() == whole
    assert json.loads((store / (backup.artifact + ".manifest.json")).read_text())["sha256"] == backup.sha256
    assert spooled(settings) == []


def test_it_verifies_every_copy_of_a_pipeline(database: Database, offsite: ObjectServer) -> None:
    request = catalogue.request_backup(database, plan=catalogue.Plan(stores=("local", "offsite")))
    assert tasks.take_backup(request.pk) == "proven"
    backup = Backup.objects.get(pk=request.pk)
    assert states(backup) == {"local": "done", "offsite": "done"}
    assert Verification.objects.filter(backup=backup, outcome="pass").count() == 2


def test_the_reaper_clears_what_a_kill_left_in_a_store(
    database: Database, offsite: ObjectServer, settings: Settings
) -> None:
    """As after kill -9 in the middle of reading back: files in the store and the spool, a row that runs."""
    request = catalogue.request_backup(database, plan=catalogue.Plan(stores=("offsite",)))
    backup = catalogue.claim(Backup, request.pk)
    assert backup is not None
    catalogue.note_artifact(backup, "shop/x.dump.zst.age")
    for store in (stores.open_store("offsite"), stores.spool()):
        for name in (backup.artifact, backup.artifact + ".manifest.json"):
            store.put(name, io.BytesIO(b"half"))
    assert len(spooled(settings)) == 2
    Backup.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1), worker={})
    assert reaper.reap() == 1
    assert stores.open_store("offsite").list_names() == []
    assert spooled(settings) == []
    backup.refresh_from_db()
    assert (backup.state, backup.is_swept) == (State.FAILED, True)


def test_the_reaper_fails_a_copy_whose_worker_died_and_it_is_tried_again(
    database: Database, offsite: ObjectServer
) -> None:
    backup = dumps.take(catalogue.request_backup(database, plan=catalogue.Plan(stores=("local", "offsite"))).pk)
    assert backup is not None
    copy = catalogue.claim(BackupCopy, backup.copies.get(store="offsite").pk)
    assert copy is not None
    BackupCopy.objects.filter(pk=copy.pk).update(lease_expires_at=timezone.now() - timedelta(minutes=1), worker={})
    assert reaper.reap() == 1
    (again,) = catalogue.find_copies_to_retry(timezone.now() + timedelta(minutes=2))
    assert tasks.copy_backup(again.pk) == State.DONE
    assert states(backup) == {"local": "done", "offsite": "done"}


def test_it_downloads_from_the_store_that_has_it(
    database: Database, offsite: ObjectServer, otto: User, sign_in: Callable[[User], Client]
) -> None:
    backup = take_into(database, "offsite")
    answer = sign_in(otto).get(reverse("download_backup", args=[backup.pk]))
    assert answer.status_code == 200
    body = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert answer["Content-Length"] == str(len(body)) == str(backup.bytes)
    assert hashlib.sha256(body).hexdigest() == backup.sha256
    offsite.stop()
    answer = sign_in(otto).get(reverse("download_backup", args=[backup.pk]), follow=True)
    assert "cannot be reached" in answer.content.decode()


def test_it_restores_from_the_store_that_has_it(database: Database, offsite: ObjectServer, server: Server) -> None:
    backup = take_into(database, "offsite")
    restore = restore_requests.request_restore(backup, "from_offsite")
    server.made.append("from_offsite")
    done = restores.restore(restore.pk)
    assert done is not None
    assert done.state == State.DONE, done.error
    assert done.compared["different"] == []
