"""Probes in the browser: what they found, with its age, and probing now."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from readiness import claims, evidence, results, tasks
from readiness.models import Database, Endpoint, Environment, ProbeRun, ProbeSchedule
from readiness.probes.base import Finding, ProbeResult, Status
from tests.conftest import Server, SignIn
from tests.readiness.factories import connect, make_state
from tests.readiness.pages import read_text


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
    assert page.count("It runs within a minute") == 4


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

    assert "5 probes are on their way." in first
    assert "Probing now" in first
    assert "Nothing to probe: it is being probed at this moment" in second
    assert OrmQ.objects.count() == 1
    assert ProbeSchedule.objects.exclude(requested_at=None).count() == 5


def test_it_does_not_wait_for_a_worker_that_is_lost(shop: Environment, otto: User, sign_in: SignIn) -> None:
    connect(shop)
    browser = sign_in(otto)
    browser.post(probes_url("probe_now"))

    ProbeSchedule.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))

    assert "Probing now" not in browser.get(probes_url()).content.decode()


def test_it_shows_the_last_runs_newest_first(shop: Environment, lea: User, sign_in: SignIn) -> None:
    now = timezone.now()
    for number in range(110):
        ProbeRun.objects.create(
            environment=shop,
            kind="http",
            status="fail",
            summary=f"Run {number:03}.",
            reason="bad_status",
            duration_ms=5,
            observed_at=now - timedelta(minutes=number),
        )

    page = sign_in(lea).get(probes_url("probe_history", "http")).content.decode()

    assert page.index("Run 000.") < page.index("Run 099.")
    assert "Run 100." not in page


def test_it_knows_no_history_of_an_unknown_kind(shop: Environment, lea: User, sign_in: SignIn) -> None:
    assert sign_in(lea).get(probes_url("probe_history", "astrology")).status_code == 404


def test_it_shows_uptime_and_what_the_newest_run_changed(shop: Environment, lea: User, sign_in: SignIn) -> None:
    start = timezone.now() - timedelta(minutes=3)
    for minute, status in enumerate([Status.PASS, Status.PASS, Status.FAIL]):
        finding = Finding("status", status, f"It answers in minute {minute}.")
        result = ProbeResult("http", "shop", status, findings=(finding,), duration_ms=10 + minute)
        results.record([results.Observed(shop.pk, start + timedelta(minutes=minute), result)])

    page = sign_in(lea).get(probes_url("probe_history", "http")).content.decode()

    assert "New in the newest run" in page
    assert "before: It answers in minute 1." in page
    assert "66." in page  # two of three minutes, the one since the newest run included
    assert 'class="course"' in page


def test_it_lists_what_fails_everywhere_the_quiet_last(shop: Environment, otto: User, sign_in: SignIn) -> None:
    make_state(shop, "http", status="fail", summary="It answers 500.")
    make_state(shop, "tls", status="error", summary="No answer in time.")
    make_state(shop, "postgres", status="pass", summary="Healthy.")
    ProbeSchedule.objects.update_or_create(environment=shop, kind="http", defaults={"next_run_at": timezone.now()})
    browser = sign_in(otto)
    browser.post(probes_url("mute_probe", "http"), {"hours": "4", "reason": "Jonas repairs it"})

    page = browser.get(reverse("failing")).content.decode()

    assert "1 probe fails now" in page
    assert page.index("No answer in time.") < page.index("It answers 500.")
    assert "muted: Jonas repairs it" in page
    assert "Healthy." not in page


def test_it_unmutes(shop: Environment, otto: User, sign_in: SignIn) -> None:
    ProbeSchedule.objects.update_or_create(
        environment=shop,
        kind="http",
        defaults={"next_run_at": timezone.now(), "muted_until": timezone.now() + timedelta(hours=1)},
    )

    sign_in(otto).post(probes_url("mute_probe", "http"), {"action": "unmute"})

    assert ProbeSchedule.objects.get(environment=shop, kind="http").muted_until is None


def test_it_shows_what_the_browser_saw_to_those_who_may_look_inside(
    shop: Environment, sam: User, lea: User, sign_in: SignIn, settings: Settings
) -> None:
    settings.BROWSER_PROBE = True
    Endpoint.objects.create(environment=shop, role="frontend", url="http://127.0.0.1/")
    claims.sync_schedules(timezone.now())
    make_state(shop, "browser")
    png = b"\x89PNG\r\n\x1a\n"
    evidence.keep_screenshots(shop.pk, {"390x844": png})
    (picture,) = evidence.list_screenshots(shop.pk)
    address = reverse("screenshot", args=["shop", picture.name])

    assert address in sign_in(lea).get(probes_url()).content.decode()
    answer = sign_in(lea).get(address)
    assert (answer.status_code, answer.content) == (200, png)
    assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("image/png", "nosniff")
    assert sign_in(lea).get(reverse("screenshot", args=["shop", "390x844-000000000000.png"])).status_code == 404

    assert address not in sign_in(sam).get(probes_url()).content.decode()
    assert sign_in(sam).get(address).status_code == 403


def test_it_shows_how_one_kind_stands_and_what_to_do(shop: Environment, lea: User, sign_in: SignIn) -> None:
    connect(shop)
    finding = {"id": "x", "status": "warn", "summary": "A slot is idle.", "detail": "", "fix": "Drop it."}
    make_state(shop, "postgres", "warn", findings=[finding], beats="ppw")

    page = sign_in(lea).get(probes_url("probe_history", "postgres")).content.decode()

    assert "A slot is idle." in page
    assert "Drop it." in page
    assert 'class="beats"' in page
    assert "How it is probed" not in page  # a team lead changes nothing


def test_it_never_shows_an_old_result_of_one_kind_as_good(shop: Environment, lea: User, sign_in: SignIn) -> None:
    connect(shop)
    finding = {"id": "x", "status": "pass", "summary": "All is well.", "detail": "", "fix": ""}
    make_state(shop, "http", findings=[finding], observed_at=timezone.now() - timedelta(hours=1))

    page = sign_in(lea).get(probes_url("probe_history", "http")).content.decode()

    assert "Out of date" in page
    assert 'class="status pass' not in page


PATIENCE = {"jitter_seconds": "6", "failures_before_down": "3", "successes_before_up": "2", "retry_seconds": "5"}


def test_it_changes_how_often_and_how_patiently_a_kind_is_probed(
    shop: Environment, otto: User, sign_in: SignIn
) -> None:
    connect(shop)
    schedule = ProbeSchedule.objects.get(environment=shop, kind="http")
    ProbeSchedule.objects.filter(pk=schedule.pk).update(next_run_at=timezone.now() + timedelta(days=1))
    browser = sign_in(otto)

    page = browser.post(
        probes_url("change_probing", "http"),
        {**PATIENCE, "is_enabled": "on", "interval_seconds": "120", "timeout_seconds": ""},
        follow=True,
    )

    assert "Saved." in page.content.decode()
    schedule.refresh_from_db()
    assert (schedule.interval_seconds, schedule.jitter_seconds, schedule.timeout_seconds) == (120, 6, None)
    assert (schedule.failures_before_down, schedule.successes_before_up, schedule.retry_seconds) == (3, 2, 5)
    assert schedule.next_run_at <= timezone.now() + timedelta(seconds=120)


def test_it_says_what_is_wrong_with_a_schedule_and_keeps_the_page(
    shop: Environment, otto: User, lea: User, sign_in: SignIn
) -> None:
    connect(shop)
    fields = {**PATIENCE, "jitter_seconds": "40", "is_enabled": "on", "interval_seconds": "60"}

    answer = sign_in(otto).post(probes_url("change_probing", "http"), fields)

    assert answer.status_code == 400
    assert "Jitter is at most half of the interval: 30 seconds." in answer.content.decode()
    assert ProbeSchedule.objects.get(environment=shop, kind="http").jitter_seconds == 0
    assert sign_in(lea).post(probes_url("change_probing", "http"), fields).status_code == 403
    assert sign_in(otto).post(probes_url("change_probing", "astrology"), fields).status_code == 404


def test_it_folds_figures_that_changed_and_were_well_before_and_after(
    shop: Environment, lea: User, sign_in: SignIn
) -> None:
    start = timezone.now() - timedelta(minutes=2)
    for minute, status in enumerate([Status.PASS, Status.WARN]):
        findings = (
            Finding("reachable", Status.PASS, f"It answers in 0.{minute} ms."),
            Finding("slots", status, f"{minute} slots are idle."),
        )
        result = ProbeResult("postgres", "main", status, findings=findings, duration_ms=10 + minute)
        results.record([results.Observed(shop.pk, start + timedelta(minutes=minute), result)])

    page = read_text(sign_in(lea).get(probes_url("probe_history", "postgres")))

    changed = page.partition("New in the newest run")[2]
    assert changed.index("1 slots are idle.") < changed.index("1 figure of what is well changed")
    assert changed.index("1 figure of what is well changed") < changed.index("before: It answers in 0.0 ms.")
    assert "half of them 10 ms or less, the slowest 11 ms" in page


def test_it_shows_the_figures_and_statements_of_each_database(
    shop: Environment, lea: User, sign_in: SignIn, server: Server
) -> None:
    server.create_database("figured", "CREATE EXTENSION pg_stat_statements", "CREATE TABLE t (id int)")
    with server.connect("figured") as connection:
        connection.execute("SELECT pg_sleep(0.5), 4711")
    for name in ("main", "log"):
        Database.objects.create(environment=shop, name=name, dsn=server.url("figured"), plan_storage_bytes=2**40)
    claims.sync_schedules(timezone.now())
    tasks.run_probes(claims.claim_due(timezone.now()))

    page = read_text(sign_in(lea).get(probes_url("probe_history", "postgres")))

    assert "Figures of main" in page
    assert "Figures of log" in page
    assert "% of the plan's 1.0 TB" in page
    assert "SELECT pg_sleep($1), $2" in page
    assert "4711" not in page


def test_it_shows_no_figures_of_a_database_that_did_not_answer(shop: Environment, lea: User, sign_in: SignIn) -> None:
    connect(shop)
    make_state(shop, "postgres", "error", data={"targets": {"main": {}, "log": {}}})

    assert "Figures" not in read_text(sign_in(lea).get(probes_url("probe_history", "postgres")))


def test_it_asks_as_much_of_the_database_for_a_hundred_runs_as_for_two(
    shop: Environment, otto: User, sign_in: SignIn
) -> None:
    connect(shop)
    browser, counts, start = sign_in(otto), [], timezone.now() - timedelta(days=2)
    for first, last in ((0, 2), (2, 100)):
        results.record(
            results.Observed(shop.pk, start + timedelta(minutes=minute), ProbeResult("http", "shop", Status.PASS))
            for minute in range(first, last)
        )
        with CaptureQueriesContext(connection) as queries:
            browser.get(probes_url("probe_history", "http"))
        counts.append(len(queries))

    assert counts[0] == counts[1]
