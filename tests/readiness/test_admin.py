"""The admin's view of readiness: what may be changed there keeps the same rules, and results are only read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.models import AuditEvent
from readiness.checklists.template import load_template
from readiness.models import (
    Alert,
    AlertRule,
    Channel,
    Database,
    Environment,
    GateSeen,
    ItemState,
    NoticeSettings,
    Notification,
    OnCallRota,
    OnCallTurn,
    ProbeSchedule,
    Tracker,
    TrackerEvent,
    TrackerIssue,
    TrackerProject,
)
from tests.readiness.factories import connect, make_ready
from tests.readiness.pages import read_text

SignIn = Callable[[User], Client]


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


PATIENCE = {"failures_before_down": "1", "successes_before_up": "1", "retry_seconds": "15"}


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
