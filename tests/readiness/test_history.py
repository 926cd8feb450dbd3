"""Uptime of real results: maintenance is left out, what nobody knows is unknown, and nothing is counted twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from readiness import results
from readiness.history import read_uptimes
from readiness.models import Environment, ProbeRollup, ProbeState
from readiness.probes.base import ProbeResult, Status
from readiness.probes.uptime import Uptime
from tests.readiness.factories import make_environment

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 10, 17, 0, tzinfo=UTC)


@pytest.fixture
def shop() -> Environment:
    environment = make_environment()
    Environment.objects.filter(pk=environment.pk).update(created_at=START)
    environment.refresh_from_db()
    return environment


def observe(environment: Environment, at: datetime, status: Status, *, in_maintenance: bool = False) -> None:
    result = ProbeResult("http", "shop", status, reason="bad_status" if status is Status.FAIL else None)
    results.record([results.Observed(environment.pk, at, result, in_maintenance=in_maintenance)])


def read(environment: Environment, now: datetime) -> dict[str, Uptime]:
    state = ProbeState.objects.filter(environment=environment, kind="http").first()
    return dict(read_uptimes(environment, "http", now, state, 60))


def test_it_knows_nothing_before_the_first_result(shop: Environment) -> None:
    assert read(shop, START) == {}


def test_it_leaves_maintenance_out_and_says_what_is_unknown(shop: Environment) -> None:
    for minute in range(30):
        observe(shop, START + timedelta(minutes=minute), Status.PASS)
    for minute in range(30, 40):
        observe(shop, START + timedelta(minutes=minute), Status.FAIL)
    for minute in range(40, 50):
        observe(shop, START + timedelta(minutes=minute), Status.FAIL, in_maintenance=True)
    # The worker was dead from then on: a result speaks for two intervals at most.

    uptime = read(shop, START + timedelta(hours=2))["24 hours"]

    assert uptime.up_seconds == 30 * 60
    assert uptime.down_seconds == 10 * 60
    assert uptime.maintenance_seconds == 11 * 60
    assert uptime.unknown_seconds == (120 - 51) * 60
    assert uptime.share == 0.75


def test_it_counts_the_time_since_the_newest_result_as_that_one_stood(shop: Environment) -> None:
    observe(shop, START, Status.PASS)

    uptime = read(shop, START + timedelta(seconds=45))["24 hours"]

    assert (uptime.up_seconds, uptime.unknown_seconds, uptime.share) == (45, 0, 1.0)


def test_it_calls_nothing_unknown_that_lies_before_the_environment(shop: Environment) -> None:
    begun = START + timedelta(minutes=40)
    Environment.objects.filter(pk=shop.pk).update(created_at=begun)
    shop.refresh_from_db()
    observe(shop, begun, Status.PASS)

    assert read(shop, begun + timedelta(minutes=1))["365 days"].unknown_seconds == 0


@pytest.mark.parametrize("drops_hours", [False, True])
@pytest.mark.parametrize("title", ["24 hours", "7 days", "30 days", "365 days"])
def test_it_finds_no_gap_at_the_beginning_of_a_period_that_was_watched_all_the_time(
    shop: Environment, title: str, drops_hours: bool
) -> None:
    now = datetime(2026, 11, 24, 18, 20, tzinfo=UTC)
    first = (now - timedelta(days=400)).replace(hour=0, minute=0)
    Environment.objects.filter(pk=shop.pk).update(created_at=first)
    shop.refresh_from_db()
    hour = now.replace(minute=0)
    rows = [("h", hour, 1200.0)] + [("h", hour - timedelta(hours=n), 3600.0) for n in range(1, 400 * 24)]
    rows += [("d", now.replace(hour=0, minute=0), 18 * 3600 + 1200.0)]
    rows += [("d", now.replace(hour=0, minute=0) - timedelta(days=n), 86_400.0) for n in range(1, 401)]
    ProbeRollup.objects.bulk_create(
        ProbeRollup(environment=shop, kind="http", period=period, starts_at=at, up_seconds=seconds)
        for period, at, seconds in rows
    )
    if drops_hours:
        assert results.drop_old_hours(now) == (400 - 32) * 24
        assert ProbeRollup.objects.filter(period="d").count() == 401

    uptime = read(shop, now)[title]

    assert uptime.unknown_seconds == 0
    assert uptime.up_seconds == uptime.total_seconds


def test_it_still_knows_of_the_days_whose_hours_are_gone(shop: Environment) -> None:
    observe(shop, START, Status.PASS)
    observe(shop, START + timedelta(days=1), Status.PASS)
    now = START + timedelta(days=60)
    results.drop_old_hours(now)

    uptime = read(shop, now)["365 days"]

    assert uptime.up_seconds == 240
    assert uptime.unknown_seconds == timedelta(days=60).total_seconds() - 240
