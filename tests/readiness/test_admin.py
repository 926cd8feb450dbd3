"""The admin's view of readiness: what may be changed there keeps the same rules, and results are only read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.models import AuditEvent
from readiness import claims
from readiness.checklists import template_store
from readiness.checklists.template import load_template, parse_template
from readiness.models import (
    Alert,
    AlertRule,
    Channel,
    Database,
    Environment,
    GateSeen,
    ItemState,
    MaintenanceWindow,
    NoticeSettings,
    Notification,
    OnCallRota,
    OnCallTurn,
    ProbeSchedule,
    TemplateVersion,
    Tracker,
    TrackerEvent,
    TrackerIssue,
    TrackerProject,
)
from tests.conftest import SignIn
from tests.readiness.checklists.test_template import BARE
from tests.readiness.factories import connect, make_ready
from tests.readiness.pages import read_text


def list_url(model: str) -> str:
    return reverse(f"admin:readiness_{model}_changelist")


@pytest.mark.parametrize(
    "model",
    ["database", "probestate", "proberun", "statuschange", "itemstate", "itemevent"],
)
@pytest.mark.parametrize("action", ["add", "delete"])
def test_it_lets_nobody_change_what_has_one_writer(ada: User, sign_in: SignIn, model: str, action: str) -> None:
    environment = make_ready()
    rows: dict[str, Any] = {"database": environment.databases, "probestate": environment.probe_states}
    row = rows.get(model, environment.item_states).first()
    browser = sign_in(ada)

    url = reverse(f"admin:readiness_{model}_{action}", args=[row.pk] if action == "delete" else [])

    assert browser.post(url, {"post": "yes"}).status_code in {302, 403}
    assert Database.objects.count() == 1
    assert ItemState.objects.count() == len(load_template().items)


def test_it_never_shows_a_connection(ada: User, sign_in: SignIn) -> None:
    environment = make_ready()
    database = Database.objects.create(environment=environment, name="log", dsn="postgresql://u:s3cret@db/x")
    browser = sign_in(ada)

    for url in (list_url("database"), reverse("admin:readiness_database_change", args=[database.pk])):
        page = browser.get(url)
        assert page.status_code == 200
        assert "kept encrypted" in read_text(page)
        assert "s3cret" not in page.content.decode()


@pytest.mark.parametrize("model", ["environment", "probestate", "itemevent"])
def test_it_searches(ada: User, sign_in: SignIn, shop: Environment, model: str) -> None:
    Environment.objects.filter(pk=shop.pk).update(tags=["europe"])

    page = sign_in(ada).get(list_url(model), {"q": "europ"})

    assert page.status_code == 200
    if model == "environment":
        assert page.context["cl"].result_count == 1


def test_it_starts_a_checklist_for_an_environment_added_there(otto: User, sign_in: SignIn) -> None:
    fields = {
        "name": "Shop",
        "slug": "shop",
        "kind": "test",
        "tags": "",
        **{f"endpoints-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")},
    }

    sign_in(otto).post(reverse("admin:readiness_environment_add"), fields)

    assert ItemState.objects.filter(environment__slug="shop").count() == len(load_template().items)


def test_it_retires_rather_than_deletes(ada: User, sign_in: SignIn, shop: Environment) -> None:
    url = reverse("admin:readiness_environment_delete", args=[shop.pk])

    assert sign_in(ada).post(url, {"post": "yes"}).status_code == 403
    assert Environment.objects.filter(pk=shop.pk).exists()


PATIENCE = {"jitter_seconds": "0", "failures_before_down": "1", "successes_before_up": "1", "retry_seconds": "15"}


@pytest.mark.parametrize(("seconds", "is_taken"), [("0", False), ("9", False), ("10", True), ("300", True)])
def test_it_refuses_an_interval_that_would_stop_every_probe(
    otto: User, sign_in: SignIn, shop: Environment, seconds: str, is_taken: bool
) -> None:
    connect(shop)
    schedule = ProbeSchedule.objects.get(environment=shop, kind="http")

    sign_in(otto).post(
        reverse("admin:readiness_probeschedule_change", args=[schedule.pk]),
        {**PATIENCE, "interval_seconds": seconds, "is_enabled": "on"},
    )

    schedule.refresh_from_db()
    assert schedule.interval_seconds == (int(seconds) if is_taken else 60)


def test_it_leaves_a_trace_of_what_was_changed_there(otto: User, sign_in: SignIn, shop: Environment) -> None:
    before = AuditEvent.objects.count()
    fields = {
        "name": "Renamed",
        "slug": "shop",
        "kind": "test",
        "tags": "",
        **{f"endpoints-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")},
    }

    sign_in(otto).post(reverse("admin:readiness_environment_change", args=[shop.pk]), fields)

    shop.refresh_from_db()
    assert shop.name == "Renamed"
    assert AuditEvent.objects.count() == before + 1
    assert str(AuditEvent.objects.latest("pk")) == "otto changed Renamed: name, kind"


def change_schedule(browser: Client, schedule: ProbeSchedule, **fields: str) -> str:
    """Changes a schedule in the admin; the words of the page that answers."""
    made = {**PATIENCE, "interval_seconds": "60", "is_enabled": "on", **fields}
    url = reverse("admin:readiness_probeschedule_change", args=[schedule.pk])
    return read_text(browser.post(url, made, follow=True))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"jitter_seconds": "31"}, "Jitter is at most half of the interval: 30 seconds."),
        ({"timeout_seconds": "55"}, "A run may take 54 seconds at most."),
        ({"timeout_seconds": "0"}, "Ensure this value is greater than or equal to 1."),
        ({"failures_before_down": "0"}, "Ensure this value is greater than or equal to 1."),
        ({"successes_before_up": "101"}, "Ensure this value is less than or equal to 100."),
        ({"retry_seconds": "0"}, "Ensure this value is greater than or equal to 1."),
        ({"muted_until_0": "2099-01-01", "muted_until_1": "12:00"}, "Say why it is muted."),
        (
            {"muted_until_0": "2020-01-01", "muted_until_1": "12:00", "mute_reason": "Late"},
            "A mute ends in the future; empty it to end it now.",
        ),
    ],
)
def test_it_says_what_is_wrong_with_a_schedule(
    otto: User, sign_in: SignIn, shop: Environment, fields: dict[str, str], sentence: str
) -> None:
    connect(shop)
    stored = ProbeSchedule.objects.filter(environment=shop, kind="http")
    before = stored.values().get()

    assert sentence in change_schedule(sign_in(otto), stored.get(), **fields)

    assert stored.values().get() == before


def test_it_changes_how_a_kind_is_probed_and_mutes_it(otto: User, sign_in: SignIn, shop: Environment) -> None:
    connect(shop)
    schedule = ProbeSchedule.objects.get(environment=shop, kind="http")

    change_schedule(
        sign_in(otto),
        schedule,
        interval_seconds="120",
        jitter_seconds="12",
        timeout_seconds="20",
        failures_before_down="3",
        successes_before_up="2",
        retry_seconds="5",
        muted_until_0="2099-01-01",
        muted_until_1="12:00",
        mute_reason="Jonas repairs it",
    )

    schedule.refresh_from_db()
    assert (schedule.interval_seconds, schedule.jitter_seconds, schedule.timeout_seconds) == (120, 12, 20)
    assert (schedule.failures_before_down, schedule.successes_before_up, schedule.retry_seconds) == (3, 2, 5)
    assert schedule.muted_until is not None
    assert schedule.mute_reason == "Jonas repairs it"


def test_it_overwrites_no_claim_when_somebody_changes_a_schedule(
    otto: User, sign_in: SignIn, shop: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form was read before a tick claimed the schedule, and is stored after it."""
    connect(shop)
    schedule = ProbeSchedule.objects.get(environment=shop, kind="http")
    until = timezone.now() + timedelta(seconds=40)
    change = claims.change_schedule

    def claim_first(*args: Any) -> None:
        ProbeSchedule.objects.filter(pk=schedule.pk).update(claimed_until=until)
        change(*args)

    monkeypatch.setattr(claims, "change_schedule", claim_first)
    change_schedule(sign_in(otto), schedule, interval_seconds="300")

    schedule.refresh_from_db()
    assert (schedule.interval_seconds, schedule.claimed_until) == (300, until)


