"""Results are stored once, in order, and a change of status is an event."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from readiness.history import read_uptimes
from readiness.models import Environment, ProbeRollup, ProbeRun, ProbeState, StatusChange
from readiness.probes.base import Finding, ProbeResult, Status
from readiness.probes.transitions import Patience
from readiness.results import Observed, record

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def observe(environment: Environment, status: Status, at: datetime, summary: str = "It answers.") -> Observed:
    finding = Finding(id="reachable", status=status, summary=summary)
    return Observed(environment.pk, at, ProbeResult("http", "shop", status, findings=(finding,), duration_ms=5))


@pytest.fixture
def shop(db: None) -> Environment:
    return Environment.objects.create(name="Shop", slug="shop")


def test_it_records_a_run_the_newest_state_and_the_first_change(shop: Environment) -> None:
    changes = record([observe(shop, Status.FAIL, NOON, "It answers 500.")]).changes

    state = ProbeState.objects.get(environment=shop, kind="http")
    assert (state.status, state.summary, state.beats) == ("fail", "It answers 500.", "f")
    assert [(change.from_status, change.to_status) for change in changes] == [("", "fail")]
    assert ProbeRun.objects.count() == 1


def test_it_makes_no_event_of_a_result_like_the_one_before(shop: Environment) -> None:
    record([observe(shop, Status.PASS, NOON)])
    later = NOON + timedelta(minutes=1)

    assert record([observe(shop, Status.PASS, later)]).changes == []
    state = ProbeState.objects.get()
    assert (state.observed_at, state.status_since, state.beats) == (later, NOON, "pp")


def test_it_keeps_a_late_result_as_a_run_without_moving_the_state_back(shop: Environment) -> None:
    record([observe(shop, Status.PASS, NOON)])

    assert record([observe(shop, Status.FAIL, NOON - timedelta(minutes=1))]).changes == []
    assert ProbeState.objects.get().status == "pass"
    assert ProbeRun.objects.count() == 2


def test_it_sees_every_change_within_one_batch(shop: Environment) -> None:
    batch = [
        observe(shop, Status.PASS, NOON + timedelta(minutes=2)),
        observe(shop, Status.PASS, NOON),
        observe(shop, Status.ERROR, NOON + timedelta(minutes=1)),
    ]

    record(batch)

    changes = StatusChange.objects.order_by("at").values_list("from_status", "to_status")
    assert list(changes) == [("", "pass"), ("pass", "error"), ("error", "pass")]


def test_it_waits_for_a_second_failure_when_told_to_be_patient(shop: Environment) -> None:
    patience = Patience(failures_before_down=2)
    minutes = [NOON + timedelta(minutes=number) for number in range(4)]
    record([replace(observe(shop, Status.PASS, minutes[0]), patience=patience)])

    first = record([replace(observe(shop, Status.FAIL, minutes[1], "It answers 500."), patience=patience)])
    waiting = ProbeState.objects.get()
    second = record([replace(observe(shop, Status.FAIL, minutes[2], "It answers 500."), patience=patience)])

    assert (first.changes, first.waiting) == ([], {(shop.pk, "http")})
    assert (waiting.status, waiting.pending_status, waiting.pending_summary) == ("pass", "fail", "It answers 500.")
    assert (waiting.summary, waiting.observed_at) == ("It answers.", minutes[1])
    assert [change.to_status for change in second.changes] == ["fail"]
    assert (ProbeState.objects.get().status, ProbeState.objects.get().pending_status) == ("fail", "")


def test_it_forgets_one_failure_between_two_good_results(shop: Environment) -> None:
    patience = Patience(failures_before_down=2)
    for number, status in enumerate([Status.PASS, Status.FAIL, Status.PASS, Status.FAIL]):
        record([replace(observe(shop, status, NOON + timedelta(minutes=number)), patience=patience)])

    assert ProbeState.objects.get().status == "pass"
    assert StatusChange.objects.count() == 1


def test_it_adds_up_the_time_between_results_by_hour_and_day(shop: Environment) -> None:
    start = NOON + timedelta(minutes=59)
    record([observe(shop, Status.PASS, start)])
    record([observe(shop, Status.FAIL, start + timedelta(seconds=90))])
    # Nobody looked for ten minutes: two intervals of that are down, the rest is unknown.
    record([observe(shop, Status.PASS, start + timedelta(seconds=690))])

    # The hour that runs is not rolled up yet, and counts all the same.
    assert [(hour.starts_at, hour.up_seconds) for hour in ProbeRollup.objects.filter(period="h")] == [(NOON, 60)]
    uptime = dict(read_uptimes(shop, "http", start + timedelta(seconds=690), ProbeState.objects.get(), 60))["7 days"]
    assert (uptime.up_seconds, uptime.down_seconds) == (90, 120)

    record([observe(shop, Status.PASS, NOON + timedelta(hours=5))])

    hours = ProbeRollup.objects.filter(period="h").order_by("starts_at")
    assert [(hour.starts_at, hour.up_seconds, hour.down_seconds, hour.runs) for hour in hours] == [
        (NOON, 60, 0, 1),
        (NOON + timedelta(hours=1), 150, 120, 2),
    ]
    day = ProbeRollup.objects.get(period="d")
    assert (day.up_seconds, day.down_seconds, day.runs, day.duration_ms_sum) == (210, 120, 3, 15)


def test_it_counts_maintenance_apart_and_marks_the_change(shop: Environment) -> None:
    record([observe(shop, Status.PASS, NOON)])
    changes = record([replace(observe(shop, Status.FAIL, NOON + timedelta(minutes=1)), in_maintenance=True)]).changes
    record([observe(shop, Status.PASS, NOON + timedelta(minutes=2))])

    assert changes[0].in_maintenance
    uptime = dict(read_uptimes(shop, "http", NOON + timedelta(minutes=2), ProbeState.objects.get(), 60))["24 hours"]
    assert (uptime.up_seconds, uptime.down_seconds, uptime.maintenance_seconds) == (60, 0, 60)
