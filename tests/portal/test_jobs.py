"""The plan of recurring jobs, and what counts as a sign of life."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import Schedule

from portal.jobs import ALIVE_SECONDS, CLUSTERS, RECURRING_JOBS, Pulse, has_due_probes, read_pulses, setup_schedules
from portal.models import WorkerPulse
from readiness.models import ProbeSchedule
from tests.readiness.factories import make_environment

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def list_plan() -> list[tuple[str, str, int | None, str | None, int]]:
    return list(Schedule.objects.order_by("name").values_list("name", "func", "minutes", "cluster", "repeats"))


def test_it_names_functions_that_exist_and_clusters_that_run() -> None:
    for job in RECURRING_JOBS:
        assert callable(import_string(job.func))
        assert job.cluster in CLUSTERS


def test_it_makes_one_schedule_a_job_however_often_it_runs() -> None:
    setup_schedules()
    first = list_plan()
    kept = list(Schedule.objects.order_by("pk").values_list("pk", "next_run"))

    setup_schedules()

    assert first == list_plan()
    assert kept == list(Schedule.objects.order_by("pk").values_list("pk", "next_run"))
    assert {(name, func) for name, func, *_ in first} == {(job.name, job.func) for job in RECURRING_JOBS}
    assert {repeats for *_, repeats in first} == {-1}


def test_it_probes_and_reaps_every_minute() -> None:
    setup_schedules()

    minutes = dict(Schedule.objects.values_list("func", "minutes"))
    assert minutes["readiness.tasks.tick"] == minutes["backups.tasks.tick"] == minutes["backups.tasks.reap"] == 1


def test_it_removes_what_was_ours_once_and_leaves_others_alone() -> None:
    for name, func in (("Old job", "readiness.tasks.gone"), ("Theirs", "elsewhere.tasks.run")):
        Schedule.objects.create(name=name, func=func, next_run=timezone.now())

    setup_schedules()

    names = set(Schedule.objects.values_list("name", flat=True))
    assert "Old job" not in names
    assert "Theirs" in names


def test_it_brings_a_changed_or_doubled_job_back_to_the_plan() -> None:
    setup_schedules()
    plan = list_plan()
    Schedule.objects.update(func="readiness.tasks.gone", minutes=77, cluster="long", repeats=0)
    Schedule.objects.create(name=RECURRING_JOBS[0].name, func="readiness.tasks.tick", next_run=timezone.now())

    setup_schedules()

    assert list_plan() == plan


def test_it_is_a_command_too() -> None:
    stdout = StringIO()

    call_command("setup_schedules", stdout=stdout)

    assert stdout.getvalue() == f"{len(RECURRING_JOBS)} recurring jobs are set up.\n"
    assert Schedule.objects.count() == len(RECURRING_JOBS)


def test_it_knows_no_pulse_before_the_first_one() -> None:
    assert read_pulses(NOON) == {"default": Pulse(False, None), "long": Pulse(False, None)}


@pytest.mark.parametrize(("seconds", "is_alive"), [(0, True), (ALIVE_SECONDS, True), (ALIVE_SECONDS + 1, False)])
def test_it_takes_a_recent_pulse_for_life(seconds: int, is_alive: bool) -> None:
    WorkerPulse.objects.create(cluster="default", returned_at=NOON - timedelta(seconds=seconds))

    assert read_pulses(NOON)["default"] == Pulse(is_alive, seconds)


def test_it_does_not_let_a_clock_that_is_ahead_count_backwards() -> None:
    WorkerPulse.objects.create(cluster="default", returned_at=NOON + timedelta(seconds=3))

    assert read_pulses(NOON)["default"] == Pulse(True, 0)


@pytest.mark.parametrize(("seconds", "is_alive"), [(20, True), (0, False), (-1, False)])
def test_it_takes_a_lease_of_a_long_job_for_life_of_that_cluster_only(seconds: int, is_alive: bool) -> None:
    pulses = read_pulses(NOON, NOON + timedelta(seconds=seconds))

    assert (pulses["long"].alive, pulses["default"].alive) == (is_alive, False)


@pytest.mark.parametrize(
    ("fields", "is_due"),
    [
        ({"next_run_at": NOON}, True),
        ({"next_run_at": NOON + timedelta(seconds=1)}, False),
        ({"next_run_at": NOON, "claimed_until": NOON + timedelta(seconds=1)}, False),
        ({"next_run_at": NOON + timedelta(minutes=1), "claimed_until": NOON}, True),
        ({"next_run_at": NOON, "is_enabled": False}, False),
    ],
)
def test_it_knows_that_a_probe_waits_for_a_tick(fields: dict[str, Any], is_due: bool) -> None:
    ProbeSchedule.objects.create(environment=make_environment(), kind="http", **fields)

    assert has_due_probes(NOON) is is_due


def test_it_waits_for_no_probe_of_a_retired_environment() -> None:
    ProbeSchedule.objects.create(environment=make_environment(retired_at=NOON), kind="http", next_run_at=NOON)

    assert not has_due_probes(NOON)