def test_it_plans_changes_and_removes_maintenance_there_too(otto: User, sign_in: SignIn) -> None:
    browser = sign_in(otto)
    fields = {
        "reason": "Disk",
        "environment": "",
        "kind": "",
        "starts_at": "",
        "cron": "0 3 * * SUN",
        "time_zone": "Europe/Berlin",
        "duration_minutes": "60",
    }

    wrong = browser.post(reverse("admin:readiness_maintenancewindow_add"), {**fields, "cron": "sometimes"})
    assert "This is not a cron expression" in read_text(wrong)
    browser.post(reverse("admin:readiness_maintenancewindow_add"), fields)
    window = MaintenanceWindow.objects.get()
    assert window.created_by_name == "otto"
    browser.post(
        reverse("admin:readiness_maintenancewindow_change", args=[window.pk]), {**fields, "duration_minutes": "90"}
    )
    window.refresh_from_db()
    assert window.duration_minutes == 90
    browser.post(reverse("admin:readiness_maintenancewindow_delete", args=[window.pk]), {"post": "yes"})

    assert not MaintenanceWindow.objects.exists()
    assert [event.action for event in AuditEvent.objects.order_by("pk") if event.subject == "Disk"] == [
        "planned maintenance",
        "changed the maintenance",
        "removed the maintenance",
    ]


