"""Cron schedules: when they are due, once each, on the clock of their zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from django_q.models import OrmQ

from backups import catalogue, schedules, tasks
from backups.models import Backup, BackupSchedule, Trigger
from readiness.models import Database

NIGHT = "30 2 * * *"


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-01-10T12:00", "2026-01-11T01:30"),  # winter: UTC+1
        ("2026-07-10T12:00", "2026-07-11T00:30"),  # summer: UTC+2
        ("2026-03-28T12:00", "2026-03-29T01:00"),  # 02:30 does not exist that night: at once after the gap
        ("2026-10-24T12:00", "2026-10-25T00:30"),  # 02:30 exists twice: the first
        ("2026-10-25T00:30", "2026-10-26T01:30"),  # and only the first
    ],
)
def test_it_reads_the_clock_of_the_zone(after: str, expected: str) -> None:
    at = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert schedules.next_run_at(NIGHT, "Europe/Berlin", at) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(("cron", "zone"), [("30 2 * *", "UTC"), ("hourly", "UTC"), (NIGHT, "Mars/Olympus")])
def test_it_refuses_what_is_no_schedule(database: Database, cron: str, zone: str) -> None:
    with pytest.raises(ValueError, match="is not a schedule"):
        schedules.next_run_at(cron, zone, timezone.now())
    with pytest.raises(ValidationError):
        BackupSchedule(database=database, cron=cron, time_zone=zone).full_clean()


def make_schedule(database: Database, next_run_at: datetime | None, cron: str = NIGHT) -> BackupSchedule:
    return BackupSchedule.objects.create(database=database, cron=cron, next_run_at=next_run_at)


def test_it_plans_a_new_schedule_before_it_runs(database: Database) -> None:
    schedule = make_schedule(database, None)
    now = timezone.now()
    assert schedules.claim_due(now) == []
    schedule.refresh_from_db()
    assert schedule.next_run_at is not None
    assert now < schedule.next_run_at <= now + timedelta(days=1)


def test_it_catches_up_once_however_much_was_missed(database: Database) -> None:
    now = timezone.now()
    schedule = make_schedule(database, now - timedelta(days=9))
    assert [due.schedule for due in schedules.claim_due(now)] == [schedule]
    assert schedules.claim_due(now) == []
    schedule.refresh_from_db()
    assert schedule.next_run_at is not None
    assert schedule.next_run_at > now
    assert schedule.last_requested_at == now


def test_it_leaves_out_what_is_off_not_due_or_retired(database: Database) -> None:
    now = timezone.now()
    make_schedule(database, now + timedelta(minutes=1), cron="0 1 * * *")
    BackupSchedule.objects.create(database=database, next_run_at=now, is_enabled=False)
    assert schedules.claim_due(now) == []
    make_schedule(database, now, cron="0 3 * * *")
    database.environment.retired_at = now
    database.environment.save()
    assert schedules.claim_due(now) == []


@pytest.mark.django_db(transaction=True)
def test_it_queues_a_backup_for_a_due_schedule(database: Database) -> None:
    make_schedule(database, timezone.now() - timedelta(minutes=1))
    assert tasks.tick() == 1
    backup = Backup.objects.get()
    assert (backup.trigger, backup.requested_by_name) == (Trigger.SCHEDULE, "schedule")
    queued = OrmQ.objects.get()
    assert (queued.key, queued.task["func"]) == ("long", "backups.tasks.take_backup")
    assert queued.task["args"] == (backup.pk,)
    assert tasks.tick() == 0


def test_it_skips_a_run_while_the_last_one_goes_on(database: Database) -> None:
    catalogue.request_backup(database)
    schedule = make_schedule(database, timezone.now() - timedelta(minutes=1))
    assert tasks.tick() == 0
    assert Backup.objects.count() == 1
    schedule.refresh_from_db()
    assert schedule.next_run_at is not None
    assert schedule.next_run_at > timezone.now()
