"""What sync keeps of a GlitchTip, which speaks Sentry's API in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from readiness.models import Environment, Tracker, TrackerEvent, TrackerIssue, TrackerProject
from readiness.trackers.facts import read_tracker_facts
from readiness.trackers.setup import test_tracker as try_tracker
from readiness.trackers.sync import make_adapter, sync_tracker
from tests.servers.glitchtip_stub import GlitchTipStub
from tests.servers.sentry_stub import TOKEN, make_event, make_group
from tests.servers.web import serve_site


def make_issue(number: int, events: int, **fields: Any) -> dict[str, Any]:
    """An issue of today with so many events, in the buckets of two weeks and of a day."""
    now = datetime.now(UTC)
    hour, day = int(now.timestamp()) // 3600 * 3600, int(now.timestamp()) // 86_400 * 86_400
    buckets = {"24h": [[hour - 3600, 0], [hour, events]], "14d": [[day - 86_400, 0], [day, events]]}
    first = (now - timedelta(minutes=30)).isoformat()
    return make_group(number, count=str(events), firstSeen=first, buckets=buckets, **fields)


@pytest.fixture
def stub() -> GlitchTipStub:
    return GlitchTipStub(
        issues=[make_issue(1, 3), make_issue(2, 1, level="warning"), make_issue(3, 1, status="resolved")],
        events={"1": [make_event(number) for number in (1, 2, 3)], "2": [make_event(4)], "3": [make_event(5)]},
    )


@pytest.fixture
def tracker(shop: Environment, stub: GlitchTipStub) -> Iterator[Tracker]:
    with serve_site(stub.answer) as server:
        tracker = Tracker.objects.create(
            environment=shop,
            provider="glitchtip",
            url=server.url.rstrip("/"),
            organization="acme",
            token=TOKEN,
            allow_http=True,
            allow_loopback=True,
        )
        TrackerProject.objects.create(tracker=tracker, name="shop-api")
        yield tracker


def test_it_counts_users_and_events_itself(tracker: Tracker) -> None:
    assert sync_tracker(tracker, timezone.now()).error == ""

    issue = TrackerIssue.objects.get(remote_id="1")
    counts = (issue.count_24h, issue.count_7d, issue.count_30d, issue.count_total)
    assert counts == (3, 3, 3, 3)
    # GlitchTip says 0; of the three events two are of one person.
    assert issue.users == 2
    # All pages, all statuses.
    assert set(TrackerIssue.objects.values_list("status", flat=True)) == {"unresolved", "resolved"}
    assert TrackerEvent.objects.count() == 5
    assert issue.detail["exceptions"][0]["frames"][0]["file"] == "shop/views.py"
    tracker.refresh_from_db()
    assert sum(count for _, count in tracker.minutes) == 5


@pytest.mark.parametrize(
    ("alerts", "there"),
    [
        ([], False),
        ([{"timespanMinutes": 1, "quantity": 10, "alertRecipients": [{"recipientType": "email"}]}], True),
        ([{"timespanMinutes": 1, "quantity": 10, "alertRecipients": []}], False),
        ([{"timespanMinutes": 60, "quantity": 10, "alertRecipients": [{"recipientType": "email"}]}], False),
    ],
)
def test_it_knows_one_of_the_four_rules(
    tracker: Tracker, stub: GlitchTipStub, alerts: list[dict[str, Any]], there: bool
) -> None:
    stub.alerts = alerts

    sync_tracker(tracker, timezone.now())

    facts = read_tracker_facts([tracker.environment_id])[tracker.environment_id]
    assert facts.has_rule("error_rate") is there
    # What it cannot express is unknown, never failed.
    assert facts.has_rule("database") is None
    backend = facts.role("backend")
    assert backend is not None
    assert (backend.is_scrubbed, backend.has_replay) == (True, None)


def test_it_says_when_nothing_is_accepted_any_more(tracker: Tracker, stub: GlitchTipStub) -> None:
    stub.is_accepting = False

    sync_tracker(tracker, timezone.now())

    assert read_tracker_facts([tracker.environment_id])[tracker.environment_id].drops_events is True


def test_it_takes_a_page_for_no_answer(tracker: Tracker, stub: GlitchTipStub) -> None:
    sync_tracker(tracker, timezone.now())
    Tracker.objects.update(organization="other")
    tracker.refresh_from_db()

    assert "a page where JSON was promised" in sync_tracker(tracker, timezone.now()).error
    assert TrackerIssue.objects.count() == 3


def test_it_tries_what_it_needs_and_finds_the_dsn(tracker: Tracker) -> None:
    tested = try_tracker(tracker)
    adapter = make_adapter(tracker)

    assert tested.is_good, tested
    assert [project.slug for project in tested.projects] == ["shop-api"]
    assert adapter.read_dsn(adapter.find_project("shop-api")) == "http://key@glitchtip.example.org/7"


def test_it_keeps_the_trackers_own_buckets_where_events_do_not_suffice(tracker: Tracker, stub: GlitchTipStub) -> None:
    # More were counted than are kept there.
    stub.issues = [make_issue(1, 900)]

    sync_tracker(tracker, timezone.now())

    issue = TrackerIssue.objects.get()
    assert (issue.count_24h, issue.count_7d, issue.count_total) == (900, 900, 900)
    assert issue.users is None


def test_it_takes_the_placeholder_for_no_figure(tracker: Tracker, stub: GlitchTipStub) -> None:
    """An older GlitchTip has no buckets to ask for; the list's empty ones are no count of nothing."""
    stub.has_stats = False
    old = (datetime.now(UTC) - timedelta(days=40)).isoformat()
    stub.issues = [make_issue(1, 3), {**make_issue(2, 900), "firstSeen": old}]

    sync_tracker(tracker, timezone.now())

    counts = dict(TrackerIssue.objects.values_list("remote_id", "count_24h"))
    assert counts == {"1": 3, "2": None}


def test_it_counts_one_environment_only(tracker: Tracker, stub: GlitchTipStub) -> None:
    staging = [{"key": "environment", "value": "staging"}]
    stub.events["1"] = [make_event(1), make_event(2), make_event(3, tags=staging)]
    stub.events["2"] = [make_event(4, tags=staging)]
    Tracker.objects.update(tracker_environment="staging")
    tracker.refresh_from_db()

    sync_tracker(tracker, timezone.now())
    sync_tracker(tracker, timezone.now(), is_quick=True)

    counts = {
        issue.remote_id: (issue.count_24h, issue.count_total, issue.users) for issue in TrackerIssue.objects.all()
    }
    assert counts == {"1": (1, 1, 1), "2": (1, 1, 1)}


def test_it_links_to_the_issue_although_glitchtip_gives_no_link(tracker: Tracker) -> None:
    sync_tracker(tracker, timezone.now())

    assert TrackerIssue.objects.get(remote_id="1").permalink == f"{tracker.url}/acme/issues/1"


def test_it_finds_a_project_by_its_id_and_says_which_there_are(tracker: Tracker) -> None:
    adapter = make_adapter(tracker)

    assert adapter.find_project("7").slug == "shop-api"
    TrackerProject.objects.update(name="shop-app")
    tested = try_tracker(tracker)
    assert tested.error == "The tracker has no project shop-app: it has shop-api."
