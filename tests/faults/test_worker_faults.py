"""Kills, stops and starves the processes of the default cluster: probes go on, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from itertools import cycle, islice

import pytest
from django.utils import timezone
from django_q.models import Success
from psycopg import sql
from pytest_django.fixtures import Settings

from portal.processes import is_alive
from readiness.models import Endpoint, Environment, ProbeRun
from readiness.tasks import request_probes
from tests.conftest import Server
from tests.faults.conftest import Site, StartWorkers, Workers, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]

RECOVERY_SECONDS = 90
# A probe that waits keeps its claim for two time-outs and a bit, so short ones leave time for everything else.
FAST_PROBES = {"PROBE_INTERVAL_SECONDS": "10", "PROBE_TIMEOUT_SECONDS": "5"}
CHAOS_KILLS = int(os.environ.get("CHAOS_KILLS", "0"))
VICTIMS = [
    ("worker", "idle"),
    ("sentinel", "busy"),
    ("monitor", "idle"),
    ("main", "busy"),
    ("pusher", "idle"),
    ("worker", "busy"),
    ("monitor", "busy"),
    ("main", "idle"),
    ("pusher", "busy"),
    ("sentinel", "idle"),
]
# A sentinel that stands still is noticed by the schedules it does not keep, which takes two minutes.
STANDSTILLS = [["worker", "other worker"], ["sentinel"]] if CHAOS_KILLS else [["worker", "other worker"]]


def has_probed_since(moment: datetime) -> bool:
    """Whether probes were begun after ``moment``, their results kept, and their task acknowledged."""
    return (
        ProbeRun.objects.filter(kind="http", observed_at__gt=moment).exists()
        and Success.objects.filter(group="probes", started__gt=moment).exists()
    )


def wait_for_probes(workers: Workers, moment: datetime, what: str, seconds: float = RECOVERY_SECONDS) -> float:
    return wait_until(lambda: has_probed_since(moment), seconds, f"probes {what}", workers)


@pytest.mark.timeout(60 + 100 * max(CHAOS_KILLS, 5))
def test_probes_go_on_whichever_process_is_killed(
    start_workers: StartWorkers,
    watched: Environment,
    site: Site,
    settings: Settings,
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings.PROBE_TIMEOUT_SECONDS = 5
    workers = start_workers("default", **FAST_PROBES)
    wait_for_probes(workers, watched.created_at, "at the start")
    for number, (role, when) in enumerate(islice(cycle(VICTIMS), CHAOS_KILLS or 5), start=1):
        wait_until(workers.is_complete, 30, "every process is there", workers)
        if when == "busy":
            site.hold()
            wait_until(lambda: request_probes(watched), 60, "nobody else probes", workers)
            wait_until(site.is_asked.is_set, 30, "a probe waits for the site", workers)
        killed_at = timezone.now()
        workers.kill(workers.find(role))
        site.let_go()

        took = wait_for_probes(workers, killed_at, f"after kill {number} ({when} {role})")

        with capfd.disabled():
            print(f"\n  kill {number}, {when} {role}: probed again after {took:.1f} s", end="", flush=True)
    assert is_alive(workers.pid)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("roles", STANDSTILLS, ids=lambda roles: roles[0])
def test_it_restarts_a_cluster_that_lives_and_does_nothing(
    start_workers: StartWorkers, watched: Environment, roles: list[str]
) -> None:
    workers = start_workers("default", **FAST_PROBES)
    wait_for_probes(workers, watched.created_at, "at the start")
    main, stopped_at = workers.find("main"), timezone.now()
    for pid in [workers.find(role) for role in roles]:
        os.kill(pid, signal.SIGSTOP)
    assert len(workers.descendants()) == 6

    took = wait_for_probes(workers, stopped_at, "after everything stood still", RECOVERY_SECONDS + 60 * len(roles[1:]))

    assert workers.find("main") != main
    assert workers.log.count("restarting the cluster") == 1
    print(f"stopped {roles}: {took:.1f} s")


@pytest.mark.timeout(200)
def test_a_queue_full_of_dead_targets_is_not_taken_for_a_standstill(
    start_workers: StartWorkers, watched: Environment, site: Site
) -> None:
    site.hold()
    for number in range(2):
        other = Environment.objects.create(name=f"Dead {number}", slug=f"dead-{number}")
        Endpoint.objects.create(environment=other, url=site.server.url)
    # Nine probes that wait as long as they may, two of them one after the other in a batch: both workers are busy
    # with two batches each before a heartbeat has its turn.
    workers = start_workers("default", PROBE_CONCURRENCY="1", PROBE_TIMEOUT_SECONDS="9")

    wait_until(lambda: ProbeRun.objects.count() >= 8, 90, "four batches have results", workers)

    assert set(ProbeRun.objects.values_list("reason", flat=True)) == {"timeout"}
    assert "restarting" not in workers.log


def test_nothing_outlives_a_killed_supervisor(start_workers: StartWorkers, watched: Environment, site: Site) -> None:
    workers = start_workers("default", **FAST_PROBES)
    site.hold()
    wait_until(lambda: request_probes(watched) or site.is_asked.is_set(), 30, "probes are asked for", workers)
    wait_until(site.is_asked.is_set, 30, "a probe waits for the site", workers)
    below = workers.descendants()
    assert len(below) == 6

    os.kill(workers.pid, signal.SIGKILL)
    workers.process.wait()

    wait_until(lambda: not any(map(is_alive, below)), 5, f"all of {below} are gone")


def test_sigterm_ends_everything_within_seconds(start_workers: StartWorkers, watched: Environment, site: Site) -> None:
    workers = start_workers("default", **FAST_PROBES)
    wait_for_probes(workers, watched.created_at, "at the start")
    site.hold()
    wait_until(lambda: request_probes(watched), 60, "nobody else probes", workers)
    wait_until(site.is_asked.is_set, 30, "a probe waits for the site", workers)
    below, runs = workers.descendants(), ProbeRun.objects.count()

    workers.process.send_signal(signal.SIGTERM)

    assert workers.process.wait(timeout=25) == 0, workers.log
    assert not any(map(is_alive, below))
    assert ProbeRun.objects.count() == runs + 3, "what was running ended well"


def test_it_waits_for_a_database_that_goes_away(
    start_workers: StartWorkers, watched: Environment, server: Server, settings: Settings
) -> None:
    workers = start_workers("default", **FAST_PROBES)
    wait_for_probes(workers, watched.created_at, "at the start")
    name = settings.DATABASES["default"]["NAME"]
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with server.connect() as connection:
        try:
            connection.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> ALL(%s)",
                [name, [own_session()]],
            )
            time.sleep(5)
        finally:
            connection.execute(allow.format(sql.Identifier(name), sql.SQL("true")))
    back_at = timezone.now()

    took = wait_for_probes(workers, back_at, "after the database came back")

    assert is_alive(workers.pid)
    assert workers.log.count("the portal's database does not answer") == 1
    assert workers.log.count("restarting the cluster") <= 1
    print(f"database back: {took:.1f} s")


def own_session() -> int:
    """The server process behind this test's own connection."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])
