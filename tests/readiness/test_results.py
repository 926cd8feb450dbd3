"""Results are stored once, in order, and a change of status is an event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from readiness.models import Environment, ProbeRun, ProbeState, StatusChange
from readiness.probes.base import Finding, ProbeResult, Status
from readiness.results import Observed, record

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def observe(environment: Environment, status: Status, at: datetime, summary: str = "It answers.") -> Observed:
    finding = Finding(id="reachable", status=status, summary=summary)
    return Observed(environment.pk, at, ProbeResult("http", "shop", status, findings=(finding,), duration_ms=5))


@pytest.fixture
def shop(db: None) -> Environment:
    return Environment.objects.create(name="Shop", slug="shop")


def test_it_records_a_run_the_newest_state_and_the_first_change(shop: Environment) -> None:
    changes = record([observe(shop, Status.FAIL, NOON, "It answers 500.")])

    state = ProbeState.objects.get(environment=shop, kind="http")
    assert (state.status, state.summary, state.beats) == ("fail", "It answers 500.", "f")
    assert [(change.from_status, change.to_status) for change in changes] == [("", "fail")]
    assert ProbeRun.objects.count() == 1


def test_it_makes_no_event_of_a_result_like_the_one_before(shop: Environment) -> None:
    record([observe(shop, Status.PASS, NOON)])
    later = NOON + timedelta(minutes=1)

    assert record([observe(shop, Status.PASS, later)]) == []
    state = ProbeState.objects.get()
    assert (state.observed_at, state.status_since, state.beats) == (later, NOON, "pp")


def test_it_keeps_a_late_result_as_a_run_without_moving_the_state_back(shop: Environment) -> None:
    record([observe(shop, Status.PASS, NOON)])

    assert record([observe(shop, Status.FAIL, NOON - timedelta(minutes=1))]) == []
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
