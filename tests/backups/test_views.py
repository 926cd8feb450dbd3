"""Otto backs up, watches, cancels, downloads, schedules and restores in the browser."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from backups.models import Backup, BackupSchedule, Restore, Verification
from portal.models import AuditEvent
from readiness.models import Environment
from tests.backups.conftest import take
from tests.conftest import MakeUser, SignIn
from tests.readiness.factories import connect, make_backup, make_environment, make_person
from tests.readiness.pages import read_main, read_text


@pytest.fixture
def make_user(db: None) -> MakeUser:
    return make_person


@pytest.fixture
def environment(db: None) -> Environment:
    """A connected environment that was never backed up."""
    return connect(make_environment("shop", name="Web shop"))


@pytest.fixture
def operator(otto: User, sign_in: SignIn) -> Client:
    """Otto's."""
    return sign_in(otto)


def url(name: str, *arguments: Any) -> str:
    return reverse(name, args=list(arguments))


def list_queue() -> list[str]:
    """What was queued, as function and argument."""
    return [f"{row.task['func']} {row.task['args'][0]}" for row in OrmQ.objects.order_by("pk")]


def list_actions() -> list[str]:
    return [str(event) for event in AuditEvent.objects.order_by("pk")]


def test_it_requests_a_backup_and_shows_it(
    environment: Environment, operator: Client, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = operator.post(url("take_backup", "shop"), {"database": environment.databases.get().pk}, follow=True)

    backup = Backup.objects.get()
    assert answer.redirect_chain == [(url("backup", backup.pk), 302)]
    assert "Waiting for a worker" in read_main(answer)
    assert (backup.state, backup.requested_by_name, backup.trigger) == ("queued", "otto", "manual")
    assert list_queue() == [f"backups.tasks.take_backup {backup.pk}"]
    assert list_actions() == ["otto requested a backup of shop/main"]


def test_it_says_when_a_backup_is_under_way_already(environment: Environment, operator: Client) -> None:
    make_backup(environment, state="running", lease_expires_at=timezone.now() + timedelta(minutes=1))

    answer = operator.post(url("take_backup", "shop"), {"database": environment.databases.get().pk}, follow=True)

    assert "A backup of shop/main is under way already" in read_text(answer)
    assert Backup.objects.count() == 1


@pytest.mark.parametrize("database", ["", "0", "abc", "999999", "99999999999999999999999", "1.5", "-1"])
def test_it_knows_no_such_database(environment: Environment, operator: Client, database: str) -> None:
    assert operator.post(url("take_backup", "shop"), {"database": database}).status_code == 404
    assert not Backup.objects.exists()


def test_it_does_not_back_up_a_database_of_another_environment(environment: Environment, operator: Client) -> None:
    other = connect(make_environment("other"))

    answer = operator.post(url("take_backup", "shop"), {"database": other.databases.get().pk})

    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": "running", "phase": "dumping", "percent": 42, "proven_at": None}, ["Dumping", "42 %", "Cancel"]),
        ({"state": "failed", "error": "The disk is full.", "error_code": "disk"}, ["Failed", "The disk is full."]),
        ({}, ["Proven", "5,050 in 2 tables", "LSN 0/16B3748", "1.2 MB", "Restore"]),
        ({"damaged_at": timezone.now(), "damage": "One byte differs."}, ["Damaged", "One byte differs."]),
    ],
)
def test_it_shows_how_far_a_backup_is(
    environment: Environment, operator: Client, fields: dict[str, Any], words: list[str]
) -> None:
    backup = make_backup(environment, **fields)

    page = read_main(operator.get(url("backup", backup.pk)))

    for word in words:
        assert word in page, word


def test_it_refreshes_a_running_backup_and_loads_the_page_once_more_when_it_is_over(
    environment: Environment, operator: Client
) -> None:
    backup = make_backup(environment, state="running", proven_at=None)
    part = operator.get(url("backup", backup.pk), headers={"HX-Request": "true"})
    assert "<html" not in part.content.decode()
    assert "HX-Refresh" not in part

    Backup.objects.update(state="done")

    assert operator.get(url("backup", backup.pk), headers={"HX-Request": "true"})["HX-Refresh"] == "true"


def test_it_cancels_what_waits_at_once_and_asks_what_runs_to_stop(environment: Environment, operator: Client) -> None:
    backup = make_backup(environment, state="queued", proven_at=None)

    answer = operator.post(url("cancel_backup", backup.pk), follow=True)
    assert "It is being stopped." in read_text(answer)
    backup.refresh_from_db()
    assert backup.state == "cancelled"
    assert "It had ended already." in read_text(operator.post(url("cancel_backup", backup.pk), follow=True))

    running = make_backup(environment, state="running", proven_at=None)
    operator.post(url("cancel_backup", running.pk))
    running.refresh_from_db()
    assert (running.state, running.is_cancelling) == ("running", True)