@pytest.mark.parametrize("action", ["add", "change", "delete"])
def test_it_lets_nobody_plan_maintenance_who_may_not_mute(lea: User, sign_in: SignIn, action: str) -> None:
    window = MaintenanceWindow.objects.create(reason="Disk", cron="0 3 * * *")

    url = reverse(f"admin:readiness_maintenancewindow_{action}", args=[] if action == "add" else [window.pk])

    assert sign_in(lea).post(url, {"post": "yes"}).status_code == 403


def test_it_shows_templates_and_leads_to_their_pages(ada: User, sign_in: SignIn) -> None:
    version = template_store.create_template(parse_template(BARE, "bare"), by=None)
    browser = sign_in(ada)

    for model, pk, url in (
        ("checklisttemplate", version.template_id, reverse("template", args=["bare"])),
        ("templateversion", version.pk, reverse("template_version", args=["bare", 1])),
    ):
        assert browser.get(list_url(model)).status_code == 200
        page = browser.get(reverse(f"admin:readiness_{model}_change", args=[pk]))
        assert f'href="{url}"' in page.content.decode()
        for action, arguments in (("add", []), ("delete", [pk])):
            address = reverse(f"admin:readiness_{model}_{action}", args=arguments)
            assert browser.post(address, {"post": "yes"}).status_code == 403
    assert TemplateVersion.objects.count() == 1


@pytest.fixture
def told(shop: Environment) -> Environment:
    """A row of every model of trackers and alerts, with secrets where there can be one."""
    tracker = Tracker.objects.create(
        environment=shop, provider="sentry", url="https://s.example.org", organization="o", token="tok-s3cret"
    )
    project = TrackerProject.objects.create(tracker=tracker, name="api")
    issue = TrackerIssue.objects.create(tracker=tracker, project=project, remote_id="1", title="x")
    TrackerEvent.objects.create(issue=issue, remote_id="1", at=timezone.now())
    channel = Channel.objects.create(name="hook", kind="webhook", address="https://h.example.org/?k=s3cret")
    rota = OnCallRota.objects.create(name="Nights", starts_at=timezone.now())
    OnCallTurn.objects.create(rota=rota, channel=channel, position=0)
    rule = AlertRule.objects.create(name="ours", kind="probe_down")
    alert = Alert.objects.create(rule=rule, environment=shop, subject="x", title="x", opened_at=timezone.now())
    Notification.objects.create(
        alert=alert, channel=channel, reason="opened", key="1", due_at=timezone.now(), facts={"title": "s3cret"}
    )
    NoticeSettings.objects.create(person=User.objects.get(username="ada"))
    GateSeen.objects.create(environment=shop, verdict="GO", seen_at=timezone.now())
    return shop


@pytest.mark.parametrize(
    "model",
    [
        *("tracker", "trackerproject", "trackerissue", "trackerevent", "channel", "alertrule", "oncallrota"),
        *("oncallturn", "alert", "notification", "noticesettings", "gateseen"),
    ],
)
def test_it_shows_trackers_and_alerts_and_changes_nothing(
    ada: User, told: Environment, sign_in: SignIn, model: str
) -> None:
    browser, row = sign_in(ada), apps.get_model("readiness", model).objects.first()
    change = reverse(f"admin:readiness_{model}_change", args=[row.pk])

    for url in (list_url(model), change):
        page = browser.get(url)
        assert page.status_code == 200
        assert "s3cret" not in page.content.decode()
    assert browser.post(change, {}).status_code == 403
    assert browser.get(reverse(f"admin:readiness_{model}_add")).status_code == 403
    assert browser.post(reverse(f"admin:readiness_{model}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
