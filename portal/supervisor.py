"""Keeps one qcluster alive; reads WorkerPulse, schedules and leases, starts and ends the cluster's process group.

A killed idle worker can leave a cluster's queue locked while every process looks alive (docs/explanation/jobs.md), so
life is a task that went through the queue and came back, and a schedule that is kept, not a list of processes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import FrameType

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Min
from django.utils import timezone
from django_q.models import Schedule
from django_q.tasks import async_task

from portal.jobs import has_due_probes
from portal.models import WorkerPulse
from readiness.claims import CLAIM_TIMEOUTS

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10
SILENCE_SECONDS = 30
# The cluster looks at its schedules every half minute.
OVERDUE_SECONDS = 60
LONGEST_BACK_OFF_SECONDS = 10
REAP_SECONDS = 30
NEW_ISSUES_SECONDS = 30
STOP_SECONDS = 20
STEP_SECONDS = 0.5


@dataclass(frozen=True)
class Watch:
    """What the supervisor knows about its cluster.

    ``watched_since`` is the start, or the end of a time in which nobody could look; ``alive_at`` is the last sign of
    life, both of these included.
    """

    watched_since: datetime
    alive_at: datetime
    beat_sent_at: datetime | None = None
    restarts: int = 0


def silence_seconds(probe_timeout_seconds: int) -> int:
    """How long a cluster may give no sign of life: more than a batch of probes takes whose targets are all dead."""
    return max(SILENCE_SECONDS, CLAIM_TIMEOUTS * (probe_timeout_seconds + 1) + HEARTBEAT_SECONDS)


def is_silent(watch: Watch, now: datetime, seconds: int) -> bool:
    """Whether the cluster gave no sign of life for so long that it must be taken for wedged."""
    return now - watch.alive_at > timedelta(seconds=seconds)


def is_overdue(watch: Watch, next_run_at: datetime | None, now: datetime) -> bool:
    """Whether a schedule waits for so long that nobody can be keeping it, though tasks come back."""
    if next_run_at is None:
        return False
    return now - max(next_run_at, watch.watched_since) > timedelta(seconds=OVERDUE_SECONDS)


def needs_beat(watch: Watch, now: datetime) -> bool:
    """Whether to queue a heartbeat: one at a time, so that a busy cluster does not find a pile of them."""
    if watch.beat_sent_at is None:
        return True
    returned = watch.alive_at >= watch.beat_sent_at
    return returned and now - watch.beat_sent_at >= timedelta(seconds=HEARTBEAT_SECONDS)


def hear(watch: Watch, returned_at: datetime | None) -> Watch:
    """The watch after looking for a pulse; one that came since the start also forgives the restarts."""
    if returned_at is None or returned_at <= watch.alive_at:
        return watch
    return replace(watch, alive_at=returned_at, restarts=0)


def back_off_seconds(restarts: int) -> int:
    """How long to wait before the next start: 1, 2, 4, 8, then 10 seconds; none before the first."""
    return 0 if restarts == 0 else min(LONGEST_BACK_OFF_SECONDS, 2 ** (restarts - 1))


class Supervisor:
    """Runs one cluster until it is told to stop."""

    def __init__(self, cluster: str, read_lease: Callable[[], datetime | None]) -> None:
        """``read_lease`` gives the moment the newest running long job renewed its lease, None when there is none."""
        self.cluster = cluster
        self._read_lease = read_lease
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopping = False
        self._reaped_at: datetime | None = None
        self._read_issues_at: datetime | None = None
        now = timezone.now()
        self._watch = Watch(watched_since=now, alive_at=now)
        self._silence_seconds = silence_seconds(settings.PROBE_TIMEOUT_SECONDS)
        self._could_tell = True

    def run(self) -> None:
        """Starts the cluster and keeps it until SIGTERM or SIGINT; returns when its last process is gone."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._ask_to_stop)
        self._start()
        while not self._is_stopping:
            self._step()
            time.sleep(STEP_SECONDS)
        self._stop()

    def _step(self) -> None:
        process = self._process
        if process is not None and process.poll() is not None:
            self._restart(f"it ended with status {process.returncode}")
            return
        now = timezone.now()
        try:
            next_run_at = self._listen(now)
        except (DatabaseError, InterfaceError):
            self._lose_sight()
            return
        if not self._could_tell:
            # Silence while nobody could listen proves nothing.
            self._could_tell = True
            self._watch = replace(self._watch, watched_since=now, alive_at=now, beat_sent_at=None)
        if is_silent(self._watch, now, self._silence_seconds):
            self._restart(f"no task came back for {self._silence_seconds} seconds")
        elif is_overdue(self._watch, next_run_at, now):
            self._restart(f"nobody kept its schedules for {OVERDUE_SECONDS} seconds")

    def _listen(self, now: datetime) -> datetime | None:
        """Notice signs of life and ask for the next one; when the first of the cluster's schedules is due."""
        pulse = WorkerPulse.objects.filter(cluster=self.cluster).values_list("returned_at", flat=True).first()
        self._watch = hear(self._watch, pulse)
        if self.cluster == "long":
            self._listen_to_leases(now)
        else:
            self._read_new_issues(now)
        if needs_beat(self._watch, now):
            async_task("portal.jobs.beat", cluster=self.cluster, group="heartbeat", save=False)
            self._watch = replace(self._watch, beat_sent_at=now)
            if self.cluster == "default" and has_due_probes(now):
                # The next tick by schedule may be a minute away: too late for a retry after 15 seconds, for an
                # interval of 10, and for what was claimed by a worker that died.
                async_task("readiness.tasks.tick", cluster="default", group="tick")
        schedules = Schedule.objects.filter(cluster=self.cluster).exclude(repeats=0)
        next_run_at: datetime | None = schedules.aggregate(first=Min("next_run"))["first"]
        return next_run_at

    def _listen_to_leases(self, now: datetime) -> None:
        """Dumps fill the workers of `long`: a job that renews its lease counts as life. What was lost is reaped."""
        renewed_at = self._read_lease()
        if renewed_at is not None and renewed_at > self._watch.alive_at:
            self._watch = replace(self._watch, alive_at=min(renewed_at, now))
        if self._reaped_at is None or now - self._reaped_at >= timedelta(seconds=REAP_SECONDS):
            self._reaped_at = now
            async_task("backups.tasks.reap", cluster="default", group="reap", save=False)

    def _read_new_issues(self, now: datetime) -> None:
        """The scheduler's shortest interval is a minute; people shall know of a new issue sooner."""
        if self._read_issues_at is None or now - self._read_issues_at >= timedelta(seconds=NEW_ISSUES_SECONDS):
            self._read_issues_at = now
            async_task("readiness.tasks.sync_new_issues", cluster="default", group="trackers", save=False)

    def _lose_sight(self) -> None:
        if self._could_tell:
            logger.warning("%s: the portal's database does not answer; waiting for it.", self.cluster)
        self._could_tell = False
        connection.close()

    def _start(self) -> None:
        now = timezone.now()
        self._watch = Watch(watched_since=now, alive_at=now, restarts=self._watch.restarts)
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter and file
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "worker", self.cluster, "--bare", str(os.getpid())],
            env={**os.environ, "Q_CLUSTER_NAME": self.cluster},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        logger.info("%s: cluster started as process %s.", self.cluster, self._process.pid)
        if self.cluster == "default":
            self._queue_first_tick()

    def _queue_first_tick(self) -> None:
        """The first task of a schedule runs half a minute after a cluster starts; probes shall not wait for that."""
        try:
            async_task("readiness.tasks.tick", cluster="default", group="tick")
        except (DatabaseError, InterfaceError):
            self._lose_sight()

    def _restart(self, why: str) -> None:
        self._end_group()
        restarts = self._watch.restarts + 1
        wait = back_off_seconds(restarts)
        logger.warning("%s: restarting the cluster in %s s, because %s.", self.cluster, wait, why)
        self._watch = replace(self._watch, restarts=restarts)
        until = time.monotonic() + wait
        while time.monotonic() < until and not self._is_stopping:
            time.sleep(STEP_SECONDS)
        if not self._is_stopping:
            self._start()

    def _end_group(self) -> None:
        """Ends every process of the cluster: killing its sentinel alone leaves its workers behind."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._process = None

    def _ask_to_stop(self, signum: int, frame: FrameType | None) -> None:
        if self._is_stopping:
            self._end_group()
        self._is_stopping = True

    def _stop(self) -> None:
        """Lets running work end, for a while, then ends the group."""
        process = self._process
        if process is None:
            return
        logger.info("%s: stopping.", self.cluster)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("%s: still busy after %s seconds; ending it.", self.cluster, STOP_SECONDS)
        self._end_group()