def test_it_cancels_verifications_and_restores_too(environment: Environment, operator: Client) -> None:
    backup = make_backup(environment)
    verification = Verification.objects.create(backup=backup, kind="prove")
    restore = Restore.objects.create(backup=backup, target_database="again")

    first = operator.post(url("cancel_verification", verification.pk))
    second = operator.post(url("cancel_restore", restore.pk))

    assert (first["Location"], second["Location"]) == (url("backup", backup.pk), url("restore", restore.pk))
    assert {Verification.objects.get().state, Restore.objects.get().state} == {"cancelled"}


@pytest.mark.parametrize(("name", "kind"), [("verify_backup", "verify"), ("prove_backup", "prove")])
def test_it_requests_another_reading_once(
    environment: Environment, operator: Client, name: str, kind: str, django_capture_on_commit_callbacks: Any
) -> None:
    backup = make_backup(environment)

    with django_capture_on_commit_callbacks(execute=True):
        operator.post(url(name, backup.pk))
        again = operator.post(url(name, backup.pk), follow=True)

    verification = Verification.objects.get()
    assert (verification.kind, verification.state) == (kind, "queued")
    assert "is being read for this already" in read_text(again)
    assert list_queue() == [f"backups.tasks.{name} {verification.pk}"]


def test_it_reads_only_backups_that_were_taken(environment: Environment, operator: Client) -> None:
    backup = make_backup(environment, state="failed", proven_at=None)

    operator.post(url("verify_backup", backup.pk))

    assert not Verification.objects.exists()
    assert operator.get(url("download_backup", backup.pk)).status_code == 404


def test_it_restores_once_the_name_was_typed(
    environment: Environment, operator: Client, django_capture_on_commit_callbacks: Any
) -> None:
    backup = make_backup(environment)

    with django_capture_on_commit_callbacks(execute=True):
        answer = operator.post(
            url("request_restore", backup.pk),
            {"into": backup.database_id, "target": "shop_again", "confirmation": " Web shop "},
        )

    restore = Restore.objects.get()
    assert answer["Location"] == url("restore", restore.pk)
    assert (restore.target_database, restore.requested_by_name) == ("shop_again", "otto")
    assert list_queue() == [f"backups.tasks.restore_backup {restore.pk}"]
    assert list_actions() == [f"otto requested a restore of shop/main #{backup.pk} into shop_again"]
    assert "Waiting for a worker" in read_main(operator.get(answer["Location"]))


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"confirmation": "web shop"}, "This is not “Web shop”; nothing was restored."),
        ({"confirmation": ""}, "This field is required."),
        ({"target": "postgres"}, "is kept for PostgreSQL or the portal itself"),
        ({"target": "preflight_x"}, "is kept for PostgreSQL or the portal itself"),
        ({"target": 'x"; DROP DATABASE shop; --'}, "The new database needs a name of at most 63 letters"),
        ({"target": "x" * 64}, "Ensure this value has at most 63 characters"),
        ({"target": ""}, "This field is required."),
    ],
)
def test_it_restores_nothing_when_something_is_wrong(
    environment: Environment, operator: Client, typed: dict[str, str], sentence: str
) -> None:
    backup = make_backup(environment)
    fields = {"into": backup.database_id, "target": "shop_again", "confirmation": "Web shop", **typed}

    answer = operator.post(url("request_restore", backup.pk), fields)

    assert answer.status_code == 400
    assert sentence in read_main(answer)
    assert not Restore.objects.exists()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"damaged_at": timezone.now(), "damage": "One byte differs."}, "is damaged: One byte differs."),
        ({"state": "failed"}, "Backup"),
        ({"database": None}, "was removed from the portal"),
    ],
)
def test_it_says_why_a_backup_cannot_be_restored(
    environment: Environment, operator: Client, fields: dict[str, Any], sentence: str
) -> None:
    backup = make_backup(environment, **fields)

    into = {"into": backup.database_id} if backup.database_id else {}

    answer = operator.post(
        url("request_restore", backup.pk), {**into, "target": "shop_again", "confirmation": "Web shop"}
    )

    assert answer.status_code == 400
    assert sentence in read_main(answer)
    assert not Restore.objects.exists()


