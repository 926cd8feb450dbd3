"""Real processes killed, disks filled, bits flipped: no bad backup is called good, and the next one succeeds."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from backups import catalogue, dumps, reaper, restore_requests, restores, storage, verify
from backups.errors import ErrorCode
from backups.models import Backup, Job, Restore, State, Verification
from portal.processes import is_same_process
from readiness.models import Database
from tests.backups import conftest as room
from tests.backups.conftest import list_databases, list_files, run_prove, run_verify, take
from tests.conftest import Server

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(sys.platform != "linux", reason="dead processes are recognised through /proc"),
]

# The fixtures of the backups room.
store, shop, database = room.store, room.shop, room.database

Start = Callable[..., subprocess.Popen[bytes]]


def wait_until(is_true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def find_running(model: type[Job], program: str) -> Job | None:
    """The job whose holder has started ``program``."""
    for job in model._default_manager.filter(state=State.RUNNING):
        if any(child["program"] == program for child in job.worker.get("children", [])):
            return job
    return None


def wait_for_running(model: type[Job], program: str) -> Job:
    wait_until(lambda: find_running(model, program))
    job = find_running(model, program)
    assert job is not None
    return job


def wait_until_children_are_gone(job: Job) -> None:
    wait_until(lambda: not any(is_same_process(c["pid"], c["start_time"]) for c in job.worker["children"]), 10)


@pytest.fixture
def start(manage: list[str], process_env: dict[str, str], store: Path) -> Iterator[Start]:
    """Starts manage.py backup ... as a process of its own on the test's database and store."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        # Its output is the test's own, so that pytest shows it when the test fails.
        process = subprocess.Popen(
            [*manage, "backup", *arguments], env={**process_env, "BACKUP_STORE": str(store)}, stdin=subprocess.DEVNULL
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def slow_restore(server: Server, shop: str) -> None:
    """A table whose constraint makes every restore wait a minute, in the data phase."""
    with server.connect("shop") as other:
        other.execute(
            "CREATE FUNCTION dawdle(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS "
            "$$ BEGIN IF current_database() LIKE 'preflight%' THEN PERFORM pg_sleep(60); END IF; RETURN true; END $$"
        )
        other.execute("CREATE TABLE slow (a int CHECK (public.dawdle(a)))")
        other.execute("INSERT INTO slow VALUES (1)")


def test_it_survives_kill_9_while_pg_dump_waits_for_a_lock(
    database: Database, server: Server, store: Path, start: Start
) -> None:
    # Within a transaction pg_stat_activity stands still, so somebody else looks.
    with server.connect("shop") as other, server.connect() as looking:
        other.execute("BEGIN")
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        worker = start("create", "shop-production")
        job = wait_for_running(Backup, "pg_dump")
        wait_until(
            lambda: looking.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'",
                [job.application_name],
            ).fetchone()
        )
        assert any(name.endswith(".part") for name in list_files(store))
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        wait_until_children_are_gone(job)
        assert reaper.reap() == 1
        failed = Backup.objects.get(pk=job.pk)
        assert (failed.status, failed.error_code) == ("failed", ErrorCode.ABANDONED)
        assert "The worker died while" in failed.error
        assert list_files(store) == set()
        wait_until(
            lambda: (
                not looking.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE application_name = %s", [job.application_name]
                ).fetchone()
            ),
            seconds=5,
        )
    assert take(database).status == "done"


def test_it_survives_kill_9_of_pg_dump_alone(database: Database, server: Server, store: Path) -> None:
    queued = catalogue.request_backup(database)

    def kill() -> None:
        job = wait_for_running(Backup, "pg_dump")
        os.kill(job.worker["children"][0]["pid"], signal.SIGKILL)
        connection.close()

    with server.connect("shop") as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        killer = threading.Thread(target=kill)
        killer.start()
        failed = dumps.take(queued.pk)
        killer.join()
    assert failed is not None
    assert failed.error == "pg_dump was killed by signal 9: try again."
    assert list_files(store) == set()
    assert take(database).status == "done"


def test_it_says_that_the_server_hung_up_in_the_middle(database: Database, server: Server, store: Path) -> None:
    queued = catalogue.request_backup(database)

    def hang_up() -> None:
        job = wait_for_running(Backup, "pg_dump")
        with server.connect() as other:
            wait_until(
                lambda: other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = %s AND wait_event_type = 'Lock'",
                    [job.application_name],
                ).fetchone()
            )
        connection.close()

    with server.connect("shop") as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        breaker = threading.Thread(target=hang_up)
        breaker.start()
        failed = dumps.take(queued.pk)
        breaker.join()
    assert failed is not None
    assert failed.error_code == ErrorCode.CONNECTION_LOST
    assert "broke in the middle" in failed.error
    assert list_files(store) == set()
    assert take(database).status == "done"


def test_it_ends_politely_on_sigterm(database: Database, server: Server, store: Path, start: Start) -> None:
    with server.connect("shop") as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        worker = start("create", "shop-production")
        job = wait_for_running(Backup, "pg_dump")
        worker.terminate()
        assert worker.wait(20) == 128 + signal.SIGTERM
    wait_until_children_are_gone(job)
    failed = Backup.objects.get(pk=job.pk)
    assert (failed.status, failed.error_code) == ("failed", ErrorCode.STOPPED)
    assert "ran out of time or was shut down" in failed.error
    assert list_files(store) == set()


