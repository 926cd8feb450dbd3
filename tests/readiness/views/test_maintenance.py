"""Maintenance is planned in words that are checked, and probes know of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from portal.models import AuditEvent
from readiness.maintenance import list_windows, load_windows
from readiness.models import Environment, MaintenanceWindow
from readiness.probes.maintenance import is_covered
from tests.conftest import SignIn

PLAN = {"reason": "Disk is replaced", "environment": "", "kind": "", "time_zone": "UTC", "duration_minutes": "60"}


def test_it_plans_one_window_for_everything(otto: User, sign_in: SignIn) -> None:
    now = timezone.now()

    answer = sign_in(otto).post(reverse("maintenance"), {**PLAN, "starts_at": f"{now:%Y-%m-%dT%H:%M}", "cron": ""})

    assert answer.status_code == 302
    assert is_covered(load_windows(), 1, "http", now)
    assert not is_covered(load_windows(), 1, "http", now + timedelta(hours=2))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"starts_at": "", "cron": ""}, "Give either the moment it starts once, or a cron expression."),
        ({"starts_at": "2026-11-24T03:00", "cron": "0 3 * * *"}, "Give either the moment"),
        ({"starts_at": "", "cron": "every night"}, "This is not a cron expression"),
        ({"starts_at": "", "cron": "0 3 * * *", "time_zone": "Mars/Olympus"}, "This is not a time zone"),
        ({"starts_at": "", "cron": "0 3 * * *", "duration_minutes": "0"}, "greater than or equal to 1"),
    ],
)
def test_it_says_what_is_wrong_with_a_plan(otto: User, sign_in: SignIn, given: dict[str, str], sentence: str) -> None:
    answer = sign_in(otto).post(reverse("maintenance"), {**PLAN, **given})

    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert not MaintenanceWindow.objects.exists()


def test_it_removes_a_window(otto: User, sign_in: SignIn) -> None:
    shop = Environment.objects.create(name="Shop", slug="shop")
    window = MaintenanceWindow.objects.create(environment=shop, reason="Disk", cron="0 3 * * *")

    sign_in(otto).post(reverse("remove_maintenance", args=[window.pk]))

    assert not MaintenanceWindow.objects.exists()


def test_it_changes_a_window_by_the_same_rules(otto: User, sign_in: SignIn) -> None:
    window = MaintenanceWindow.objects.create(reason="Disk", cron="0 3 * * *", created_by_name="ada")
    url, browser = reverse("change_maintenance", args=[window.pk]), sign_in(otto)
    assert "Change Disk" in browser.get(url).content.decode()

    wrong = browser.post(url, {**PLAN, "starts_at": "", "cron": "never"})
    assert wrong.status_code == 400
    assert "Change Disk" in wrong.content.decode()
    browser.post(url, {**PLAN, "starts_at": "", "cron": "0 4 * * *", "duration_minutes": "30"})

    window.refresh_from_db()
    assert (window.cron, window.duration_minutes, window.created_by_name) == ("0 4 * * *", 30, "ada")
    assert AuditEvent.objects.get().action == "changed the maintenance"


@pytest.mark.django_db
def test_it_says_which_windows_are_open_and_when_the_others_open_next() -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    make = MaintenanceWindow.objects.create
    over = make(reason="Over", starts_at=now - timedelta(hours=3))
    later = make(reason="Later", starts_at=now + timedelta(days=9))
    nightly = make(reason="Nightly", cron="0 3 * * *", time_zone="Europe/Berlin")
    is_open = make(reason="Open", starts_at=now - timedelta(minutes=59))

    planned = list_windows(now)

    assert [one.window for one in planned] == [is_open, nightly, later, over]
    assert [one.is_open for one in planned] == [True, False, False, False]
    assert planned[1].opens_at == datetime(2026, 11, 25, 2, tzinfo=UTC)
    assert planned[3].is_over


def test_it_asks_as_much_of_the_database_for_twenty_windows_as_for_one(otto: User, sign_in: SignIn) -> None:
    browser, counts = sign_in(otto), []
    for number in (1, 19):
        for place in range(number):
            environment = Environment.objects.create(name=f"{number}-{place}", slug=f"e-{number}-{place}")
            MaintenanceWindow.objects.create(environment=environment, reason="Disk", cron="0 3 * * *")
        with CaptureQueriesContext(connection) as queries:
            browser.get(reverse("maintenance"))
        counts.append(len(queries))

    assert counts[0] == counts[1]
