"""The supervisor's own rules: when a cluster is wedged, when to ask for a sign of life, how long to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from portal.supervisor import (
    HEARTBEAT_SECONDS,
    OVERDUE_SECONDS,
    SILENCE_SECONDS,
    Watch,
    back_off_seconds,
    hear,
    is_overdue,
    is_silent,
    needs_beat,
    silence_seconds,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def watch(alive: float = 0, sent: float | None = None, restarts: int = 0) -> Watch:
    """Started at noon; ``alive`` and ``sent`` are seconds after it."""
    return Watch(NOON, after(alive), None if sent is None else after(sent), restarts)


@pytest.mark.parametrize(("age", "silent"), [(0, False), (30, False), (30.5, True)])
def test_it_takes_a_cluster_without_a_sign_of_life_for_wedged(age: float, silent: bool) -> None:
    assert is_silent(watch(alive=5), after(5 + age), 30) is silent


@pytest.mark.parametrize(("timeout", "seconds"), [(1, SILENCE_SECONDS), (15, 42), (50, 112)])
def test_it_gives_a_batch_of_dead_targets_the_time_it_takes(timeout: int, seconds: int) -> None:
    assert silence_seconds(timeout) == seconds


@pytest.mark.parametrize(
    ("next_run", "now", "overdue"),
    [
        (None, 10_000, False),
        (0, OVERDUE_SECONDS, False),
        (0, OVERDUE_SECONDS + 1, True),
        (100, 100 + OVERDUE_SECONDS + 1, True),
        (-10_000, OVERDUE_SECONDS, False),
        (500, 100, False),
    ],
)
def test_it_notices_schedules_that_nobody_keeps(next_run: float | None, now: float, overdue: bool) -> None:
    planned = None if next_run is None else after(next_run)

    assert is_overdue(watch(), planned, after(now)) is overdue


def test_it_asks_for_a_beat_at_once_after_a_start() -> None:
    assert needs_beat(watch(), NOON)


def test_it_asks_for_one_beat_at_a_time() -> None:
    assert not needs_beat(watch(alive=0, sent=1), after(HEARTBEAT_SECONDS * 10))


def test_it_asks_again_when_the_last_beat_came_back_a_while_ago() -> None:
    returned = watch(alive=2, sent=1)

    assert not needs_beat(returned, after(HEARTBEAT_SECONDS))
    assert needs_beat(returned, after(1 + HEARTBEAT_SECONDS))


def test_it_hears_a_beat_and_forgives_the_restarts() -> None:
    assert hear(watch(alive=0, sent=1, restarts=4), after(2)) == watch(alive=2, sent=1, restarts=0)


@pytest.mark.parametrize("returned", [None, -60.0, 0.0])
def test_it_does_not_take_a_beat_from_before_the_start_for_life(returned: float | None) -> None:
    started = watch(restarts=4)

    assert hear(started, None if returned is None else after(returned)) == started


def test_it_waits_longer_with_every_restart_but_never_long() -> None:
    assert [back_off_seconds(restarts) for restarts in (0, 1, 2, 3, 4, 5, 50)] == [0, 1, 2, 4, 8, 10, 10]
