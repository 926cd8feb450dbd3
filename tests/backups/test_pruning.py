"""Backups that expire, are pinned or cannot be deleted; stores that disagree, and rebuilding from one."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from backups import catalogue, pg_binaries, pruning, storage, store_check, tasks
from backups.errors import RequestError
from backups.models import Backup, BackupSchedule, State
from portal.models import AuditEvent
from readiness.models import Database, Environment
from tests.backups.conftest import list_files, run_prove, run_verify, take


def command(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    stdout, stderr = StringIO(), StringIO()
    status = 0
    try:
        call_command("backup", *arguments, "--json", stdout=stdout, stderr=stderr)
    except SystemExit as ended:
        status = int(ended.code or 0)
    return status, [json.loads(line) for line in stdout.getvalue().splitlines()], stderr.getvalue()


@pytest.fixture
def schedule(database: Database) -> BackupSchedule:
    return BackupSchedule.objects.create(database=database, keep_last=1)


@pytest.fixture
def three(schedule: BackupSchedule, store: Path) -> list[Backup]:
    """Three backups with files, newest first, a day apart; the oldest was proven."""
    made = []
    for days in range(3):
        name = f"shop-production/{days}.dump.zst.age"
        (store / "shop-production").mkdir(parents=True, exist_ok=True)
        for ending in ("", ".manifest.json"):
            (store / (name + ending)).write_text("x")
        at = timezone.now() - timedelta(days=days)
        made.append(
            Backup.objects.create(
                database=schedule.database,
                environment=schedule.database.environment,
                environment_slug="shop-production",
                schedule=schedule,
                state=State.DONE,
                artifact=name,
                bytes=1,
                taken_at=at,
                proven_at=at if days == 2 else None,
            )
        )
    return made


def test_it_lets_go_what_no_rule_keeps_with_its_files(three: list[Backup], store: Path) -> None:
    status, answers, _ = command("prune", "shop-production", "--dry-run")
    assert (status, [each["id"] for each in answers]) == (0, [three[1].pk])
    assert Backup.objects.count() == 3
    assert tasks.tend() == 1
    assert set(Backup.objects.values_list("pk", flat=True)) == {three[0].pk, three[2].pk}
    assert list_files(store) == {f"{n}.dump.zst.age{end}" for n in (0, 2) for end in ("", ".manifest.json")}
    assert AuditEvent.objects.filter(action="let expire", detail__because="no rule keeps it").exists()
    assert command("prune", "shop-production")[:2] == (0, [])


def test_it_keeps_everything_of_a_schedule_without_rules(three: list[Backup], schedule: BackupSchedule) -> None:
    BackupSchedule.objects.update(keep_last=None)
    assert tasks.tend() == 0
    assert Backup.objects.count() == 3


def test_it_keeps_what_was_taken_by_hand(three: list[Backup]) -> None:
    Backup.objects.filter(pk=three[1].pk).update(schedule=None)
    assert tasks.tend() == 0


def test_it_keeps_what_is_pinned_or_being_read(three: list[Backup]) -> None:
    catalogue.pin(three[1], "the auditors want it", actor_name="ada")
    assert tasks.tend() == 0
    catalogue.pin(three[1], "")
    catalogue.request_verification(three[1], "verify")
    assert tasks.tend() == 0


def test_it_shows_a_deletion_that_failed_and_tries_again(three: list[Backup], store: Path) -> None:
    victim = store / three[1].artifact
    victim.unlink()
    victim.mkdir()
    status, answers, said = command("prune", "shop-production")
    assert (status, [each["id"] for each in answers]) == (1, [three[1].pk])
    assert "could not be deleted and is tried again" in said
    with pytest.raises(RequestError, match="has expired"):
        catalogue.request_verification(Backup.objects.get(pk=three[1].pk), "verify")
    with pytest.raises(RequestError, match="cannot be pinned"):
        catalogue.pin(three[1], "too late")
    victim.rmdir()
    assert pruning.retry_deletions() == 1
    assert Backup.objects.count() == 2


def test_it_previews_rules_before_they_are_saved(
    three: list[Backup], schedule: BackupSchedule, otto: Any, sign_in: Any
) -> None:
    browser = sign_in(otto)
    address = reverse("schedule_retention", args=["shop-production", schedule.pk])
    assert "1 of 3 would go" in browser.get(address).content.decode()
    assert "0 of 3 would go" in browser.post(address, {"keep_last": 3, "preview": "1"}).content.decode()
    schedule.refresh_from_db()
    assert schedule.keep_last == 1
    assert browser.post(address, {"keep_last": -1, "save": "1"}).status_code == 400
    assert browser.post(address, {"keep_last": 2, "save": "1"}).status_code == 302
    schedule.refresh_from_db()
    assert schedule.keep_last == 2
    browser.post(reverse("pin_backup", args=[three[1].pk]), {"reason": "the auditors"})
    assert "the auditors" in browser.get(reverse("backup", args=[three[1].pk])).content.decode()


def test_it_lists_what_store_and_catalogue_disagree_on_and_deletes_nothing(three: list[Backup], store: Path) -> None:
    (store / three[0].artifact).unlink()
    (store / "shop-production" / "stray.dump.zst.age").touch()
    files = list_files(store)
    status, answers, _ = command("reconcile")
    assert status == 1
    assert answers == [
        {"store": "local", "orphan": "shop-production/stray.dump.zst.age"},
        {"store": "local", "missing": three[0].artifact, "id": three[0].pk},
    ]
    assert list_files(store) == files


def test_it_rebuilds_the_catalogue_from_the_store_alone(database: Database, store: Path) -> None:
    taken = take(database)
    Environment.objects.all().delete()
    Backup.objects.all().delete()
    status, [answer], _ = command("rebuild", str(store))
    assert (status, answer["sha256"], answer["status"]) == (0, taken.sha256, "done")
    assert command("rebuild", str(store))[1] == []
    environment = Environment.objects.create(name="Shop again", slug="shop-production")
    again = Database.objects.create(environment=environment, name="main", dsn=database.dsn, prove_on_own_server=True)
    assert store_check.rebuild_catalogue("test").linked == 1
    backup = Backup.objects.get()
    assert (backup.database, backup.tables, backup.metadata) == (again, taken.tables, taken.metadata)
    assert run_verify(backup).outcome == "pass"
    assert run_prove(backup).outcome == "pass"


def test_it_takes_no_manifest_at_its_word(backup: Backup, store: Path) -> None:
    path = storage.manifest_path(backup.artifact)
    manifest = json.loads(path.read_bytes())
    folder = path.parent
    Backup.objects.all().delete()
    for name, changed in (
        ("other", {"artifact": "../../etc/passwd"}),
        ("format", {"format": 2}),
        ("lost", {"artifact": "shop-production/lost.dump.zst.age"}),
    ):
        (folder / f"{name}.dump.zst.age.manifest.json").write_text(json.dumps({**manifest, **changed}))
    (folder / "junk.dump.zst.age.manifest.json").write_text("[")
    status, answers, said = command("rebuild", str(store))
    assert (status, len(answers)) == (1, 1)
    assert said.count("not a manifest that can be used") == 3
    assert "has no artifact beside it" in said


def test_it_exports_what_pg_restore_reads_and_overwrites_nothing(backup: Backup, tmp_path: Path) -> None:
    path = tmp_path / "plain.dump"
    status, [answer], said = command("export", str(backup.pk), str(path))
    assert (status, answer["bytes"]) == (0, path.stat().st_size)
    assert path.stat().st_mode & 0o777 == 0o600
    assert "not encrypted" in said
    listed = subprocess.run(
        [pg_binaries.find_client(backup.metadata["server_version_num"] // 10000).pg_restore, "--list", path],
        capture_output=True,
        check=True,
        text=True,
    )
    assert "TABLE DATA public orders" in listed.stdout
    status, _, said = command("export", str(backup.pk), str(path))
    assert (status, "is there already" in said) == (1, True)


def test_it_exports_nothing_of_a_damaged_artifact(backup: Backup, tmp_path: Path) -> None:
    artifact = storage.artifact_path(backup.artifact)
    artifact.write_bytes(artifact.read_bytes()[:-10])
    assert command("export", str(backup.pk), str(tmp_path / "plain.dump"))[0] == 1
    assert not (tmp_path / "plain.dump").exists()
