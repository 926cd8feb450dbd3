"""The catalogue's claims and states: one active job, one holder, one last word."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import catalogue, leftovers, restore_requests, storage
from backups.errors import ErrorCode, RequestError
from backups.models import Backup, Restore, State, Verification
from portal.models import AuditEvent
from readiness.models import Database
from tests.backups.conftest import run_prove, run_verify, take


def claim(backup: Backup) -> Backup:
    claimed = catalogue.claim(Backup, backup.pk)
    assert claimed is not None
    return claimed


def test_it_lets_a_double_click_ask_once(database: Database, otto: User) -> None:
    first = catalogue.request_backup(database, actor=otto)
    with pytest.raises(RequestError, match=rf"under way already \(number {first.pk}, queued\)"):
        catalogue.request_backup(database, actor=otto)
    assert Backup.objects.count() == 1
    assert (first.requested_by, first.requested_by_name) == (otto, "otto")
    event = AuditEvent.objects.get(action="requested a backup of")
    assert (event.actor_name, event.subject, event.environment_slug) == (
        "otto",
        "shop-production/main",
        "shop-production",
    )


def test_it_gives_a_job_to_one_claimer(database: Database) -> None:
    queued = catalogue.request_backup(database)
    claimed = claim(queued)
    assert catalogue.claim(Backup, queued.pk) is None
    assert claimed.state == State.RUNNING
    assert not leftovers.is_dead(claimed.worker)
    assert claimed.lease_expires_at is not None
    assert claimed.lease_expires_at > timezone.now()


def test_it_tells_the_holder_that_the_job_is_not_its_own_any_more(database: Database) -> None:
    claimed = claim(catalogue.request_backup(database))
    assert catalogue.renew(claimed, "dumping", 10) == catalogue.Renewal(is_ours=True, is_cancelled=False)
    Backup.objects.update(application_name="another attempt")
    assert not catalogue.renew(claimed, "dumping", 20).is_ours
    assert not catalogue.fail(claimed, ErrorCode.INTERNAL, "too late")
    assert not catalogue.finish_cancelled(claimed)
    claimed.refresh_from_db()
    assert (claimed.state, claimed.percent) == (State.RUNNING, 10)


def test_it_cancels_what_is_queued_at_once_and_asks_what_runs(database: Database, otto: User) -> None:
    queued = catalogue.request_backup(database)
    assert catalogue.request_cancel(queued, actor=otto)
    queued.refresh_from_db()
    assert queued.status == "cancelled"
    running = claim(catalogue.request_backup(database))
    assert catalogue.request_cancel(running, actor=otto)
    assert not catalogue.request_cancel(running, actor=otto)
    running.refresh_from_db()
    assert running.is_cancelling
    assert catalogue.renew(running, "dumping", None).is_cancelled
    assert AuditEvent.objects.filter(action="cancelled a backup of", actor_name="otto").count() == 2


def test_it_fails_a_job_whose_process_is_dead_and_lets_the_next_begin(database: Database) -> None:
    claimed = claim(catalogue.request_backup(database))
    Backup.objects.update(worker={**claimed.worker, "start_time": "1"})
    following = catalogue.request_backup(database)
    claimed.refresh_from_db()
    assert (claimed.state, claimed.error_code) == (State.FAILED, ErrorCode.ABANDONED)
    assert "The worker died while starting" in claimed.error
    assert following.state == State.QUEUED


def test_it_waits_for_the_lease_of_a_process_elsewhere(database: Database, settings: Settings) -> None:
    settings.BACKUP_LEASE_SECONDS = 45
    claimed = claim(catalogue.request_backup(database))
    Backup.objects.update(worker={**claimed.worker, "host": "elsewhere", "pid": 1})
    claimed.refresh_from_db()
    assert not catalogue.fail_if_abandoned(claimed)
    Backup.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    claimed.refresh_from_db()
    assert catalogue.fail_if_abandoned(claimed)
    claimed.refresh_from_db()
    assert "The worker on elsewhere gave no sign of life for 45 seconds" in claimed.error


def test_it_spares_a_job_that_renewed_after_it_was_looked_at(database: Database) -> None:
    claimed = claim(catalogue.request_backup(database))
    Backup.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    seen = Backup.objects.get()
    assert catalogue.renew(claimed, "dumping", 10).is_ours
    assert not catalogue.fail_if_abandoned(seen)
    assert Backup.objects.get().state == State.RUNNING


def test_it_shows_the_best_that_is_known_and_damage_above_all(backup: Backup) -> None:
    assert backup.status == "done"
    run_verify(backup)
    assert backup.status == "verified"
    run_prove(backup)
    assert backup.status == "proven"
    backup.damaged_at = timezone.now()
    assert backup.status == "damaged"
    backup.state = State.FAILED
    assert backup.status == "failed"


def test_it_takes_files_away_with_the_row(backup: Backup) -> None:
    path = storage.artifact_path(backup.artifact)
    catalogue.delete_backup(backup)
    assert not path.exists()
    assert not Backup.objects.exists()


def test_it_keeps_a_backup_that_is_being_read(backup: Backup) -> None:
    catalogue.request_verification(backup, "verify")
    with pytest.raises(RequestError, match="in use"):
        catalogue.delete_backup(backup)
    assert storage.artifact_path(backup.artifact).exists()


def test_it_asks_for_one_restore_into_a_name(backup: Backup) -> None:
    restore_requests.request_restore(backup, "shop_back")
    with pytest.raises(RequestError, match="already"):
        restore_requests.request_restore(backup, "shop_back")
    assert Restore.objects.count() == 1


def test_it_keeps_backups_of_an_environment_that_was_removed(backup: Backup, database: Database) -> None:
    database.environment.delete()
    backup.refresh_from_db()
    assert (backup.environment, backup.environment_slug, backup.status) == (None, "shop-production", "done")


def test_it_finds_jobs_whose_task_never_came_once(database: Database) -> None:
    patience = timedelta(minutes=10)
    queued = catalogue.request_backup(database)
    now = timezone.now()
    assert catalogue.find_queued_without_task(Backup, now, patience) == []
    later = now + patience + timedelta(seconds=1)
    assert catalogue.find_queued_without_task(Backup, later, patience) == [queued]
    assert catalogue.find_queued_without_task(Backup, later, patience) == []


def test_it_calls_a_verification_that_broke_one_that_could_not_tell(backup: Backup) -> None:
    claimed = catalogue.claim(Verification, catalogue.request_verification(backup, "prove").pk)
    assert claimed is not None
    assert catalogue.fail(claimed, ErrorCode.CONNECTION_LOST, "It broke.")
    claimed.refresh_from_db()
    assert (claimed.outcome, claimed.detail) == ("error", "It broke.")


def test_it_never_heals_by_reading_what_a_proof_found(backup: Backup, database: Database) -> None:
    Backup.objects.update(damaged_at=timezone.now(), damage="rows differ", damage_found_by="prove")
    run_verify(backup)
    assert backup.status == "damaged"
    run_prove(backup)
    assert backup.status == "proven"
    assert take(database).status == "done"
