"""Schedules follow what is connected, and what is due is claimed once, by whoever comes first."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from readiness import claims
from readiness.models import Database, Endpoint, Environment, ProbeSchedule, Scenario
from readiness.probes.scenarios.shipped import read_template
from tests.readiness.factories import connect, make_environment

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def shop(db: None) -> Environment:
    """A connected environment whose five schedules are due at noon."""
    environment = connect(make_environment())
    ProbeSchedule.objects.update(next_run_at=NOON)
    return environment


def list_kinds(environment: Environment) -> list[str]:
    return sorted(ProbeSchedule.objects.filter(environment=environment).values_list("kind", flat=True))


def test_it_schedules_only_what_has_a_target(db: None) -> None:
    environment = make_environment()
    claims.sync_schedules(NOON)
    assert list_kinds(environment) == []

    endpoint = Endpoint.objects.create(environment=environment, url="https://shop.example.org/")
    claims.sync_schedules(NOON)
    assert list_kinds(environment) == ["dns", "headers", "http", "tls"]

    Database.objects.create(environment=environment, name="main", dsn="env:SHOP")
    endpoint.delete()
    claims.sync_schedules(NOON)
    assert list_kinds(environment) == ["postgres"]


@pytest.mark.parametrize(
    ("url", "is_asked"),
    [
        ("https://shop.example.org/", True),
        ("https://bücher.example/", True),
        ("http://localhost:8000/", False),
        ("http://shop.localhost/", False),
        ("http://intranet/", False),
        ("http://192.0.2.7/", False),
        ("http://[2001:db8::1]/", False),
    ],
)
def test_it_asks_dns_only_about_names_that_a_resolver_can_know(db: None, url: str, is_asked: bool) -> None:
    environment = make_environment()
    Endpoint.objects.create(environment=environment, url=url)

    claims.sync_schedules(NOON)

    assert ("dns" in list_kinds(environment)) is is_asked


def test_it_schedules_scenarios_only_where_one_is_enabled(db: None) -> None:
    environment = make_environment()
    scenario = Scenario.objects.create(environment=environment, name="login", text=read_template("login"))
    claims.sync_schedules(NOON)
    assert list_kinds(environment) == ["scenario"]

    scenario.is_enabled = False
    scenario.save()
    claims.sync_schedules(NOON)
    assert list_kinds(environment) == []


def test_it_opens_a_browser_only_for_a_frontend_and_where_there_is_one(db: None, settings: Settings) -> None:
    first, second = make_environment("first"), make_environment("second")
    Endpoint.objects.create(environment=first, role="frontend", url="http://127.0.0.1/")
    Endpoint.objects.create(environment=second, role="api", url="http://127.0.0.1/")
    claims.sync_schedules(NOON)
    assert "browser" not in list_kinds(first)

    settings.BROWSER_PROBE = True
    claims.sync_schedules(NOON)

    assert "browser" in list_kinds(first)
    assert "browser" not in list_kinds(second)


def test_it_gives_each_kind_its_own_interval(shop: Environment, settings: Settings) -> None:
    settings.BROWSER_PROBE = True
    Scenario.objects.create(environment=shop, name="login", text=read_template("login"))

    claims.sync_schedules(NOON)

    intervals = dict(ProbeSchedule.objects.values_list("kind", "interval_seconds"))
    assert {kind: intervals[kind] for kind in ("http", "dns", "scenario", "browser")} == {
        "http": 60,
        "dns": 300,
        "scenario": 86_400,
        "browser": 86_400,
    }


def make_heavy(count: int) -> None:
    """So many environments with nothing to probe but a scenario each."""
    for number in range(count):
        environment = make_environment(f"walked-{number}")
        Scenario.objects.create(environment=environment, name="login", text=read_template("login"))
    claims.sync_schedules(NOON)


@pytest.mark.parametrize(("workers", "at_a_time"), [(1, 1), (2, 1), (4, 3)])
def test_it_keeps_a_worker_free_of_heavy_kinds(
    shop: Environment, settings: Settings, workers: int, at_a_time: int
) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": workers}
    make_heavy(6)

    claimed = claims.claim_due(NOON)

    kinds = list(ProbeSchedule.objects.filter(pk__in=claimed).values_list("kind", flat=True))
    assert kinds.count("scenario") == at_a_time
    assert len(kinds) == 5 + at_a_time
    assert not ProbeSchedule.objects.filter(pk__in=claims.claim_due(NOON + timedelta(seconds=1))).exists()

    claims.release(claimed)
    later = claims.claim_due(NOON + timedelta(seconds=2))
    assert len(later) == at_a_time
    assert not set(later) & set(claimed)


def test_it_claims_heavy_kinds_for_longer_than_their_task_may_take(db: None, settings: Settings) -> None:
    make_heavy(1)

    claims.claim_due(NOON)

    until = ProbeSchedule.objects.get().claimed_until
    assert until is not None
    assert until - NOON > timedelta(seconds=settings.DEFAULT_TIMEOUT_SECONDS)


def test_it_makes_a_heavy_kind_due_when_no_worker_is_to_spare(db: None) -> None:
    make_heavy(2)
    busy, asked = ProbeSchedule.objects.select_related("environment").order_by("pk")
    assert claims.claim_now(busy.environment, NOON) == [busy.pk]
    ProbeSchedule.objects.filter(pk=asked.pk).update(next_run_at=NOON + timedelta(hours=9))

    assert claims.claim_now(asked.environment, NOON) == []

    claims.release([busy.pk])
    assert claims.claim_due(NOON + timedelta(seconds=60)) == [asked.pk]


def test_it_gives_a_heavy_kind_no_more_time_on_a_single_worker_than_a_batch_has(settings: Settings) -> None:
    settings.PROBE_TIMEOUT_SECONDS = 15
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 1}
    assert claims.deadline_seconds("scenario") == 30

    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 2}
    assert [claims.deadline_seconds(kind) for kind in ("http", "scenario", "browser")] == [15, 60, 45]


def test_it_claims_only_the_kinds_that_are_asked_for(shop: Environment) -> None:
    claimed = claims.claim_now(shop, NOON, ["tls"])

    assert claimed == [ProbeSchedule.objects.get(kind="tls").pk]


def test_it_leaves_other_environments_alone_when_it_is_given_one(db: None) -> None:
    first, second = make_environment("first"), make_environment("second")
    for environment in (first, second):
        Endpoint.objects.create(environment=environment, url="https://shop.example.org/")

    claims.sync_schedules(NOON, [first])

    assert (len(list_kinds(first)), list_kinds(second)) == (4, [])


def test_it_keeps_the_interval_that_someone_chose(shop: Environment) -> None:
    ProbeSchedule.objects.filter(kind="http").update(interval_seconds=300)

    claims.sync_schedules(NOON)

    assert ProbeSchedule.objects.get(kind="http").interval_seconds == 300


def test_it_takes_the_schedules_of_a_retired_environment_away(shop: Environment) -> None:
    shop.retired_at = NOON
    shop.save()
    assert claims.claim_due(NOON) == []

    claims.sync_schedules(NOON)

    assert list_kinds(shop) == []


def test_it_drops_a_kind_that_the_settings_no_longer_name(shop: Environment, settings: Settings) -> None:
    settings.READINESS_PROBES = {kind: path for kind, path in settings.READINESS_PROBES.items() if kind != "headers"}

    claims.sync_schedules(NOON)

    assert list_kinds(shop) == ["dns", "http", "postgres", "tls"]


def test_it_claims_what_is_due_and_not_what_is_not(shop: Environment) -> None:
    ProbeSchedule.objects.filter(kind="http").update(next_run_at=NOON + timedelta(seconds=1))

    claimed = claims.claim_due(NOON)

    kinds = ProbeSchedule.objects.filter(pk__in=claimed).values_list("kind", flat=True)
    assert sorted(kinds) == ["dns", "headers", "postgres", "tls"]


def test_it_does_not_claim_what_is_switched_off(shop: Environment) -> None:
    ProbeSchedule.objects.exclude(kind="http").update(is_enabled=False)

    assert claims.claim_due(NOON) == [ProbeSchedule.objects.get(kind="http").pk]


def test_it_does_not_claim_twice_before_the_claim_is_released(shop: Environment) -> None:
    claimed = claims.claim_due(NOON)
    later = NOON + timedelta(seconds=20)
    ProbeSchedule.objects.update(next_run_at=later)
    assert claims.claim_due(later) == []

    claims.release(claimed)

    assert claims.claim_due(later) == claimed


def test_it_gives_a_lost_claim_to_the_next_tick(shop: Environment, settings: Settings) -> None:
    claimed = claims.claim_due(NOON)
    until = ProbeSchedule.objects.values_list("claimed_until", flat=True).first()
    assert until == NOON + timedelta(seconds=2 * settings.PROBE_TIMEOUT_SECONDS + 10)

    assert claims.claim_due(until - timedelta(seconds=1)) == []
    assert claims.claim_due(until) == claimed


def test_it_keeps_to_the_grid_when_a_tick_comes_late(shop: Environment) -> None:
    ProbeSchedule.objects.update(jitter_seconds=0)
    claims.claim_due(NOON + timedelta(seconds=130))

    planned = dict(ProbeSchedule.objects.values_list("kind", "next_run_at"))
    assert planned.pop("dns") == NOON + timedelta(seconds=300)
    assert set(planned.values()) == {NOON + timedelta(seconds=180)}


def test_it_strays_from_the_grid_by_no_more_than_the_jitter(db: None) -> None:
    for number in range(20):
        connect(make_environment(f"shop-{number}"))
    ProbeSchedule.objects.exclude(kind="dns").delete()
    ProbeSchedule.objects.update(next_run_at=NOON)

    claims.claim_due(NOON)

    offsets = [
        (planned - NOON - timedelta(seconds=300)).total_seconds()
        for planned in ProbeSchedule.objects.values_list("next_run_at", flat=True)
    ]
    assert all(-30 <= offset <= 30 for offset in offsets)
    assert len(set(offsets)) == 20
    assert min(offsets) < 0 < max(offsets)


@pytest.mark.parametrize(("interval", "jitter"), [(60, 0), (299, 0), (300, 30), (3600, 360), (86_400, 600)])
def test_it_strays_by_default_only_where_a_minute_does_not_matter(interval: int, jitter: int) -> None:
    assert claims.default_jitter_seconds(interval) == jitter


def claim_of(schedule_id: int) -> datetime:
    claim = ProbeSchedule.objects.get(pk=schedule_id).claimed_until
    assert claim is not None
    return claim


def test_it_takes_up_what_it_claimed_though_the_claim_has_run_out(shop: Environment) -> None:
    claimed = claims.claim_due(NOON)
    late = NOON + timedelta(minutes=5)

    mine, held_until = claims.take_up(claimed, claim_of(claimed[0]), late)

    assert mine == claimed
    assert held_until == late + timedelta(seconds=40)
    assert claims.claim_due(late) == []


def test_it_leaves_what_has_another_claim_by_now_to_that_one(shop: Environment) -> None:
    claimed = claims.claim_due(NOON)
    first_claim = claim_of(claimed[0])
    later = NOON + timedelta(seconds=60)
    assert claims.claim_due(later) == claimed
    second_claim = claim_of(claimed[0])

    assert claims.take_up(claimed, first_claim, later)[0] == []
    claims.release(claimed, first_claim)
    assert claim_of(claimed[0]) == second_claim

    mine, held_until = claims.take_up(claimed, second_claim, later)
    assert mine == claimed
    assert claims.take_up(claimed, second_claim, later)[0] == []

    claims.release(claimed, held_until)
    assert not ProbeSchedule.objects.exclude(claimed_until=None).exists()


def test_it_holds_a_claim_for_as_long_as_the_slowest_of_its_batch_may_take(shop: Environment) -> None:
    ProbeSchedule.objects.filter(kind="tls").update(timeout_seconds=50)
    claimed = claims.claim_due(NOON)

    _, held_until = claims.take_up(claimed, claim_of(claimed[0]), NOON)

    assert held_until == NOON + timedelta(seconds=2 * 50 + 10)


def test_it_claims_first_what_waited_in_vain(shop: Environment) -> None:
    waited = claims.claim_due(NOON, limit=2)
    later = NOON + timedelta(seconds=120)
    ProbeSchedule.objects.exclude(pk__in=waited).update(next_run_at=NOON)

    assert claims.claim_due(later, limit=2) == waited


def test_it_takes_no_more_than_it_is_asked_for_and_the_longest_overdue_first(shop: Environment) -> None:
    oldest = ProbeSchedule.objects.get(kind="tls")
    ProbeSchedule.objects.filter(pk=oldest.pk).update(next_run_at=NOON - timedelta(hours=1))

    assert claims.claim_due(NOON, limit=1) == [oldest.pk]


def test_it_probes_now_whatever_is_due_but_nothing_that_is_being_probed(shop: Environment) -> None:
    busy = ProbeSchedule.objects.get(kind="tls")
    ProbeSchedule.objects.filter(pk=busy.pk).update(claimed_until=NOON + timedelta(seconds=30))
    ProbeSchedule.objects.update(next_run_at=NOON + timedelta(seconds=50))

    claimed = claims.claim_now(shop, NOON)

    assert sorted(claimed) == sorted(ProbeSchedule.objects.exclude(pk=busy.pk).values_list("pk", flat=True))
    assert not ProbeSchedule.objects.filter(pk__in=claimed, requested_at=None).exists()


def test_it_does_not_put_the_next_regular_run_off_when_someone_probes_now(shop: Environment) -> None:
    planned = NOON + timedelta(seconds=50)
    ProbeSchedule.objects.update(next_run_at=planned)

    for _ in range(10):
        claims.release(claims.claim_now(shop, NOON))

    assert set(ProbeSchedule.objects.values_list("next_run_at", flat=True)) == {planned}


@pytest.mark.django_db(transaction=True)
def test_it_gives_each_due_row_to_one_of_two_claimers() -> None:
    for number in range(10):
        connect(make_environment(f"shop-{number}"))
    now = timezone.now() + timedelta(seconds=1)
    together = threading.Barrier(2)
    claimed: list[list[int]] = []

    def claim() -> None:
        try:
            together.wait(timeout=10)
            claimed.append(claims.claim_due(now))
        finally:
            connection.close()

    threads = [threading.Thread(target=claim) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claimed) == 2
    every = [pk for one in claimed for pk in one]
    assert sorted(every) == sorted(ProbeSchedule.objects.values_list("pk", flat=True))


@pytest.mark.django_db(transaction=True)
def test_it_skips_what_another_claimer_has_locked() -> None:
    connect(make_environment())
    now = timezone.now() + timedelta(seconds=1)
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        from django.db import transaction

        try:
            with transaction.atomic():
                list(ProbeSchedule.objects.select_for_update().filter(kind="http"))
                locked.set()
                done.wait(timeout=10)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(timeout=10)
    claimed = claims.claim_due(now)
    done.set()
    holder.join()

    kinds = ProbeSchedule.objects.filter(pk__in=claimed).values_list("kind", flat=True)
    assert sorted(kinds) == ["dns", "headers", "postgres", "tls"]