def test_it_survives_kill_9_in_the_middle_of_a_proof(
    slow_restore: None, database: Database, server: Server, start: Start
) -> None:
    backup = take(database)
    worker = start("prove", str(backup.pk))
    job = wait_for_running(Verification, "pg_restore")
    wait_until(lambda: any(name.startswith("preflight_proof_") for name in list_databases(server)))
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    wait_until_children_are_gone(job)
    assert reaper.reap() == 1
    ended = Verification.objects.get(pk=job.pk)
    assert (ended.state, ended.outcome, ended.is_swept) == (State.FAILED, "error", True)
    assert not any(name.startswith("preflight_") for name in list_databases(server))
    backup.refresh_from_db()
    assert backup.status == "done"


def test_it_survives_kill_9_in_the_middle_of_a_restore(
    slow_restore: None, database: Database, server: Server, start: Start
) -> None:
    backup = take(database)
    server.drop_database("shop_back")
    worker = start("restore", str(backup.pk), "--into", "shop_back")
    job = wait_for_running(Restore, "pg_restore")
    wait_until(lambda: any(name.startswith("preflight_restoring_") for name in list_databases(server)))
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    wait_until_children_are_gone(job)
    assert not server.has_database("shop_back")
    assert reaper.reap() == 1
    failed = Restore.objects.get(pk=job.pk)
    assert (failed.state, failed.is_swept) == (State.FAILED, True)
    assert not any(name.startswith("preflight_") for name in list_databases(server))
    assert not server.has_database("shop_back")


def test_it_survives_kill_9_of_pg_restore_alone(slow_restore: None, database: Database, server: Server) -> None:
    backup = take(database)
    request = restore_requests.request_restore(backup, "shop_back")

    def kill() -> None:
        job = wait_for_running(Restore, "pg_restore")
        os.kill(job.worker["children"][0]["pid"], signal.SIGKILL)
        connection.close()

    killer = threading.Thread(target=kill)
    killer.start()
    failed = restores.restore(request.pk)
    killer.join()
    assert failed is not None
    assert failed.error == "pg_restore was killed by signal 9: try again."
    assert not any(name.startswith("preflight_") for name in list_databases(server))
    assert not server.has_database("shop_back")


def test_it_stops_a_proof_that_is_cancelled(slow_restore: None, database: Database, server: Server) -> None:
    backup = take(database)
    request = catalogue.request_verification(backup, "prove")

    def cancel() -> None:
        catalogue.request_cancel(wait_for_running(Verification, "pg_restore"))
        connection.close()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    ended = verify.prove(request.pk)
    canceller.join()
    assert ended is not None
    assert (ended.state, ended.outcome) == (State.CANCELLED, "")
    assert not any(name.startswith("preflight_") for name in list_databases(server))


def test_it_notices_two_hundred_damages(database: Database) -> None:
    backup = take(database)
    for path in (storage.artifact_path(backup.artifact), storage.manifest_path(backup.artifact)):
        whole = path.read_bytes()
        for seed in range(100):
            chance = random.Random(seed)
            damaged = bytearray(whole)
            if seed % 5 == 0:
                del damaged[chance.randrange(len(whole)) :]
            else:
                damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
            path.write_bytes(damaged)
            assert run_verify(backup).outcome == "fail", f"seed {seed} of {path.name}"
            assert backup.status == "damaged"
        path.write_bytes(whole)
        assert run_verify(backup).outcome == "pass"
    assert backup.status == "verified"


def test_it_never_proves_a_damaged_artifact(database: Database, server: Server) -> None:
    backup = take(database)
    path = storage.artifact_path(backup.artifact)
    whole = path.read_bytes()
    for seed in range(5):
        damaged = bytearray(whole)
        damaged[random.Random(seed).randrange(len(whole))] ^= 1
        path.write_bytes(damaged)
        verification = run_prove(backup)
        assert (verification.outcome, backup.proven_at) == ("fail", None)
        assert "is damaged" in verification.detail
    assert not any(name.startswith("preflight_") for name in list_databases(server))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_it_says_that_the_disk_is_full(
    database: Database, server: Server, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(store)], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        with server.connect("shop") as other:
            other.execute("CREATE TABLE noise AS SELECT gen_random_uuid() AS a FROM generate_series(1, 60000)")
        refused = take(database)
        assert refused.error_code == ErrorCode.NO_SPACE
        assert "free some space" in refused.error
        monkeypatch.setattr("backups.stores.DirectoryStore.free_bytes", lambda _store: 10**12)
        failed = take(database)
        assert failed.error_code == ErrorCode.NO_SPACE
        assert f"The backup store {store}" in failed.error
        assert list_files(store) == set()
        with server.connect("shop") as other:
            other.execute("DROP TABLE noise")
        assert take(database).status == "done"
    finally:
        subprocess.run(["umount", str(store)], check=True)


def test_it_does_not_end_a_job_that_renews_its_lease(database: Database, server: Server, settings: Settings) -> None:
    settings.BACKUP_LEASE_SECONDS = 2
    queued = catalogue.request_backup(database)
    failed_by_reaper: list[int] = []

    def reap_while_it_waits(holder: psycopg.Connection[Any]) -> None:
        wait_for_running(Backup, "pg_dump")
        for _ in range(8):
            failed_by_reaper.append(reaper.reap())
            time.sleep(0.5)
        holder.execute("ROLLBACK")
        connection.close()

    with server.connect("shop") as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        watcher = threading.Thread(target=reap_while_it_waits, args=[other])
        watcher.start()
        taken = dumps.take(queued.pk)
        watcher.join()
    assert sum(failed_by_reaper) == 0
    assert taken is not None
    assert taken.status == "done"
