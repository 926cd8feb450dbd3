"""Otto looks after stores, copies and schedules in the browser."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from backups import store_records
from backups.models import Backup, BackupCopy, BackupSchedule, State, StoreState
from portal.models import AuditEvent
from readiness.models import Environment
from tests.conftest import MakeUser, SignIn
from tests.readiness.factories import connect, make_backup, make_environment, make_person
from tests.readiness.pages import read_main, read_text


@pytest.fixture
def make_user(db: None) -> MakeUser:
    return make_person


@pytest.fixture
def environment(db: None, store: Path) -> Environment:
    return connect(make_environment("shop", name="Web shop"))


@pytest.fixture
def operator(otto: User, sign_in: SignIn) -> Client:
    return sign_in(otto)


@pytest.fixture
def schedule(environment: Environment) -> BackupSchedule:
    return BackupSchedule.objects.create(database=environment.databases.get())


def edit_url(schedule: BackupSchedule) -> str:
    return reverse("edit_schedule", args=["shop", schedule.pk])


def typed(schedule: BackupSchedule, **fields: Any) -> dict[str, Any]:
    return {
        "database": schedule.database_id,
        "cron": "0 4 * * *",
        "time_zone": "Europe/Berlin",
        "is_enabled": "on",
        "retries": "3",
        "jitter_minutes": "0",
        **fields,
    }


def test_it_shows_stores_with_what_lies_there_and_what_was_wrong(
    environment: Environment, operator: Client, store: Path
) -> None:
    backup = make_backup(environment)
    BackupCopy.objects.create(backup=backup, store="local", state=State.DONE)
    BackupCopy.objects.create(backup=backup, store="gone", state=State.FAILED, error="It was refused.")
    store_records.note_error("local", "The disk is full.")
    store_records.note_difference("local", ["shop/stray.dump.zst.age"], [backup.pk])

    page = read_main(operator.get(reverse("stores")))

    for words in (
        "local",
        str(store),
        "1 backup, 1.2 MB",
        "The disk is full.",
        "shop/stray.dump.zst.age",
        f"#{backup.pk}",
    ):
        assert words in page, words
    assert "Not in the settings any more" in page
    assert "It was refused." in page


def test_it_tests_a_store(environment: Environment, operator: Client, store: Path) -> None:
    answer = operator.post(reverse("test_store"), {"store": "local"}, follow=True)
    assert "The store local works" in read_text(answer)
    assert StoreState.objects.get(name="local").is_usable is True
    assert [str(event) for event in AuditEvent.objects.all()] == ["otto tested the store local"]
    assert not [path for path in store.rglob("*") if path.is_file()]

    store.rmdir()
    store.write_text("a file is in the way")
    answer = operator.post(reverse("test_store"), {"store": "local"}, follow=True)
    assert "The backup store" in read_text(answer)
    assert StoreState.objects.get(name="local").is_usable is False


@pytest.mark.parametrize("name", ["", "elsewhere", "../local"])
def test_it_tests_no_store_that_is_none(environment: Environment, operator: Client, name: str) -> None:
    assert operator.post(reverse("test_store"), {"store": name}).status_code == 404


def test_it_shows_copies_and_copies_again(
    environment: Environment, operator: Client, django_capture_on_commit_callbacks: Any
) -> None:
    backup = make_backup(environment)
    BackupCopy.objects.create(backup=backup, store="local", state=State.DONE, read_back_at=timezone.now())
    copy = BackupCopy.objects.create(
        backup=backup,
        store="offsite",
        state=State.FAILED,
        error="The store cannot be reached.",
        next_try_at=timezone.now() + timedelta(minutes=5),
    )
    page = read_main(operator.get(reverse("backup", args=[backup.pk])))
    for words in ("There", "The store cannot be reached.", "Tried again", "Copy again"):
        assert words in page, words
    with django_capture_on_commit_callbacks(execute=True):
        operator.post(reverse("retry_copy", args=[copy.pk]))
    copy.refresh_from_db()
    assert copy.state == State.QUEUED
    assert [row.task["func"] for row in OrmQ.objects.all()] == ["backups.tasks.copy_backup"]

    answer = operator.post(reverse("retry_copy", args=[copy.pk]), follow=True)
    assert "is there or under way already" in read_text(answer)
    operator.post(reverse("cancel_copy", args=[copy.pk]))
    copy.refresh_from_db()
    assert copy.state == State.CANCELLED


def test_it_shows_bytes_rate_and_time_left(environment: Environment, operator: Client) -> None:
    pace = {"bytes": 52_000_000, "bytes_per_second": 4_000_000, "seconds_left": 150}
    backup = make_backup(
        environment, state="running", phase="dumping public.orders", percent=42, pace=pace, proven_at=None
    )
    part = operator.get(reverse("backup", args=[backup.pk]), headers={"HX-Request": "true"})
    page = " ".join(part.content.decode().split())
    for words in ("Dumping public.orders", "42 %", "52.0 MB", "4.0 MB a second", "about 2 min left"):
        assert words in page, words


def test_it_shows_what_a_backup_lacks_and_when_it_is_tried_again(
    environment: Environment, operator: Client, schedule: BackupSchedule
) -> None:
    at = timezone.now()
    failed = make_backup(
        environment,
        state="failed",
        proven_at=None,
        trigger="schedule",
        schedule=schedule,
        error="The server cannot be reached.",
        error_code="unreachable",
        requested_at=at,
        finished_at=at,
        scheduled_for=at - timedelta(hours=3),
    )
    page = read_main(operator.get(reverse("backup", args=[failed.pk])))
    assert "It is tried again" in page
    assert "attempt 2" in page
    assert "and missed, since no worker was there" in page
    part = make_backup(
        environment,
        warnings=["The roles were dumped without their passwords."],
        selection={"only": "", "without": "log"},
        globals={"artifact": "shop/x.globals.sql.zst.age", "has_passwords": False},
    )
    page = read_main(operator.get(reverse("backup", args=[part.pk])))
    for words in ("The roles were dumped without", "without log", "shop/x.globals.sql.zst.age", "without passwords"):
        assert words in page, words


def test_it_changes_all_of_a_schedule(schedule: BackupSchedule, operator: Client) -> None:
    page = read_main(operator.get(edit_url(schedule)))
    assert "local (default)" in page
    answer = operator.post(
        edit_url(schedule),
        typed(
            schedule,
            covers_server="on",
            skip_databases="scratch\nold",
            without="log\npublic.audit",
            with_globals="on",
            stores=["local"],
            retries="1",
            jitter_minutes="15",
            quiet_from="08:00",
            quiet_until="18:00",
        ),
        follow=True,
    )
    assert answer.redirect_chain, read_main(answer)
    schedule.refresh_from_db()
    assert (schedule.covers_server, schedule.with_globals, schedule.stores) == (True, True, ["local"])
    assert (schedule.retries, schedule.jitter_minutes) == (1, 15)
    assert schedule.next_run_at is not None
    assert schedule.due_at is not None
    assert "whole server" in read_main(answer)
    assert f"({schedule.next_run_at:%Y-%m-%d %H:%M}" in read_main(answer)
    assert [str(event) for event in AuditEvent.objects.all()] == [f"otto changed the schedule {schedule}"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"without": "public.*"}, "is no schema and no schema.table"),
        ({"quiet_from": "08:00"}, "Give both ends"),
        ({"cron": "nightly"}, "This is not a cron expression"),
        ({"retries": "99"}, "less than or equal to 10"),
        ({"stores": ["elsewhere"]}, "elsewhere is not one of the available choices"),
        ({"only": "public", "covers_server": "on"}, "have no schemas in common"),
    ],
)
def test_it_says_what_is_wrong_with_a_schedule(
    schedule: BackupSchedule, operator: Client, fields: dict[str, Any], words: str
) -> None:
    answer = operator.post(edit_url(schedule), typed(schedule, **fields))
    assert answer.status_code == 400
    assert words in read_main(answer)
    schedule.refresh_from_db()
    assert schedule.cron == "30 2 * * *"


def test_it_edits_no_schedule_of_another_environment(schedule: BackupSchedule, operator: Client) -> None:
    connect(make_environment("other"))
    assert operator.get(reverse("edit_schedule", args=["other", schedule.pk])).status_code == 404


def test_it_looks_before_the_button_is_pressed(environment: Environment, operator: Client) -> None:
    database = environment.databases.get()
    database.dsn = "postgresql://nobody:s3cret@127.0.0.1:9/none"
    database.save()
    url = reverse("check_database", args=["shop", database.pk])
    assert url in operator.get(reverse("environment_backups", args=["shop"])).content.decode()
    part = operator.get(url).content.decode()
    assert "cannot be reached" in part
    assert "s3cret" not in part


def test_it_asks_no_more_with_more_copies(environment: Environment, operator: Client) -> None:
    def count(url: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            operator.get(url)
        return len(captured)

    operator.get(reverse("stores"))
    for number in range(2):
        BackupCopy.objects.create(backup=make_backup(environment), store=f"s{number}", state=State.FAILED)
    first = count(reverse("stores"))
    for number in range(8):
        BackupCopy.objects.create(backup=make_backup(environment), store=f"t{number}", state=State.FAILED)
    assert count(reverse("stores")) == first
    assert Backup.objects.count() == 10
