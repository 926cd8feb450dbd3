"""Small databases are proven each time, big ones once a week."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import catalogue, tasks
from backups.models import Backup, Trigger
from backups.proof_policy import is_proof_due
from readiness.models import Database
from tests.backups.conftest import run_prove, take


def test_it_proves_each_of_a_small_database_and_a_big_one_once_a_week(database: Database, settings: Settings) -> None:
    first = take(database)
    now = timezone.now()
    assert is_proof_due(first, now)
    assert run_prove(first).outcome == "pass"
    assert is_proof_due(first, now)
    settings.PROVE_EACH_UNDER_MB = 0
    assert not is_proof_due(first, now)
    assert is_proof_due(first, now + timedelta(days=8))
    Backup.objects.update(damaged_at=now)
    assert is_proof_due(first, now)


def test_it_does_not_prove_a_big_one_again_that_was_proven_this_week(database: Database, settings: Settings) -> None:
    settings.PROVE_EACH_UNDER_MB = 0
    assert tasks.take_backup(catalogue.request_backup(database).pk) == "proven"
    second = catalogue.request_backup(database)
    assert tasks.take_backup(second.pk) == "verified"
    Backup.objects.update(
        finished_at=timezone.now() - timedelta(hours=1), verified_at=timezone.now() - timedelta(hours=1)
    )
    tasks.tick()
    assert not second.verifications.filter(kind="prove").exists()


def test_a_dump_from_elsewhere_is_always_proven(backup: Backup, settings: Settings) -> None:
    settings.PROVE_EACH_UNDER_MB = 0
    Backup.objects.update(proven_at=timezone.now(), database=None)
    foreign = Backup.objects.get(pk=backup.pk)
    assert not is_proof_due(foreign, timezone.now())
    foreign.trigger = Trigger.IMPORT
    assert is_proof_due(foreign, timezone.now())
