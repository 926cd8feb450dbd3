"""Senders that are killed, and the time from an issue's first sign to a message, with the product's own processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from portal.jobs import setup_schedules
from readiness.alerts.incidents import FLAP_LIMIT
from readiness.models import Alert, AlertRule, Channel, Environment, Notification, StatusChange, Tracker, TrackerProject
from tests.conftest import PROJECT
from tests.servers.receiver import Mailbox, Posts, serve_smtp, serve_webhook
from tests.servers.sentry_stub import TOKEN, SentryStub, make_event, make_group, serve_sentry
from tests.servers.web import Answer, Request, serve_site

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

ENVIRONMENTS, KINDS, CHANGES_EACH, KILLS = 20, ("http", "tls", "headers", "postgres", "dns"), 100, 10
# A claim of a dead sender runs out quickly, so that the test need not wait a minute.
SENDER = """
import os, time
import django
django.setup()
from django.utils import timezone
from readiness.alerts import rules, send
from readiness.models import Notification, StatusChange
send.CLAIM_SECONDS = 2
while True:
    rules.evaluate_changes(timezone.now(), limit=200)
    send.send_due()
    if not StatusChange.objects.filter(alerted_at=None).exists():
        if not Notification.objects.exclude(state__in=["sent", "failed"]).exists():
            break
        time.sleep(0.2)
"""


@pytest.fixture
def posts() -> Posts:
    return Posts()


@pytest.fixture
def hook(posts: Posts) -> Iterator[str]:
    with serve_webhook(posts) as server:
        yield server.url


def make_rule(kind: str, channel: Channel) -> AlertRule:
    AlertRule.objects.all().delete()
    rule = AlertRule.objects.create(name=kind, kind=kind, cooldown_minutes=0)
    AlertRule.objects.update(created_at=timezone.now() - timedelta(hours=1))
    rule.channels.add(channel)
    return rule


def start(script: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    environment = {**env, "DJANGO_SETTINGS_MODULE": "portal.settings"}
    return subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, env=environment)


def test_it_tells_ten_thousand_changes_exactly_once_though_it_is_killed(
    process_env: dict[str, str], posts: Posts, hook: str
) -> None:
    make_rule("probe_down", Channel.objects.create(name="hook", kind="webhook", address=hook))
    now = timezone.now()
    environments = [Environment.objects.create(name=f"e{n}", slug=f"e{n}") for n in range(ENVIRONMENTS)]
    StatusChange.objects.bulk_create(
        StatusChange(
            environment=environment,
            kind=kind,
            from_status="fail" if turn % 2 else "pass",
            to_status="pass" if turn % 2 else "fail",
            summary="x",
            at=now,
        )
        for turn in range(CHANGES_EACH)
        for environment in environments
        for kind in KINDS
    )
    assert StatusChange.objects.count() == 10_000

    killed = 0
    while killed < KILLS:
        heard = len(posts.received)
        sender = start(SENDER, process_env)
        # In the middle of its work: it has delivered a few.
        while len(posts.received) < heard + 8 and sender.poll() is None:
            time.sleep(0.005)
        assert sender.poll() is None, "it was done before it could be killed ten times"
        os.kill(sender.pid, signal.SIGKILL)
        sender.wait()
        killed += 1
    assert start(SENDER, process_env).wait(500) == 0

    subjects = ENVIRONMENTS * len(KINDS)
    expected = subjects * 2 * FLAP_LIMIT
    keys = Counter(headers["idempotency-key"] for headers, _ in posts.received)
    assert len(keys) == Notification.objects.filter(state="sent").count() == expected
    assert sum(keys.values()) - expected <= KILLS
    assert max(keys.values()) <= 2
    assert Alert.objects.count() == subjects * CHANGES_EACH // 2
    assert not Alert.objects.filter(resolved_at=None).exists()


def test_it_mails_a_new_issue_within_ninety_seconds(process_env: dict[str, str], manage: list[str]) -> None:
    """The product's own worker at its default settings, a real SMTP server, and a dead man's switch that stays calm."""
    setup_schedules()
    make_rule("new_issue", Channel.objects.create(name="ops", kind="email", address="ops@example.org"))
    shop = Environment.objects.create(name="Shop", slug="shop")
    stub, mailbox, pings = SentryStub(), Mailbox(), list[Request]()
    with serve_sentry(stub) as server, serve_smtp(mailbox) as smtp_port, serve_site(Answer(), pings) as switch:
        tracker = Tracker.objects.create(
            environment=shop,
            provider="sentry",
            url=f"http://127.0.0.1:{server.port}",
            organization="acme",
            token=TOKEN,
            allow_http=True,
            allow_loopback=True,
        )
        TrackerProject.objects.create(tracker=tracker, name="shop-api")
        environment = {
            **process_env,
            "EMAIL_URL": f"smtp://127.0.0.1:{smtp_port}",
            "DEAD_MANS_SWITCH_URL": f"{switch.url}ping/secret",
        }
        worker = subprocess.Popen([*manage, "worker", "default"], cwd=PROJECT, env=environment)
        try:
            wait_until(lambda: Tracker.objects.filter(synced_at__isnull=False).exists(), 60)
            started = time.monotonic()
            stub.events["1"] = [make_event(0)]
            stub.issues.append(make_group(1, firstSeen=datetime.now(UTC).isoformat()))
            wait_until(lambda: bool(mailbox.messages), 90)
            took = time.monotonic() - started
            wait_until(lambda: bool(pings), 120)
        finally:
            worker.terminate()
            worker.wait(60)
    assert took < 90
    assert mailbox.messages[0]["Subject"] == "[New] Shop: ValueError: number 1"
    assert {request.path for request in pings} == {"/ping/secret"}


def wait_until(holds: object, seconds: float) -> None:
    assert callable(holds)
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.1)