def test_it_downloads_the_artifact_as_it_is_stored(database: Any, operator: Client, store: Path) -> None:
    backup = take(database)
    stored = (store / backup.artifact).read_bytes()

    answer = operator.get(url("download_backup", backup.pk), headers={"accept-encoding": "gzip, br"})

    assert answer.status_code == 200
    assert answer["Content-Encoding"] == "identity"
    assert answer["Content-Length"] == str(len(stored))
    assert b"".join(answer.streaming_content) == stored  # type: ignore[attr-defined]
    assert stored.startswith(b"age-encryption.org/v1")
    assert answer["Content-Disposition"] == f'attachment; filename="{Path(backup.artifact).name}"'
    assert list_actions()[-1] == f"otto downloaded {backup}"


def test_it_says_that_an_artifact_is_gone(environment: Environment, operator: Client, store: Path) -> None:
    backup = make_backup(environment)

    answer = operator.get(url("download_backup", backup.pk), follow=True)

    assert answer.redirect_chain == [(url("backup", backup.pk), 302)]
    assert "is missing: is the store mounted?" in read_text(answer)


def test_it_adds_switches_and_removes_a_schedule(environment: Environment, operator: Client) -> None:
    fields = {
        "database": environment.databases.get().pk,
        "cron": "30 2 * * *",
        "time_zone": "Europe/Berlin",
        "is_enabled": "on",
    }
    operator.post(url("add_schedule", "shop"), fields)
    schedule = BackupSchedule.objects.get()
    assert schedule.next_run_at is not None
    assert schedule.next_run_at > timezone.now()
    assert (schedule.next_run_at.minute, schedule.next_run_at.hour in {0, 1}) == (30, True)
    change = url("change_schedule", "shop", schedule.pk)

    operator.post(change, {"action": "off"})
    assert not BackupSchedule.objects.get().is_enabled
    operator.post(change, {"action": "on"})
    assert BackupSchedule.objects.get().is_enabled
    operator.post(change, {"action": "nonsense"})
    assert BackupSchedule.objects.count() == 1
    operator.post(change, {"action": "remove"})
    assert not BackupSchedule.objects.exists()
    assert [action.split(" shop/")[0] for action in list_actions()] == [
        "otto scheduled backups of",
        "otto turned off the schedule",
        "otto turned on the schedule",
        "otto removed the schedule",
    ]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"cron": "every day"}, "This is not a cron expression"),
        ({"cron": "99 2 * * *"}, "This is not a cron expression"),
        ({"cron": "0 0 31 2 *"}, "This is not a cron expression"),
        ({"time_zone": "Moon/Base"}, "This is not a time zone"),
    ],
)
def test_it_says_what_is_wrong_with_a_schedule(
    environment: Environment, operator: Client, typed: dict[str, str], sentence: str
) -> None:
    fields = {"database": environment.databases.get().pk, "cron": "30 2 * * *", "time_zone": "UTC", **typed}

    answer = operator.post(url("add_schedule", "shop"), fields)

    assert answer.status_code == 400
    assert sentence in read_main(answer)
    assert not BackupSchedule.objects.exists()


def test_it_schedules_no_database_of_another_environment(environment: Environment, operator: Client) -> None:
    other = connect(make_environment("other")).databases.get()
    schedule = BackupSchedule.objects.create(database=other)
    fields = {"database": other.pk, "cron": "30 2 * * *", "time_zone": "UTC"}

    assert operator.post(url("add_schedule", "shop"), fields).status_code == 400
    assert operator.post(url("change_schedule", "shop", schedule.pk), {"action": "remove"}).status_code == 404
    assert BackupSchedule.objects.count() == 1


def test_it_turns_pages_of_the_catalogue(environment: Environment, operator: Client) -> None:
    for number in range(51):
        make_backup(environment, requested_at=timezone.now() - timedelta(hours=number), state="failed")

    first, second = operator.get(url("backups")), operator.get(url("backups"), {"page": "2"})

    assert read_main(first).count("Web shop / main") == 50
    assert read_main(second).count("Web shop / main") == 1
    assert operator.get(url("backups"), {"page": "nonsense"}).status_code == 200


def test_it_keeps_the_backups_of_an_environment_that_is_gone(environment: Environment, operator: Client) -> None:
    backup = make_backup(environment)
    environment.delete()

    assert operator.get(url("backups")).status_code == 200
    page = operator.get(url("backup", backup.pk))
    assert page.status_code == 200
    assert "Web shop" in read_main(page)


def test_it_shows_lea_backups_without_buttons(environment: Environment, lea: User, sign_in: SignIn) -> None:
    backup = make_backup(environment)
    browser = sign_in(lea)

    for address in (url("backup", backup.pk), url("environment_backups", "shop"), url("backups")):
        page = browser.get(address).content.decode().partition("<main")[2]
        assert "<form" not in page
        assert "/download/" not in page
