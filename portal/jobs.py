"""The recurring jobs and the heartbeat: what the supervisor and django-q2's scheduler call; writes WorkerPulse rows."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django_q.models import Schedule
from django_q.signals import post_execute

from portal.models import WorkerPulse
from readiness.models import ProbeSchedule

CLUSTERS = ("default", "long")
ALIVE_SECONDS = 45
PULSE_SECONDS = 1.0


@dataclass(frozen=True)
class RecurringJob:
    """One line of the plan: a name, what to call, how often, on which cluster."""

    name: str
    func: str
    minutes: int
    cluster: str = "default"


RECURRING_JOBS = (
    RecurringJob("Probe what is due", "readiness.tasks.tick", 1),
    RecurringJob("Start backups that are due", "backups.tasks.tick", 1),
    RecurringJob("Fail abandoned backups and restores", "backups.tasks.reap", 1),
    RecurringJob("Let backups expire and look after the store", "backups.tasks.tend", 24 * 60, "long"),
    RecurringJob("Read error trackers", "readiness.tasks.sync_trackers", 1),
    RecurringJob("Send alerts", "readiness.tasks.send_alerts", 1),
    RecurringJob("Ping the dead man's switch", "readiness.tasks.ping_dead_mans_switch", 1),
    RecurringJob("Count open items for the burn-down", "readiness.tasks.record_progress", 15),
    RecurringJob("Keep the partitions of probe runs", "readiness.tasks.keep_partitions", 60),
)


def setup_schedules() -> None:
    """Makes django-q2's schedule hold exactly RECURRING_JOBS; names are not unique in its table, so by hand."""
    for job in RECURRING_JOBS:
        wanted = {
            "func": job.func,
            "schedule_type": Schedule.MINUTES,
            "minutes": job.minutes,
            "cluster": job.cluster,
            "repeats": -1,
        }
        same = Schedule.objects.filter(name=job.name).order_by("pk")
        first = same.first()
        if first is None:
            Schedule.objects.create(name=job.name, next_run=timezone.now(), **wanted)
            continue
        same.exclude(pk=first.pk).delete()
        Schedule.objects.filter(pk=first.pk).update(**wanted)
    Schedule.objects.exclude(name__in=[job.name for job in RECURRING_JOBS]).filter(
        func__regex=r"^(portal|readiness|backups)\."
    ).delete()


def beat() -> None:
    """Runs as a task that has nothing to do but come back."""


def note_returns(cluster: str) -> None:
    """From now on every task that comes back in this process and its forks leaves a pulse, at most one a second.

    The signal is sent by the process that stores results, once the queue knows that the task is done. So a pulse
    proves the whole way; one written by the task itself comes from a cluster whose results nobody reads any more.
    """
    written_at = 0.0

    def note_return(**kwargs: Any) -> None:
        nonlocal written_at
        if time.monotonic() - written_at < PULSE_SECONDS:
            return
        written_at = time.monotonic()
        WorkerPulse.objects.update_or_create(
            cluster=cluster, defaults={"returned_at": timezone.now(), "host": socket.gethostname()}
        )

    post_execute.connect(note_return, weak=False)


def has_due_probes(now: datetime) -> bool:
    """Whether a probe waits for a tick: its time has come, or a claim ran out because its worker died or is behind."""
    due = Q(claimed_until__lte=now) | Q(claimed_until__isnull=True, next_run_at__lte=now)
    return ProbeSchedule.objects.filter(due, is_enabled=True, environment__retired_at__isnull=True).exists()


@dataclass(frozen=True)
class Pulse:
    """Whether a cluster lives: ``last_seen_seconds`` is None when it never did."""

    alive: bool
    last_seen_seconds: int | None


def read_pulses(now: datetime, busy_until: datetime | None = None) -> dict[str, Pulse]:
    """The pulse of every cluster, in one query.

    ``busy_until`` is the latest lease of a running long job: whoever renews a lease is alive, though its workers are
    too busy to fetch a heartbeat.
    """
    seen = dict(WorkerPulse.objects.values_list("cluster", "returned_at"))
    pulses = {}
    for cluster in CLUSTERS:
        returned_at = seen.get(cluster)
        age = None if returned_at is None else max(0, int((now - returned_at).total_seconds()))
        alive = age is not None and age <= ALIVE_SECONDS
        if cluster == "long" and busy_until is not None and busy_until > now:
            alive = True
        pulses[cluster] = Pulse(alive, age)
    return pulses
