"""The dashboard: worst first, in as many queries for fifty environments as for five, and honest about silence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backups.models import Backup
from portal import audit
from portal.dashboard import backup_cell, load_activity, load_fleet, probe_cell
from portal.models import WorkerPulse
from readiness.checklists import assigned_template, template_store, workflow
from readiness.checklists.facts import BackupFacts
from readiness.checklists.life import Action
from readiness.checklists.template import parse_template
from readiness.models import StatusChange
from tests.conftest import SignIn
from tests.readiness.checklists.test_template import BARE
from tests.readiness.factories import (
    connect,
    make_backup,
    make_environment,
    make_fact,
    make_facts,
    make_ready,
    make_state,
    wake_workers,
)
from tests.readiness.pages import read_main, read_text

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def count_queries(browser: Client, url: str, **headers: str) -> int:
    browser.get(url, headers=headers)
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(url, headers=headers).status_code == 200
    return len(queries)


def make_busy(number: int, lea: User) -> None:
    """An environment with results, backups, ticks, changes, audit events and something running."""
    environment = make_ready(f"shop-{number}", owner=lea, tags=["a"])
    workflow.move(environment, "local_run", Action.REOPEN, by=lea, version=0)
    make_state(environment, "headers", "fail")
    make_backup(environment, state="running", proven_at=None, phase="dumping", percent=number)
    StatusChange.objects.create(environment=environment, kind="headers", to_status="fail", at=timezone.now())
    audit.record("probed", actor=lea, environment=environment, subject=str(environment))


def test_it_asks_as_many_queries_for_fifty_environments_as_for_five(ada: User, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(ada)
    counts = []
    for numbers in (range(5), range(5, 50)):
        for number in numbers:
            make_busy(number, lea)
        counts.append((count_queries(browser, "/"), count_queries(browser, "/", **{"HX-Request": "true"})))

    assert counts[0] == counts[1]
    assert counts[0][0] <= 25


def test_it_asks_as_many_queries_for_an_environment_with_much_as_for_one_with_little(
    lea: User, otto: User, sign_in: SignIn
) -> None:
    browser = sign_in(otto)
    make_busy(1, lea)
    busy = make_ready("busy", owner=lea)
    for number in range(20):
        make_backup(busy, taken_at=timezone.now() - timedelta(days=number))
        workflow.comment(busy, "backup_strategy", f"Comment {number}.", by=lea)
    counts = {count_queries(browser, reverse("environment", args=[slug])) for slug in ("shop-1", "busy")}
    catalogues = {count_queries(browser, reverse("environment_backups", args=[slug])) for slug in ("shop-1", "busy")}

    assert len(counts) == 1
    assert len(catalogues) == 1


def test_it_shows_the_worst_first(sam: User, sign_in: SignIn) -> None:
    wake_workers()
    make_ready("a-good-one")
    nearly = make_ready("nearly")
    make_state(nearly, "headers", "fail")
    make_environment("bare")

    fleet = load_fleet(timezone.now())
    page = read_main(sign_in(sam).get("/"))

    assert [card.environment.slug for card in fleet.cards] == ["bare", "nearly", "a-good-one"]
    assert page.index("Bare") < page.index("Nearly") < page.index("A good one")
    assert "1 of 3 environments is ready" in page
    assert "1 blocker" in page


@pytest.mark.parametrize(
    ("good", "bad", "headline"),
    [
        (0, 0, "No environment yet"),
        (1, 0, "The environment is ready"),
        (2, 0, "All 2 environments are ready"),
        (0, 1, "0 of 1 environment is ready"),
        (0, 2, "0 of 2 environments are ready"),
        (1, 2, "1 of 3 environments is ready"),
    ],
)
@pytest.mark.django_db
def test_it_answers_in_one_sentence(good: int, bad: int, headline: str) -> None:
    wake_workers()
    for number in range(good):
        make_ready(f"good-{number}")
    for number in range(bad):
        make_environment(f"bad-{number}")

    assert load_fleet(timezone.now()).headline == headline


def test_it_says_what_to_do_when_there_is_nothing(sam: User, otto: User, sign_in: SignIn) -> None:
    assert "Nothing to watch yet" in read_main(sign_in(sam).get("/"))
    assert "An operator or an administrator can add one." in read_main(sign_in(sam).get("/"))
    assert "Add the first environment" in read_main(sign_in(otto).get("/"))


def test_it_says_that_no_worker_was_ever_seen(sam: User, sign_in: SignIn) -> None:
    page = read_main(sign_in(sam).get("/"))

    assert "Nothing is being probed: the worker “default” has never been seen." in page
    assert "Backups and restores are not being worked on: the worker “long” has never been seen." in page


def test_it_says_how_long_a_worker_has_been_silent_and_nothing_of_one_that_lives(sam: User, sign_in: SignIn) -> None:
    make_environment()
    now = timezone.now()
    WorkerPulse.objects.create(cluster="default", returned_at=now - timedelta(minutes=5))
    WorkerPulse.objects.create(cluster="long", returned_at=now)
    browser = sign_in(sam)

    page = read_main(browser.get("/"))
    assert "the worker “default” silent for 5 min." in page
    assert "“long”" not in page
    assert "“default” silent for 5 min" in read_main(browser.get(reverse("environment", args=["shop"])))

    WorkerPulse.objects.update(returned_at=timezone.now())
    assert "silent" not in read_main(browser.get("/"))


def test_it_takes_a_worker_that_renews_its_lease_for_alive(sam: User, sign_in: SignIn) -> None:
    now = timezone.now()
    WorkerPulse.objects.create(cluster="default", returned_at=now)
    WorkerPulse.objects.create(cluster="long", returned_at=now - timedelta(hours=1))
    make_backup(connect(make_environment()), state="running", lease_expires_at=now + timedelta(seconds=20))

    assert "“long”" not in read_main(sign_in(sam).get("/"))


def test_it_never_shows_stale_results_as_good(sam: User, sign_in: SignIn) -> None:
    environment = make_ready()
    for kind in ("http", "tls", "headers", "postgres"):
        make_state(environment, kind, observed_at=timezone.now() - timedelta(hours=1))

    (card,) = load_fleet(timezone.now()).cards

    assert not card.is_go
    assert [cell.status for cell in card.cells] == ["stale", "stale", "stale", "stale", "pass", "pass"]
    assert read_main(sign_in(sam).get("/")).count("out of date") >= 4


def test_it_shows_everything_of_an_environment_at_a_glance(sam: User, sign_in: SignIn) -> None:
    environment = make_ready(tags=["europe"])
    make_state(environment, "tls", data={"trusted": True, "hostname_ok": True, "days_left": 12})
    make_backup(environment, state="running", phase="dumping", percent=40, proven_at=None)

    page = read_main(sign_in(sam).get("/"))

    for words in ("Shop", "Production", "europe", "NO-GO", "38 of 39 items", "12 d", "A+", "60 min ago"):
        assert words in page, words
    assert "Backup: dumping, 40 %" in page


def test_it_refreshes_only_the_part_that_changes(sam: User, sign_in: SignIn) -> None:
    make_environment()
    browser = sign_in(sam)

    whole, part = browser.get("/"), browser.get("/", headers={"HX-Request": "true"})

    assert 'hx-get="/"' in whole.content.decode()
    # Without this, going back to the page shows the part alone, out of the browser's cache.
    assert "HX-Request" in whole["Vary"]
    assert "HX-Request" in part["Vary"]
    assert "<html" not in part.content.decode()
    assert "NO-GO" in read_text(part)


def test_it_tells_the_newest_news_of_all_sources_first(lea: User, sam: User, sign_in: SignIn) -> None:
    environment = make_environment()
    now = timezone.now()
    StatusChange.objects.create(
        environment=environment,
        kind="http",
        from_status="pass",
        to_status="fail",
        summary="It answers 500.",
        at=now - timedelta(hours=1),
    )
    StatusChange.objects.create(environment=environment, kind="tls", to_status="pass", at=now)
    workflow.move(environment, "local_run", Action.SUBMIT, by=lea, version=0)
    audit.record("probed", actor=lea, environment=environment, subject="Shop")

    lines = [line.text for line in load_activity()]

    assert lines[0] == "lea probed Shop"
    assert lines[1].startswith("lea submitted “")
    assert lines[2:] == ["HTTP: It answers 500."]
    page = read_main(sign_in(sam).get("/"))
    assert page.index("lea probed Shop") < page.index("HTTP: It answers 500.")


@pytest.mark.django_db
def test_it_keeps_the_news_of_environments_apart_and_short() -> None:
    first, second = make_environment("first"), make_environment("second")
    for environment in (first, second):
        for number in range(30):
            audit.record("did", environment=environment, subject=f"{environment} {number}")

    lines = load_activity(first, 12)

    assert len(lines) == 12
    assert {line.environment_slug for line in lines} == {"first"}
    assert lines[0].text == "Preflight did First 29"


@pytest.mark.parametrize(
    ("kind", "change", "status", "word"),
    [
        ("tls", {}, "pass", "80 d"),
        ("tls", {"status": "warn", "data": {"days_left": 12}}, "warn", "12 d"),
        ("tls", {"status": "fail", "reason": "not_tls", "data": {"days_left": 80}}, "fail", "not TLS"),
        ("headers", {}, "pass", "A+"),
        ("headers", {"status": "fail", "reason": "low_score", "data": {"grade": "F"}}, "fail", "F"),
        ("postgres", {}, "pass", "healthy"),
        ("http", {"status": "error", "reason": "timeout"}, "error", "timeout"),
        ("http", {"status": "error"}, "error", "could not tell"),
        ("http", {"status": "skipped"}, "skipped", "skipped"),
        ("http", {"is_stale": True}, "stale", "out of date"),
        ("http", {"status": None}, "idle", "no result yet"),
    ],
)
def test_it_words_each_kind_in_one_cell(kind: str, change: dict[str, Any], status: str, word: str) -> None:
    cell = probe_cell(replace(make_fact(kind, observed_at=NOON), **change), kind)

    assert (cell.status, cell.word) == (status, word)


def test_it_says_that_nothing_is_connected() -> None:
    assert (probe_cell(None, "http").status, probe_cell(None, "http").word) == ("idle", "not connected")


@pytest.mark.parametrize(
    ("backups", "status", "word"),
    [
        (BackupFacts(newest_proven_at=NOON - timedelta(hours=3)), "pass", "3 h ago"),
        (BackupFacts(newest_proven_at=NOON - timedelta(days=9)), "warn", "9 d ago"),
        (BackupFacts(newest_proven_at=NOON, databases_without_proof=("log",)), "warn", "just now"),
        (BackupFacts(last_error="The disk is full.", last_failed_at=NOON), "fail", "failed"),
        (BackupFacts(newest_done_at=NOON), "warn", "not proven"),
        (BackupFacts(), "fail", "none yet"),
    ],
)
def test_it_words_the_newest_proof(backups: BackupFacts, status: str, word: str) -> None:
    cell = backup_cell(make_facts(NOON, backups=backups))

    assert (cell.status, cell.word) == (status, word)


@pytest.mark.django_db
def test_it_forgets_nothing_when_a_backup_lost_its_environment() -> None:
    environment = make_ready()
    make_backup(environment, state="running", proven_at=None)
    environment.delete()

    assert load_fleet(timezone.now()).cards == ()
    assert Backup.objects.count() == 2


def test_it_names_items_of_many_templates_in_one_query(lea: User) -> None:
    def count(number: int) -> int:
        for place in range(number):
            environment = make_environment(f"e{number}-{place}")
            content = replace(parse_template(BARE, "bare"), key=environment.slug)
            version = template_store.create_template(content, by=None)
            template_store.publish_draft(version, revision=version.revision, by=None)
            template_store.switch_template(environment, version, by=None)
            workflow.comment(environment, "people.ruth", "Done?", by=lea)
        assigned_template._published.clear()
        with CaptureQueriesContext(connection) as queries:
            activity = load_activity()
        assert any("Ask Ruth" in one.text for one in activity)
        return len(queries)

    assert count(1) == count(4)
