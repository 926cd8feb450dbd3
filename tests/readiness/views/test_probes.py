"""Probes in the browser: what they found, with its age, and probing now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from readiness.models import Environment, ProbeRun, ProbeSchedule
from tests.readiness.factories import connect, make_state

SignIn = Callable[[User], Client]


def probes_url(name: str = "environment_probes", *more: str) -> str:
    return reverse(name, args=["shop", *more])


def test_it_shows_findings_with_evidence_and_what_to_do(shop: Environment, sam: User, sign_in: SignIn) -> None:
    connect(shop)
    finding = {
        "id": "hsts",
        "status": "fail",
        "summary": "There is no HSTS.",
        "detail": "<script>x</script>",
        "fix": "Send it.",
    }
    make_state(shop, "headers", "fail", findings=[finding])

    page = sign_in(sam).get(probes_url()).content.decode()

    assert "There is no HSTS." in page
    assert "Send it." in page
    assert "&lt;script&gt;x" in page
    assert page.count("It runs within a minute") == 3


def test_it_never_shows_a_result_that_is_out_of_date_as_good(shop: Environment, sam: User, sign_in: SignIn) -> None:
    connect(shop)
    make_state(shop, "http", observed_at=timezone.now() - timedelta(hours=1))

    page = sign_in(sam).get(probes_url()).content.decode()

    assert "Out of date" in page
    assert "was pass" in page
    assert 'class="status pass' not in page


def test_it_says_that_nothing_is_connected(shop: Environment, sam: User, otto: User, sign_in: SignIn) -> None:
    assert "Nothing to probe yet" in sign_in(sam).get(probes_url()).content.decode()
    assert "Connect something" not in sign_in(sam).get(probes_url()).content.decode()
    assert "Connect something" in sign_in(otto).get(probes_url()).content.decode()


def test_it_gives_htmx_only_the_part_that_changes(shop: Environment, sam: User, sign_in: SignIn) -> None:
    connect(shop)

    part = sign_in(sam).get(probes_url(), headers={"HX-Request": "true"}).content.decode()

    assert 'id="http"' in part
    assert "<html" not in part


def test_it_lets_otto_probe_now_and_says_so(shop: Environment, otto: User, sign_in: SignIn) -> None:
    connect(shop)
    browser = sign_in(otto)

    first = browser.post(probes_url("probe_now"), follow=True).content.decode()
    second = browser.post(probes_url("probe_now"), follow=True).content.decode()

    assert "4 probes are on their way." in first
    assert "Probing now" in first
    assert "Nothing to probe: it is being probed at this moment" in second
    assert OrmQ.objects.count() == 1
    assert ProbeSchedule.objects.exclude(requested_at=None).count() == 4


def test_it_does_not_wait_for_a_worker_that_is_lost(shop: Environment, otto: User, sign_in: SignIn) -> None:
    connect(shop)
    browser = sign_in(otto)
    browser.post(probes_url("probe_now"))

    ProbeSchedule.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))

    assert "Probing now" not in browser.get(probes_url()).content.decode()


def test_it_shows_the_last_runs_newest_first(shop: Environment, lea: User, sign_in: SignIn) -> None:
    now = timezone.now()
    for number in range(60):
        ProbeRun.objects.create(
            environment=shop,
            kind="http",
            status="fail",
            summary=f"Run {number:02}.",
            reason="bad_status",
            duration_ms=5,
            observed_at=now - timedelta(minutes=number),
        )

    page = sign_in(lea).get(probes_url("probe_history", "http")).content.decode()

    assert page.index("Run 00.") < page.index("Run 49.")
    assert "Run 50." not in page


def test_it_knows_no_history_of_an_unknown_kind(shop: Environment, lea: User, sign_in: SignIn) -> None:
    assert sign_in(lea).get(probes_url("probe_history", "astrology")).status_code == 404
