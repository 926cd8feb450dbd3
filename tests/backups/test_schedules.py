"""Cron schedules: when they are due, once each, on the clock of their zone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from django_q.models import OrmQ

from backups import catalogue, schedules, servers, siblings, tasks
from backups.models import Backup, BackupSchedule, Trigger
from backups.probes import read_backup_facts
from readiness.models import Database
from tests.conftest import Server

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


def test_it_moves_each_run_by_its_jitter(database: Database) -> None:
    schedule = BackupSchedule(database=database, cron=NIGHT, jitter_minutes=30)
    at = datetime(2026, 1, 10, 12, tzinfo=UTC)
    moments = set()
    for _ in range(30):
        schedules.plan(schedule, at)
        assert schedule.due_at == datetime(2026, 1, 11, 2, 30, tzinfo=UTC)
        assert schedule.next_run_at is not None
        assert timedelta(0) <= schedule.next_run_at - schedule.due_at <= timedelta(minutes=30)
        moments.add(schedule.next_run_at)
    assert len(moments) > 1


@pytest.mark.parametrize(
    ("start", "end", "at", "expected"),
    [
        ("01:00", "03:00", "2026-01-10T01:30", "2026-01-10T02:00"),  # 2:30 in Berlin: waits for 3:00
        ("01:00", "03:00", "2026-01-10T02:00", "2026-01-10T02:00"),  # its end is outside
        ("22:00", "06:00", "2026-01-10T22:00", "2026-01-11T05:00"),  # over midnight
        ("22:00", "06:00", "2026-01-10T03:00", "2026-01-10T05:00"),
        ("22:00", "06:00", "2026-01-10T12:00", "2026-01-10T12:00"),
        ("01:00", "03:00", "2026-03-29T00:30", "2026-03-29T01:00"),  # summer time begins in it
    ],
)
def test_it_starts_nothing_in_the_quiet_window(
    database: Database, start: str, end: str, at: str, expected: str
) -> None:
    schedule = BackupSchedule(
        database=database,
        time_zone="Europe/Berlin",
        quiet_from=time.fromisoformat(start),
        quiet_until=time.fromisoformat(end),
    )
    found = schedules.leave_quiet(schedule, datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_it_waits_when_the_window_has_begun_meanwhile(database: Database) -> None:
    now = datetime(2026, 1, 10, 12, tzinfo=UTC)
    schedule = make_schedule(database, now - timedelta(hours=1))
    BackupSchedule.objects.update(quiet_from=time(11), quiet_until=time(14))
    assert schedules.claim_due(now) == []
    schedule.refresh_from_db()
    assert schedule.next_run_at == datetime(2026, 1, 10, 14, tzinfo=UTC)
    (due,) = schedules.claim_due(datetime(2026, 1, 10, 14, tzinfo=UTC))
    assert due.scheduled_for == now - timedelta(hours=1)


@pytest.mark.django_db(transaction=True)
def test_it_tells_that_a_run_was_missed(database: Database) -> None:
    due = timezone.now() - timedelta(hours=5)
    make_schedule(database, due)
    assert tasks.tick() == 1
    backup = Backup.objects.get()
    assert (backup.scheduled_for, backup.was_missed) == (due, True)


def fail(schedule: BackupSchedule, code: str, minutes_ago: float, attempt: int = 1) -> Backup:
    at = timezone.now() - timedelta(minutes=minutes_ago)
    return Backup.objects.create(
        database=schedule.database,
        environment=schedule.database.environment,
        environment_slug="shop-production",
        schedule=schedule,
        trigger=Trigger.SCHEDULE,
        state="failed",
        error_code=code,
        attempt=attempt,
        requested_at=at,
        finished_at=at,
        scheduled_for=at,
    )


@pytest.mark.parametrize(
    ("code", "minutes_ago", "attempt", "is_retried"),
    [
        ("unreachable", 3, 1, True),
        ("unreachable", 1, 1, False),  # its time has not come
        ("unreachable", 5, 2, False),  # the second wait is longer
        ("unreachable", 11, 2, True),
        ("unreachable", 61, 4, False),  # three retries are enough
        ("unreachable", 60 * 13, 1, False),  # long ago
        ("permission", 3, 1, False),  # does not pass by itself
        ("client_missing", 3, 1, False),
        ("abandoned", 3, 1, True),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_it_retries_what_can_pass(
    database: Database, code: str, minutes_ago: float, attempt: int, is_retried: bool
) -> None:
    schedule = make_schedule(database, timezone.now() + timedelta(hours=1))
    failed = fail(schedule, code, minutes_ago, attempt)
    assert tasks.tick() == int(is_retried)
    assert tasks.tick() == 0
    if is_retried:
        again = Backup.objects.latest("pk")
        assert (again.attempt, again.scheduled_for, again.schedule) == (attempt + 1, failed.scheduled_for, schedule)


def test_it_does_not_retry_what_was_taken_since(database: Database) -> None:
    schedule = make_schedule(database, timezone.now() + timedelta(hours=1))
    fail(schedule, "unreachable", 10)
    catalogue.request_backup(database)
    assert schedules.find_retries(timezone.now()) == []


@pytest.mark.django_db(transaction=True)
def test_it_backs_up_every_database_of_a_server(database: Database, server: Server) -> None:
    server.create_database("sibling_one", "CREATE TABLE t (n int)", "INSERT INTO t VALUES (1), (2)")
    server.create_database("sibling_two")
    server.create_database("preflight_proof_1_0123abcd")
    others = "\n".join(
        name
        for name in siblings.list_databases(servers.own_server(database))
        if "sibling" not in name and name != "shop"
    )
    schedule = make_schedule(database, timezone.now() - timedelta(minutes=1))
    BackupSchedule.objects.update(covers_server=True, skip_databases=others + "\nsibling_two", stores=["local"])
    assert tasks.tick() == 0
    (queued,) = OrmQ.objects.all()
    assert queued.task["func"] == "backups.tasks.start_server_backups"
    assert tasks.start_server_backups(*queued.task["args"]) == 2
    found = {backup.database_name: backup for backup in Backup.objects.all()}
    assert {name: backup.sibling for name, backup in found.items()} == {"main": "", "sibling_one": "sibling_one"}
    assert tasks.take_backup(found["sibling_one"].pk) == "proven"
    backup = Backup.objects.get(sibling="sibling_one")
    assert backup.tables == {"public.t": 2}

    server.create_database("sibling_new")
    assert tasks.start_server_backups(schedule.pk, timezone.now()) == 2
    assert Backup.objects.filter(sibling="sibling_new").count() == 1


def test_it_says_why_a_server_was_not_backed_up(database: Database) -> None:
    database.dsn = "postgresql://nobody:x@127.0.0.1:9/none"
    database.save()
    schedule = make_schedule(database, timezone.now())
    assert tasks.start_server_backups(schedule.pk, timezone.now()) == 0
    schedule.refresh_from_db()
    assert "cannot be reached" in schedule.problem


def test_a_backup_of_another_database_proves_nothing_of_the_own(database: Database) -> None:
    Backup.objects.create(
        database=database,
        environment=database.environment,
        sibling="other",
        state="done",
        taken_at=timezone.now(),
        proven_at=timezone.now(),
    )
    facts = read_backup_facts([database.environment_id])[database.environment_id]
    assert facts.databases_without_proof == ("main",)
