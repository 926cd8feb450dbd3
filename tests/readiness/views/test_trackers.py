"""The pages of errors and of the tracker's settings: untrusted text, missing figures, secrets."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from portal.dashboard import error_cell
from readiness.models import Environment, Tracker, TrackerIssue, TrackerProject
from readiness.outside import record_deploy
from readiness.trackers.facts import TrackerFacts, read_tracker_facts
from tests.conftest import SignIn
from tests.portal.test_csp import check
from tests.readiness.pages import read_main
from tests.servers.sentry_stub import TOKEN, SentryStub, make_event, make_group, serve_sentry

NASTY = '<script>alert("x")</script> \' onmouseover=alert(1)'


def connect(shop: Environment, **fields: Any) -> Tracker:
    made = {"provider": "sentry", "url": "https://s.example.org", "organization": "acme", "token": "secret-token"}
    tracker = Tracker.objects.create(environment=shop, **{**made, "synced_at": timezone.now(), **fields})
    TrackerProject.objects.create(tracker=tracker, name="api")
    return tracker


def add_issue(tracker: Tracker, **fields: Any) -> TrackerIssue:
    made: dict[str, Any] = {"remote_id": str(TrackerIssue.objects.count()), "title": "ValueError", "level": "error"}
    return TrackerIssue.objects.create(tracker=tracker, project=tracker.projects.get(), **{**made, **fields})


def open_errors(browser: Client, **query: str) -> Any:
    return browser.get(reverse("environment_errors", args=["shop"]), query)


def test_it_keeps_text_of_others_text(shop: Environment, sam: User, sign_in: SignIn) -> None:
    tags = {"browser": NASTY, "url": NASTY}
    frame = {"file": NASTY, "function": NASTY, "line": 1, "code": NASTY, "in_app": True}
    detail = {
        "tags": tags,
        "user": NASTY,
        "exceptions": [{"type": NASTY, "value": NASTY, "frames": [frame]}],
        "breadcrumbs": [{"at": None, "category": NASTY, "message": NASTY, "level": NASTY}],
        "request": {"method": NASTY, "url": NASTY},
    }
    tracker = connect(shop, error=NASTY, warning=NASTY)
    issue = add_issue(tracker, title=NASTY, culprit=NASTY, status="<script>", detail=detail)
    issue.events.create(remote_id="1", at=timezone.now(), tags=tags)
    browser = sign_in(sam)

    for page in (open_errors(browser), browser.get(reverse("tracker_issue", args=["shop", issue.pk]))):
        check(page)
        assert "&lt;script&gt;" in page.content.decode()
        assert "<script>alert" not in page.content.decode()


def test_it_tells_missing_from_zero(shop: Environment, sam: User, sign_in: SignIn) -> None:
    add_issue(connect(shop), count_24h=0, users=None)

    page = open_errors(sign_in(sam)).content.decode()

    assert "The tracker does not tell" in page


def test_it_says_since_when_there_is_no_data(shop: Environment, sam: User, sign_in: SignIn) -> None:
    connect(shop, synced_at=timezone.now() - timedelta(hours=3), error="The tracker answered with the error 500.")

    text = read_main(open_errors(sign_in(sam)))

    assert "No data since" in text
    assert "The tracker answered with the error 500." in text


def test_it_searches_and_filters(shop: Environment, sam: User, sign_in: SignIn) -> None:
    tracker = connect(shop)
    add_issue(tracker, title="Cannot pay", level="fatal")
    add_issue(tracker, title="Slow page", level="warning")
    browser = sign_in(sam)

    assert "Slow page" not in read_main(open_errors(browser, text="PAY"))
    assert "Cannot pay" not in read_main(open_errors(browser, level="warning"))
    assert "No issue matches" in read_main(open_errors(browser, text="%nothing\x00"))


def test_it_asks_the_same_number_of_questions_for_many_issues(
    shop: Environment, sam: User, sign_in: SignIn, django_assert_max_num_queries: Any
) -> None:
    tracker = connect(shop)
    for _ in range(60):
        add_issue(tracker)
    browser = sign_in(sam)
    open_errors(browser)

    with django_assert_max_num_queries(20):
        open_errors(browser)


def test_it_never_sends_the_token_back(shop: Environment, otto: User, sign_in: SignIn) -> None:
    connect(shop)

    page = sign_in(otto).get(reverse("change_tracker", args=["shop"]))

    assert "secret-token" not in page.content.decode()
    assert Tracker.objects.get().token == "secret-token"


def test_it_wants_the_token_again_for_another_address(shop: Environment, otto: User, sign_in: SignIn) -> None:
    connect(shop)
    typed = {"provider": "sentry", "url": "https://evil.example.org", "organization": "acme", "backend": "api"}

    answer = sign_in(otto).post(reverse("change_tracker", args=["shop"]), typed)

    assert answer.status_code == 400
    assert Tracker.objects.get().url == "https://s.example.org"


def test_it_tests_what_was_typed_and_stores_nothing(shop: Environment, otto: User, sign_in: SignIn) -> None:
    with serve_sentry(SentryStub()) as server:
        typed = {
            "provider": "sentry",
            "url": f"http://127.0.0.1:{server.port}",
            "organization": "acme",
            "token": TOKEN,
            "allow_http": "on",
            "action": "test",
        }
        page = sign_in(otto).post(reverse("change_tracker", args=["shop"]), typed)
    check(page)
    text, html = read_main(page), page.content.decode()

    assert 'list="projects"' in html
    assert '<option value="shop-api">' in html
    assert '<option value="acme">' in html
    assert "All fine" in text
    assert "shop-api" in text
    assert not Tracker.objects.exists()


def test_it_words_the_dashboards_cell(shop: Environment) -> None:
    tracker = connect(shop, errors_24h=7, new_24h=2)
    assert error_cell(read_tracker_facts([shop.pk])[shop.pk]).word == "7, 2 new"
    Tracker.objects.filter(pk=tracker.pk).update(errors_24h=None)
    assert error_cell(read_tracker_facts([shop.pk])[shop.pk]).word == "unknown"
    Tracker.objects.filter(pk=tracker.pk).update(errors_24h=0, new_24h=0, quota={"dropped_24h": 3})
    assert error_cell(read_tracker_facts([shop.pk])[shop.pk]).word == "unknown, events are dropped"
    Tracker.objects.filter(pk=tracker.pk).update(errors_24h=4)
    assert error_cell(read_tracker_facts([shop.pk])[shop.pk]).word == "at least 4"
    assert error_cell(None).word == "not connected"
    assert error_cell(TrackerFacts("sentry", is_stale=True, synced_at=timezone.now())).status == "stale"


def run(*arguments: str) -> tuple[int, Any]:
    """Exit status and JSON of one tracker command."""
    out, status = io.StringIO(), 0
    try:
        call_command("tracker", *arguments, "--json", stdout=out, stderr=io.StringIO())
    except SystemExit as end:
        status = int(str(end.code))
    return status, json.loads(out.getvalue()) if out.getvalue() else None


def test_it_answers_scripts(shop: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    stub = SentryStub([make_group(1), make_group(2, lifetime=None, count=9)], {"1": [make_event(1)]})
    with serve_sentry(stub) as server:
        options = ["--provider", "sentry", "--organization", "acme", "--project", "frontend=shop-api"]
        where = ["--url", f"http://127.0.0.1:{server.port}", "--token", "env:SHOP_TOKEN", "--allow-http"]
        assert run("add", "shop", *options, *where)[0] == 0
        assert run("test", "shop")[0] == 0
        assert run("sync", "shop")[0] == 0
        monkeypatch.setenv("SHOP_TOKEN", "wrong")
        assert run("test", "shop")[0] == 1
    status, found = run("issues", "shop")

    assert status == 0
    assert {one["id"] for one in found["issues"]} == {"1", "2"}
    assert list(found["issues"][0]) == [
        *("id", "title", "level", "status", "count_24h", "count_7d", "count_30d", "count_total", "users"),
        *("first_seen", "last_seen", "permalink"),
    ]
    assert len(run("issues", "shop", "--limit", "1")[1]["issues"]) == 1
    assert run("sync", "shop")[0] == 3
    assert len(run("issues", "shop")[1]["issues"]) == 2


def test_it_refuses_what_it_cannot_use(shop: Environment) -> None:
    options = ["--provider", "sentry", "--organization", "acme", "--project", "api", "--url", "https://s.example.org"]

    assert run("add", "shop", *options, "--token", "the-token-itself") == (2, None)
    assert run("add", "nowhere", *options, "--token", "env:X") == (2, None)
    assert run("issues", "shop") == (2, None)
    assert not Tracker.objects.exists()


def test_it_shows_shares_quota_and_drops(shop: Environment, sam: User, sign_in: SignIn) -> None:
    quota = {"accepted_30d": 4_000, "dropped_24h": 8, "dropped_30d": 92}
    tracker = connect(shop, quota=quota, monthly_quota=5_000, users_24h=200, mean_duration_ms=123.4)
    issue = add_issue(tracker, detail={"replay": "a" * 32})
    issue.events.create(remote_id="1", at=timezone.now(), user="u1")
    browser = sign_in(sam)

    text = read_main(open_errors(browser))
    assert "0.50 % of 200" in text
    assert "123 ms" in text
    assert "80.00 % of 5,000" in text
    assert "The tracker drops events" in text
    page = browser.get(reverse("tracker_issue", args=["shop", issue.pk])).content.decode()
    assert f'href="https://s.example.org/organizations/acme/replays/{"a" * 32}/"' in page


def test_it_calls_no_issue_unknown_while_events_are_dropped(shop: Environment, sam: User, sign_in: SignIn) -> None:
    connect(shop, quota={"is_accepting": False})

    assert "whether there were any is unknown" in read_main(open_errors(sign_in(sam)))


def test_it_links_no_replay_that_is_none(shop: Environment, sam: User, sign_in: SignIn) -> None:
    issue = add_issue(connect(shop), detail={"replay": "../../x"})

    assert "/replays/" not in sign_in(sam).get(reverse("tracker_issue", args=["shop", issue.pk])).content.decode()


def test_it_queues_test_events(shop: Environment, otto: User, sign_in: SignIn) -> None:
    connect(shop)

    text = read_main(sign_in(otto).post(reverse("send_test_event", args=["shop"]), follow=True))

    assert "on their way" in text
    assert OrmQ.objects.count() == 1


def test_it_says_what_is_new_since_the_newest_release(shop: Environment, sam: User, sign_in: SignIn) -> None:
    tracker, now = connect(shop), timezone.now()
    old = add_issue(tracker, title="Known for long", first_seen=now - timedelta(days=9))
    new = add_issue(tracker, title="Since today", first_seen=now - timedelta(hours=1))
    for number, (issue, release, hours) in enumerate(
        [(old, "shop@1", 200), (old, "shop@2", 2), (new, "shop@2", 1), (old, "shop@1", 0)]
    ):
        issue.events.create(remote_id=str(number), at=now - timedelta(hours=hours), tags={"release": release})
    browser = sign_in(sam)

    assert "shop@2, first seen 2 h ago" in read_main(open_errors(browser))
    text = read_main(open_errors(browser, since="deploy"))
    assert "Since today" in text
    assert "Known for long" not in text

    record_deploy(shop, "shop@3", by="CI", now=now - timedelta(minutes=5))
    text = read_main(open_errors(browser))
    assert "shop@3, 5 min ago" in text
    assert "first seen 2 h ago" not in text
    assert "No issue matches" in read_main(open_errors(browser, since="deploy"))
