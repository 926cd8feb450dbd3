"""What sync keeps of a Sentry, and that it keeps it when the Sentry fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.templatetags.preflight import hour_counts
from readiness.models import Environment, Tracker, TrackerEvent, TrackerIssue
from readiness.trackers.facts import read_tracker_facts
from readiness.trackers.sync import Synced, claim, is_stale, make_adapter, sync_tracker
from tests.servers.sentry_stub import JSON, SentryStub, answer_json, make_event, make_group
from tests.servers.web import Answer, Request


def sync(tracker: Tracker, *, is_quick: bool = False) -> Synced:
    tracker.refresh_from_db()
    adapter = make_adapter(tracker, sleep=lambda seconds: None)
    return sync_tracker(tracker, timezone.now(), is_quick=is_quick, adapter=adapter)


def test_it_keeps_what_sentry_counts(tracker: Tracker) -> None:
    assert sync(tracker) == Synced(2)

    issue = TrackerIssue.objects.get(remote_id="1")
    counts = (issue.count_24h, issue.count_7d, issue.count_30d, issue.count_total, issue.users)
    assert counts == (3, 5, 10, 40, 5)
    assert (issue.title, issue.level, issue.culprit) == ("ValueError: number 1", "error", "shop.views.pay")
    assert issue.permalink == "http://127.0.0.1/issues/1/"
    tracker.refresh_from_db()
    assert (tracker.errors_24h, tracker.new_24h, tracker.error) == (6, 0, "")
    assert tracker.synced_at is not None


def test_it_reads_all_pages_and_all_statuses(tracker: Tracker, stub: SentryStub) -> None:
    stub.issues = [make_group(number, status="resolved" if number % 2 else "unresolved") for number in range(1, 26)]
    stub.page_length = 4

    sync(tracker)

    assert TrackerIssue.objects.count() == 25
    assert TrackerIssue.objects.filter(status="resolved").count() == 13


def test_it_keeps_an_id_of_users_and_nothing_else_of_them(tracker: Tracker) -> None:
    sync(tracker)

    assert set(TrackerEvent.objects.values_list("user", flat=True)) == {"u0", "u1"}
    stored = str(list(TrackerIssue.objects.values())) + str(list(TrackerEvent.objects.values()))
    for secret in ("somebody@example.org", "203.0.113.9", "verysecret"):
        assert secret not in stored


def test_it_puts_own_frames_first(tracker: Tracker) -> None:
    sync(tracker)

    detail = TrackerIssue.objects.get(remote_id="1").detail
    assert [frame["file"] for frame in detail["exceptions"][0]["frames"]] == [
        "shop/views.py",
        "lib/decimal.py",
        "django/base.py",
    ]
    assert detail["request"] == {"method": "POST", "url": "https://shop.example.org/pay"}
    assert detail["breadcrumbs"][0]["message"] == "SELECT 1"


def test_it_calls_old_issues_zero_and_unknown_counts_unknown(tracker: Tracker, stub: SentryStub) -> None:
    old = make_group(1, lastSeen="2020-01-01T00:00:00Z", firstSeen="2020-01-01T00:00:00Z", buckets={})
    bare = {"id": "2", "lastSeen": make_group(2)["lastSeen"]}
    stub.issues = [old, bare]

    sync(tracker)

    first, second = TrackerIssue.objects.get(remote_id="1"), TrackerIssue.objects.get(remote_id="2")
    assert (first.count_24h, first.count_7d, first.count_30d, first.count_total) == (0, 0, 0, 40)
    assert (second.count_24h, second.count_total, second.users, second.first_seen) == (None, None, None, None)


@pytest.mark.parametrize("permalink", ["javascript:alert(1)", "https://evil.example/x", "data:text/html,x", 7, None])
def test_it_drops_links_that_lead_elsewhere(tracker: Tracker, stub: SentryStub, permalink: object) -> None:
    stub.issues = [make_group(1, permalink=permalink)]

    sync(tracker)

    assert TrackerIssue.objects.get().permalink == ""


def break_issues(answer: Answer) -> object:
    return lambda request: answer if "/issues/" in request.path else None


@pytest.mark.parametrize(
    "answer",
    [
        Answer(429, [("Retry-After", "9999")]),
        Answer(410),
        Answer(500),
        Answer(200, [JSON], b"[" + b" " * 9_000_000),
        Answer(200, [JSON], b'[{"id": '),
        Answer(200, [JSON], b'{"not": "a list"}'),
        Answer(200, [JSON], b'["no group"]'),
        Answer(200, [("Content-Type", "text/html")], b"<html>"),
    ],
    ids=["429", "410", "500", "oversize", "half", "object", "strings", "html"],
)
def test_it_keeps_the_old_data_when_the_tracker_fails(tracker: Tracker, stub: SentryStub, answer: Answer) -> None:
    sync(tracker)
    tracker.refresh_from_db()
    synced_at = tracker.synced_at
    stub.trouble = break_issues(answer)  # type: ignore[assignment]

    assert sync(tracker).error

    tracker.refresh_from_db()
    assert TrackerIssue.objects.count() == 2
    assert tracker.synced_at == synced_at
    assert tracker.failed_at is not None
    assert tracker.error


def test_it_takes_a_brown_out_of_rules_for_no_answer(tracker: Tracker, stub: SentryStub) -> None:
    first_seen = {
        "id": "1",
        "enabled": True,
        "triggers": {"conditions": [{"type": "first_seen_event"}]},
        "actionFilters": [{"conditions": [], "actions": [{"type": "email", "status": "active"}]}],
    }
    stub.workflows = [first_seen]
    sync(tracker)
    stub.trouble = lambda request: Answer(410) if "workflows" in request.path or "rules" in request.path else None

    assert sync(tracker).warning

    facts = read_tracker_facts([tracker.environment_id])[tracker.environment_id]
    assert facts.has_rule("new_issue") is True
    assert facts.has_rule("database") is False


def test_it_forgets_what_the_tracker_no_longer_has(tracker: Tracker, stub: SentryStub) -> None:
    sync(tracker)
    stub.issues = stub.issues[:1]

    sync(tracker)

    assert TrackerIssue.objects.get().remote_id == "1"


def test_it_reads_only_what_is_new_when_it_is_quick(tracker: Tracker, stub: SentryStub) -> None:
    sync(tracker)
    stub.issues.append(make_group(3, level="fatal"))
    stub.events["3"] = [make_event(9)]
    stub.requests.clear()

    assert sync(tracker, is_quick=True).issues == 3

    assert TrackerIssue.objects.get(remote_id="3").level == "fatal"
    assert TrackerIssue.objects.get(remote_id="1").count_30d == 10
    # One page of issues, one look at the new one; the project and its minutes.
    assert len(stub.requests) <= 5


def test_it_survives_text_that_postgresql_cannot_hold(tracker: Tracker, stub: SentryStub) -> None:
    stub.issues = [make_group(1, title="nul \x00 and \ud800 and " + "x" * 10_000)]

    assert sync(tracker).error == ""
    assert TrackerIssue.objects.get().title.startswith("nul ?")


def test_it_gives_a_tracker_to_one_reader_at_a_time(tracker: Tracker) -> None:
    now = timezone.now()

    assert [claim(tracker.pk, now), claim(tracker.pk, now)] == [True, False]


def test_it_says_that_a_token_is_missing(tracker: Tracker) -> None:
    Tracker.objects.update(token="")
    tracker.token = "env:NO_SUCH_VARIABLE_HERE"
    tracker.save()

    assert "NO_SUCH_VARIABLE_HERE" in sync_tracker(tracker, timezone.now()).error


def test_it_tells_the_checklist_what_it_knows(
    tracker: Tracker, shop: Environment, django_assert_num_queries: object
) -> None:
    sync(tracker)

    with django_assert_num_queries(1):  # type: ignore[operator]
        facts = read_tracker_facts([shop.pk, 99])[shop.pk]

    backend = facts.role("backend")
    assert backend is not None
    assert backend.sdk == "sentry.python 2.75"
    assert (backend.environment, backend.release) == ("production", "shop@1.2")
    assert (backend.is_scrubbed, backend.has_replay) == (True, False)
    assert backend.newest_event_at is not None
    assert not facts.is_stale
    assert facts.role("frontend") is None


def test_it_takes_no_event_of_the_portal_for_the_applications(tracker: Tracker, stub: SentryStub) -> None:
    stub.events = {"1": [make_event(1, sdk={"name": "preflight", "version": "1"})], "2": []}

    sync(tracker)

    backend = read_tracker_facts([tracker.environment_id])[tracker.environment_id].role("backend")
    assert backend is not None
    assert backend.newest_event_at is None


def test_it_is_stale_before_it_was_ever_read(tracker: Tracker) -> None:
    assert is_stale(tracker)


def test_it_counts_minutes_as_sentry_does(tracker: Tracker, stub: SentryStub) -> None:
    stub.minutes = [[1741368000, [{"count": 3}]], [1741368060, []]]

    sync(tracker)

    tracker.refresh_from_db()
    assert tracker.minutes == [[1741368000, 3], [1741368060, 0]]


def test_it_says_what_a_scope_is_missing_for(tracker: Tracker, stub: SentryStub) -> None:
    from readiness.trackers.setup import test_tracker as try_tracker

    def forbid(request: Request) -> Answer | None:
        return answer_json({}, 403) if "workflows" in request.path else None

    stub.trouble = forbid

    tested = try_tracker(tracker)

    assert tested.missing_scopes == ("alerts:read",)
    assert [what for what, why in tested.checks if why] == ["alert rules"]
    assert tested.organizations == ("acme",)
    assert [project.slug for project in tested.projects] == ["shop-api"]


def test_it_knows_what_is_dropped_who_came_and_how_long_it_took(tracker: Tracker, stub: SentryStub) -> None:
    stub.outcomes = {"accepted": (50, 4_000), "rate_limited": (7, 90), "invalid": (1, 2), "filtered": (9, 99)}
    stub.sessions = (200, 900)
    stub.durations = {"avg(transaction.duration)": (123.5, 8)}

    assert sync(tracker).error == ""

    tracker.refresh_from_db()
    assert tracker.quota == {"accepted_30d": 4_000, "dropped_24h": 8, "dropped_30d": 92}
    assert (tracker.users_24h, tracker.mean_duration_ms) == (200, 123.5)
    facts = read_tracker_facts([tracker.environment_id])[tracker.environment_id]
    assert facts.drops_events is True


def test_it_prefers_spans_where_a_sentry_has_them(tracker: Tracker, stub: SentryStub) -> None:
    stub.durations = {"avg(span.duration)": (40.0, 3), "avg(transaction.duration)": (1.0, 3)}

    sync(tracker)

    tracker.refresh_from_db()
    assert tracker.mean_duration_ms == 40.0


@pytest.mark.parametrize("answer", [Answer(403), Answer(404), Answer(400), answer_json([1])])
def test_it_takes_unknown_usage_for_unknown(tracker: Tracker, stub: SentryStub, answer: Answer) -> None:
    stub.trouble = lambda request: (
        answer if any(part in request.path for part in ("stats_v2", "sessions", "acme/events/")) else None
    )

    assert sync(tracker).error == ""

    tracker.refresh_from_db()
    assert (tracker.quota, tracker.users_24h, tracker.mean_duration_ms) == ({}, None, None)
    assert read_tracker_facts([tracker.environment_id])[tracker.environment_id].drops_events is None


def test_it_takes_no_sessions_for_unknown_and_not_for_nobody(tracker: Tracker, stub: SentryStub) -> None:
    stub.sessions, stub.durations = (0, 0), {"avg(span.duration)": (0, 0)}

    sync(tracker)

    tracker.refresh_from_db()
    assert (tracker.users_24h, tracker.mean_duration_ms) == (None, None)


def test_it_reads_the_key_that_is_on_and_finds_an_event(tracker: Tracker, stub: SentryStub) -> None:
    adapter = make_adapter(tracker, sleep=lambda seconds: None)
    project = adapter.find_project("shop-api")

    assert adapter.read_dsn(project) == "https://on@o1.ingest.example.org/7"
    assert adapter.has_event(project, "a" * 32)
    assert "query=" + "a" * 32 in stub.requests[-1].path
    stub.issues = []
    assert not adapter.has_event(project, "a" * 32)


def test_it_keeps_the_country_that_the_tracker_looked_up(tracker: Tracker, stub: SentryStub) -> None:
    stub.events["1"] = [make_event(1, user={"id": "u1", "geo": {"country_code": "DE", "city": "Kiel"}})]

    sync(tracker)

    event = TrackerEvent.objects.get(issue__remote_id="1")
    assert event.tags["country"] == "DE"
    assert "Kiel" not in str(event.tags)


def test_it_counts_users_without_an_id_and_keeps_neither_name_nor_address(tracker: Tracker, stub: SentryStub) -> None:
    people = [
        {"email": "a@example.org"},
        {"email": "a@example.org"},
        {"username": "joe"},
        {"ip_address": "203.0.113.9"},
    ]
    stub.events["1"] = [make_event(number, user=user) for number, user in enumerate(people, start=1)]

    sync(tracker)

    users = list(TrackerEvent.objects.filter(issue__remote_id="1").order_by("at").values_list("user", flat=True))
    assert len(set(users)) == 3
    assert users.count("") == 1
    stored = str(list(TrackerEvent.objects.values())) + str(list(TrackerIssue.objects.values_list("detail")))
    for secret in ("a@example.org", "joe", "203.0.113.9"):
        assert secret not in stored


def test_it_cuts_texts_to_what_can_be_kept(tracker: Tracker, stub: SentryStub) -> None:
    stub.issues = [make_group(1, title="t" * 5000, culprit="c" * 5000, shortId="s" * 5000, status="x" * 5000)]

    assert sync(tracker).error == ""
    assert TrackerIssue.objects.get().title.startswith("ttt")


def test_the_command_reads_the_events_of_every_issue(
    tracker: Tracker, stub: SentryStub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.issues = [make_group(number) for number in range(1, 71)]
    stub.events = {str(number): [make_event(number)] for number in range(1, 71)}

    call_command("tracker", "sync", "shop", "--json")

    assert json.loads(capsys.readouterr().out)["issues"] == 70
    assert TrackerEvent.objects.values("issue").distinct().count() == 70


def test_the_command_waits_for_a_worker_that_reads(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    claim(tracker.pk, timezone.now())
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        Tracker.objects.update(claimed_until=None)

    monkeypatch.setattr("readiness.management.commands.tracker.time.sleep", wait)
    call_command("tracker", "sync", "shop")

    assert len(waits) == 1
    assert capsys.readouterr().out == "shop: 2 issues\n"


@pytest.mark.parametrize("url", ["https://sentry.example.org/?token=abc", "https://sentry.example.org/#/issues"])
def test_the_command_takes_no_address_with_a_query(
    shop: Environment, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("tracker", "add", "shop", provider="bugsink", url=url, project=["p"], token="env:HOME")

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("url: Give only where the tracker lives")
    assert not Tracker.objects.exists()


def test_the_command_says_that_a_token_is_not_there_yet(shop: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    url = "https://sentry.example.org"
    call_command("tracker", "add", "shop", provider="bugsink", url=url, project=["p"], token="env:NOWHERE")

    told = capsys.readouterr()
    assert told.out == "shop: bugsink at https://sentry.example.org, p\n"
    assert "NOWHERE is not set" in told.err


def test_the_command_prints_titles_that_speak_to_no_terminal(
    tracker: Tracker, stub: SentryStub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.issues = [make_group(1, title="bad\x1b]0;owned\x07\nnext")]
    sync(tracker)

    call_command("tracker", "issues", "shop")

    assert capsys.readouterr().out == "error: bad ]0;owned  next (3 in 24 h)\n"


@pytest.mark.parametrize(
    ("projects", "sentence"),
    [
        (["shop=p"], "--project shop=p: a role is backend or frontend.\n"),
        (["frontend="], "--project frontend=: name the project after the role.\n"),
        (["p", "frontend=p"], "--project p is given twice; a project has one role.\n"),
    ],
)
def test_the_command_says_what_is_wrong_with_a_project(
    shop: Environment, capsys: pytest.CaptureFixture[str], projects: list[str], sentence: str
) -> None:
    options = ["--provider", "bugsink", "--url", "https://bugsink.example.org", "--token", "env:HOME"]
    named = [part for project in projects for part in ("--project", project)]
    with pytest.raises(SystemExit) as ended:
        call_command("tracker", "add", "shop", *options, *named)

    assert (ended.value.code, capsys.readouterr().err) == (2, sentence)


def test_the_page_shows_unknown_figures_as_unknown_and_every_hour_of_a_day(
    tracker: Tracker, sam: User, sign_in: Callable[[User], Client]
) -> None:
    sync(tracker)
    Tracker.objects.update(quota={})
    TrackerIssue.objects.update(hourly=[[int(timezone.now().timestamp()) - 7200, 5]])

    page = sign_in(sam).get(reverse("environment_errors", args=["shop"])).content.decode()

    assert "Dropped events, 24 h – " in " ".join(re.sub("<[^>]*>", " ", page).split())
    assert 'aria-label="Events in the last 24 hours"' in page
    assert hour_counts([[int(timezone.now().timestamp()) - 7200, 5]]) == [*[0] * 21, 5, 0, 0]
