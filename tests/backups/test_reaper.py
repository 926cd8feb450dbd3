"""What dead workers leave behind is ended, removed and said."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from backups import catalogue, leftovers, reaper, restore_requests, storage
from backups.errors import ErrorCode
from backups.models import Backup, Restore, State, Verification
from backups.servers import parse_server
from portal.processes import is_same_process, read_start_time
from readiness.models import Database
from tests.backups.conftest import list_files
from tests.conftest import Server


def abandon(job: Backup | Verification | Restore) -> None:
    """As if its process had been killed: nobody with its pid started then."""
    type(job).objects.filter(pk=job.pk).update(worker={**job.worker, "start_time": "1"})


@pytest.fixture
def abandoned(database: Database) -> Backup:
    claimed = catalogue.claim(Backup, catalogue.request_backup(database).pk)
    assert claimed is not None
    catalogue.note_artifact(claimed, "shop-production/half.dump.zst.age")
    abandon(claimed)
    return claimed


def test_it_fails_what_was_abandoned_once(abandoned: Backup) -> None:
    assert reaper.reap() == 1
    assert reaper.reap() == 0
    abandoned.refresh_from_db()
    assert (abandoned.state, abandoned.error_code) == (State.FAILED, ErrorCode.ABANDONED)
    assert abandoned.is_swept


def test_it_leaves_running_jobs_alone(database: Database) -> None:
    catalogue.claim(Backup, catalogue.request_backup(database).pk)
    assert reaper.reap() == 0
    assert Backup.objects.get().state == State.RUNNING


def test_it_removes_half_written_files(abandoned: Backup, store: Path) -> None:
    directory = store / "shop-production"
    directory.mkdir(parents=True)
    for ending in ("", ".part", ".manifest.json", ".manifest.json.part"):
        (directory / f"half.dump.zst.age{ending}").touch()
    (directory / "another.dump.zst.age").touch()
    reaper.reap()
    assert list_files(store) == {"another.dump.zst.age"}


def test_it_keeps_the_files_of_a_backup_that_was_finished(backup: Backup) -> None:
    Backup.objects.filter(pk=backup.pk).update(is_swept=False)
    reaper.reap()
    backup.refresh_from_db()
    assert backup.is_swept
    assert storage.artifact_path(backup.artifact).exists()


def test_it_ends_programs_that_survived(abandoned: Backup) -> None:
    survivor = subprocess.Popen(["/bin/sleep", "600"])
    start_time = read_start_time(survivor.pid)
    children = [
        {"pid": survivor.pid, "start_time": start_time, "program": "pg_dump"},
        {"pid": 1, "start_time": "somebody else's by now", "program": "pg_dump"},
    ]
    Backup.objects.update(worker={**leftovers.describe_self(), "start_time": "1", "children": children})
    reaper.reap()
    survivor.wait(10)
    assert not is_same_process(survivor.pid, start_time)


def test_it_ends_sessions_that_survived(abandoned: Backup, server: Server, shop: str) -> None:
    with (
        parse_server(shop).connect(abandoned.application_name) as ours,
        parse_server(shop).connect("preflight backup 1") as another,
    ):
        reaper.reap()
        with server.connect() as looking:
            rows = looking.execute("SELECT pid FROM pg_stat_activity").fetchall()
        pids = {row[0] for row in rows}
        assert ours.info.backend_pid not in pids
        assert another.info.backend_pid in pids


def test_it_drops_the_scratch_database_of_a_proof(backup: Backup, server: Server) -> None:
    claimed = catalogue.claim(Verification, catalogue.request_verification(backup, "prove").pk)
    assert claimed is not None
    server.create_database("preflight_proof_1_0123abcd")
    catalogue.note_scratch(claimed, "own", "preflight_proof_1_0123abcd")
    abandon(claimed)
    with server.connect("preflight_proof_1_0123abcd"):
        reaper.reap()
    claimed.refresh_from_db()
    assert (claimed.outcome, claimed.is_swept) == ("error", True)
    assert not server.has_database("preflight_proof_1_0123abcd")
    backup.refresh_from_db()
    assert backup.status == "done"


def test_it_drops_the_half_of_a_restore_and_not_the_wanted_name(backup: Backup, server: Server) -> None:
    claimed = catalogue.claim(Restore, restore_requests.request_restore(backup, "shop_back").pk)
    assert claimed is not None
    server.create_database("preflight_restoring_1_0123abcd")
    server.create_database("shop_back")
    catalogue.note_scratch(claimed, "own", "preflight_restoring_1_0123abcd")
    abandon(claimed)
    reaper.reap()
    assert not server.has_database("preflight_restoring_1_0123abcd")
    assert server.has_database("shop_back")


def test_it_tries_again_when_a_server_could_not_be_swept(backup: Backup, database: Database, server: Server) -> None:
    claimed = catalogue.claim(Restore, restore_requests.request_restore(backup, "shop_back").pk)
    assert claimed is not None
    server.create_database("preflight_restoring_1_0123abcd")
    catalogue.note_scratch(claimed, "own", "preflight_restoring_1_0123abcd")
    abandon(claimed)
    Database.objects.update(dsn="postgresql://app@127.0.0.1:1/shop")
    reaper.reap()
    claimed.refresh_from_db()
    assert (claimed.state, claimed.is_swept) == (State.FAILED, False)
    Database.objects.update(dsn=server.dsn("shop"))
    reaper.reap()
    claimed.refresh_from_db()
    assert claimed.is_swept
    assert not server.has_database("preflight_restoring_1_0123abcd")


def test_it_sweeps_service_files_of_dead_processes_only(settings: Settings, tmp_path: Path, db: None) -> None:
    settings.VAR_DIR = tmp_path
    directory = tmp_path / "tmp"
    directory.mkdir()
    ended = subprocess.Popen(["/bin/true"])
    namespace, pid, start = leftovers.owner_mark().split("-")
    ended.wait()
    dead = directory / f"{namespace}-{ended.pid}-1-00ff.service"
    mine = directory / f"{namespace}-{pid}-{start}-00ff.service"
    foreign = directory / f"1-{ended.pid}-1-00ff.service"
    for path in (dead, mine, foreign, directory / "notes.txt"):
        path.touch()
    reaper.reap()
    assert {path.name for path in directory.iterdir()} == {mine.name, foreign.name, "notes.txt"}


def test_it_knows_a_reboot_from_another_machine() -> None:
    me = leftovers.describe_self()
    assert not leftovers.is_dead(me)
    assert leftovers.is_dead({**me, "start_time": "1"})
    assert leftovers.is_dead({**me, "boot_id": "the boot before"})
    assert not leftovers.is_dead({**me, "host": "elsewhere", "start_time": "1"})
    assert not leftovers.is_dead({**me, "pid_namespace": 1, "start_time": "1"})
    assert not leftovers.is_dead({})


def test_it_knows_a_restore_that_was_done_when_its_worker_died(backup: Backup, server: Server) -> None:
    """Killed between the rename and the word that it is done; the same name by somebody else's hand is not ours."""
    for mark, state in ((True, State.DONE), (False, State.FAILED)):
        claimed = catalogue.claim(Restore, restore_requests.request_restore(backup, "shop_back").pk)
        assert claimed is not None
        catalogue.note_scratch(claimed, "own", f"preflight_restoring_{claimed.pk}_0123abcd")
        server.create_database("shop_back")
        with server.connect() as other:
            said = claimed.application_name if mark else "mine"
            other.execute(f"COMMENT ON DATABASE shop_back IS '{said}'")
        Restore.objects.filter(pk=claimed.pk).update(worker={**claimed.worker, "start_time": "1"})
        reaper.reap()
        claimed.refresh_from_db()
        assert (claimed.state, claimed.is_swept) == (state, True)
        assert server.has_database("shop_back")
