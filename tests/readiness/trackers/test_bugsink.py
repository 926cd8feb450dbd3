"""A real Bugsink, seeded with sentry-sdk: what the page says equals what was sent."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import sentry_sdk
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from readiness.models import Environment, TrackerEvent, TrackerIssue, TrackerProject
from readiness.trackers.base import ProjectFound
from readiness.trackers.bugsink import BugsinkAdapter
from readiness.trackers.facts import read_tracker_facts
from readiness.trackers.sync import make_adapter
from readiness.trackers.trial_event import _send_one
from tests.readiness.pages import read_main
from tests.servers.bugsink import Bugsink, find_programs, serve_bugsink

PROGRAMS = find_programs()
pytestmark = pytest.mark.skipif(PROGRAMS is None, reason="no bugsink-manage: `make test` installs it in .venv-bugsink")
# title -> (level, environment of each event, users)
SEED: dict[str, tuple[str, list[str], list[str]]] = {
    "database is gone": ("fatal", ["production"] * 7, ["u1", "u2", "u1", "u3", "u1", "u1", "u2"]),
    "cannot pay": ("error", ["production"] * 3 + ["staging"] * 2, ["u1", "u1", "u1", "u2", "u4"]),
    "slow": ("warning", ["staging"] * 4, ["u9"] * 4),
}


@pytest.fixture(scope="module")
def bugsink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bugsink]:
    assert PROGRAMS is not None
    with serve_bugsink(PROGRAMS, tmp_path_factory.mktemp("bugsink")) as server:
        seed(server.dsn)
        yield server


def seed(dsn: str) -> None:
    client = sentry_sdk.Client(dsn=dsn, default_integrations=False, release="shop@1.2")
    at = datetime.now(UTC) - timedelta(minutes=40)
    for title, (level, environments, users) in SEED.items():
        for number, (environment, user) in enumerate(zip(environments, users, strict=True)):
            client.capture_event(
                {
                    "level": level,  # type: ignore[typeddict-item]
                    "environment": environment,
                    "timestamp": at + timedelta(seconds=number),
                    "user": {"id": user, "email": f"{user}@example.org"},
                    "tags": {"browser": f"Firefox {number % 2}"},
                    "exception": {"values": [{"type": "RuntimeError", "value": title}]},
                }
            )
    client.close(timeout=20)


@pytest.fixture
def connected(shop: Environment, bugsink: Bugsink, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("BUGSINK_TOKEN", bugsink.token)
    return shop


def add(bugsink: Bugsink, *more: str) -> None:
    options = ["--provider", "bugsink", "--url", bugsink.url, "--project", bugsink.project_id, "--allow-http"]
    call_command("tracker", "add", "shop", *options, "--token", "env:BUGSINK_TOKEN", *more, stdout=io.StringIO())


def run(*arguments: str) -> Any:
    out = io.StringIO()
    call_command("tracker", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_it_counts_what_was_sent(connected: Environment, bugsink: Bugsink) -> None:
    add(bugsink)
    assert run("test", "shop")["ok"] is True
    assert run("sync", "shop")["issues"] == len(SEED)

    found = {issue["title"]: issue for issue in run("issues", "shop")["issues"]}

    assert set(found) == {f"RuntimeError: {title}" for title in SEED}
    for title, (level, environments, users) in SEED.items():
        issue = found[f"RuntimeError: {title}"]
        sent = len(environments)
        counts = [issue[name] for name in ("count_24h", "count_7d", "count_30d", "count_total")]
        assert counts == [sent] * 4, issue
        assert (issue["level"], issue["users"]) == (level, len(set(users)))
    tags = TrackerEvent.objects.filter(issue__title="RuntimeError: database is gone").values_list("tags", flat=True)
    assert sorted(one["browser"] for one in tags) == ["Firefox 0"] * 4 + ["Firefox 1"] * 3


def test_it_counts_one_environment_only(connected: Environment, bugsink: Bugsink) -> None:
    add(bugsink, "--tracker-environment", "production")
    run("sync", "shop")

    shown = run("issues", "shop")["issues"]
    counts = {issue["title"]: tuple(issue[name] for name in ("count_24h", "count_total", "users")) for issue in shown}

    assert counts == {"RuntimeError: database is gone": (7, 7, 3), "RuntimeError: cannot pay": (3, 3, 1)}


def test_it_shows_them_on_the_page(
    connected: Environment, bugsink: Bugsink, sam: User, sign_in: Callable[[User], Client]
) -> None:
    add(bugsink)
    run("sync", "shop")
    browser = sign_in(sam)

    text = read_main(browser.get(reverse("environment_errors", args=["shop"])))
    assert "3 issues" in text
    assert "RuntimeError: database is gone" in text
    issue = TrackerIssue.objects.get(title__contains="database")
    page = browser.get(reverse("tracker_issue", args=["shop", issue.pk]))
    assert "7 in 24 h" in read_main(page)
    assert "u2@example.org" not in page.content.decode()
    assert f"{bugsink.url}/issues/issue/{issue.remote_id}/" in page.content.decode()


def test_it_reads_only_what_is_new_the_second_time(connected: Environment, bugsink: Bugsink) -> None:
    add(bugsink)
    run("sync", "shop")
    before = TrackerEvent.objects.count()
    run("sync", "shop")

    assert TrackerEvent.objects.count() == before == sum(len(one[1]) for one in SEED.values())


def test_it_sends_a_test_event_that_proves_the_dsn_only(connected: Environment, bugsink: Bugsink) -> None:
    add(bugsink)
    run("sync", "shop")

    (sent,) = run("test-event", "shop")["projects"]

    assert sent["error"] is None
    # The headers probe asks whether the frontend's policy admits it.
    assert TrackerProject.objects.get().test_event["host"] == urlsplit(bugsink.dsn).hostname
    assert sent["arrived_after_seconds"] < 30
    run("sync", "shop")
    facts = read_tracker_facts([connected.pk])[connected.pk]
    backend = facts.role("backend")
    assert backend is not None
    assert backend.trial_arrived_at is not None
    # The application's own newest event stays the one that it sent itself.
    assert backend.sdk.startswith("sentry.python") or backend.sdk == ""
    assert not backend.sdk.startswith("preflight")


def test_it_says_that_no_event_arrives_where_nothing_listens(connected: Environment, bugsink: Bugsink) -> None:
    add(bugsink)
    project = TrackerProject.objects.get()
    tracker = project.tracker
    deaf = bugsink.dsn.replace(f":{urlsplit(bugsink.url).port}/", ":9/")

    class Deaf(BugsinkAdapter):
        def read_dsn(self, project: ProjectFound) -> str:
            return deaf

    adapter = make_adapter(tracker)
    adapter.__class__ = Deaf
    sent = _send_one(tracker, project, adapter, lambda seconds: None)

    assert "cannot be reached" in sent.error
    project.refresh_from_db()
    assert project.test_event["arrived_at"] is None


def test_it_keeps_titles_that_are_longer_than_its_column(connected: Environment, bugsink: Bugsink) -> None:
    """Last in this file: the event stays."""
    add(bugsink)
    client = sentry_sdk.Client(dsn=bugsink.dsn, default_integrations=False)
    client.capture_event({"exception": {"values": [{"type": "T" * 3000, "value": "V" * 9000}]}})
    client.close(timeout=20)

    assert run("sync", "shop")["error"] is None
    assert max(len(issue["title"]) for issue in run("issues", "shop")["issues"]) == 500
