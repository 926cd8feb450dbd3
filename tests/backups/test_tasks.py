"""The pipeline of a backup as the queue runs it, and which task belongs to which job."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from backups import catalogue, restore_requests, storage, tasks, verify
from backups.errors import ErrorCode
from backups.models import Backup, Restore, State, Trigger, Verification
from readiness.models import Database
from tests.conftest import Server


def test_it_takes_verifies_and_proves(database: Database) -> None:
    queued = catalogue.request_backup(database)
    assert tasks.take_backup(queued.pk) == "proven"
    assert list(Verification.objects.order_by("id").values_list("kind", "outcome")) == [
        ("verify", "pass"),
        ("prove", "pass"),
    ]
    assert tasks.take_backup(queued.pk) == "not taken"


def test_it_does_not_read_a_backup_that_failed(database: Database) -> None:
    Database.objects.update(dsn="postgresql://app@127.0.0.1:1/shop")
    database.refresh_from_db()
    assert tasks.take_backup(catalogue.request_backup(database).pk) == "failed"
    assert not Verification.objects.exists()


def test_it_does_not_prove_what_could_not_be_read(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    real = verify.verify

    def damage_first(verification_id: int) -> Verification | None:
        backup = Verification.objects.get(pk=verification_id).backup
        storage.artifact_path(backup.artifact).write_bytes(b"gone")
        return real(verification_id)

    monkeypatch.setattr(verify, "verify", damage_first)
    assert tasks.take_backup(catalogue.request_backup(database).pk) == "damaged"
    assert Verification.objects.filter(kind="prove").count() == 0


def test_it_verifies_proves_and_restores_on_request(backup: Backup, server: Server) -> None:
    server.drop_database("shop_back")
    server.made.append("shop_back")
    assert tasks.verify_backup(catalogue.request_verification(backup, "verify").pk) == "pass"
    assert tasks.prove_backup(catalogue.request_verification(backup, "prove").pk) == "pass"
    restore = restore_requests.request_restore(backup, "shop_back")
    assert tasks.restore_backup(restore.pk) == State.DONE
    assert tasks.restore_backup(restore.pk) == "not queued"


@pytest.mark.django_db(transaction=True)
def test_it_queues_the_right_task_on_the_long_cluster(backup: Backup, database: Database) -> None:
    jobs: list[Backup | Verification | Restore] = [
        catalogue.request_backup(database),
        catalogue.request_verification(backup, "verify"),
        catalogue.request_verification(backup, "prove"),
        restore_requests.request_restore(backup, "shop_back"),
    ]
    for job in jobs:
        tasks.enqueue(job)
    queued = [(each.key, each.task["func"], each.task["args"]) for each in OrmQ.objects.order_by("id")]
    names = ["take_backup", "verify_backup", "prove_backup", "restore_backup"]
    assert queued == [("long", f"backups.tasks.{name}", (job.pk,)) for name, job in zip(names, jobs, strict=True)]


@pytest.mark.django_db(transaction=True)
def test_it_queues_again_what_was_lost(database: Database) -> None:
    queued = catalogue.request_backup(database)
    Backup.objects.update(enqueued_at=timezone.now() - timedelta(minutes=11))
    tasks.tick()
    tasks.tick()
    assert [each.task["args"] for each in OrmQ.objects.all()] == [(queued.pk,)]


@pytest.mark.django_db(transaction=True)
def test_it_goes_on_with_a_pipeline_that_broke_off(backup: Backup) -> None:
    tasks.tick()
    assert not Verification.objects.exists()
    Backup.objects.update(finished_at=timezone.now() - timedelta(minutes=11))
    tasks.tick()
    tasks.tick()
    assert [job.kind for job in Verification.objects.all()] == ["verify"]
    tasks.verify_backup(Verification.objects.get().pk)
    Backup.objects.update(verified_at=timezone.now() - timedelta(minutes=11))
    tasks.tick()
    tasks.tick()
    assert [job.kind for job in Verification.objects.order_by("id")] == ["verify", "prove"]


def test_it_gives_up_reading_after_two_tries_or_one_answer(backup: Backup) -> None:
    now, patience = timezone.now() + timedelta(minutes=11), timedelta(minutes=10)
    for tries in (1, 2):
        assert catalogue.find_unread("verify", now, patience) == [backup], tries
        claimed = catalogue.claim(Verification, catalogue.request_verification(backup, "verify").pk)
        assert claimed is not None
        catalogue.fail(claimed, ErrorCode.CONNECTION_LOST, "It broke.")
    assert catalogue.find_unread("verify", now, patience) == []
    Verification.objects.all().delete()
    Backup.objects.update(trigger=Trigger.COMMAND)
    assert catalogue.find_unread("verify", now, patience) == []
