"""What the fault tests share: supervised clusters as real processes, and a site that can be made to wait."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from portal.jobs import setup_schedules
from portal.models import WorkerPulse
from portal.processes import is_alive, list_children, list_descendants, read_start_time
from readiness.models import Endpoint, Environment
from tests.servers.sockets import LocalServer
from tests.servers.web import Answer, Request, serve_site

# The order in which the sentinel starts its children; their command lines are all the same.
ROLES = ("worker", "other worker", "monitor", "pusher")


def wait_until(condition: Callable[[], object], seconds: float, what: str, workers: Workers | None = None) -> float:
    """Wait for a true value; how many seconds it took. Fails with ``what``, and what the workers logged."""
    began = time.monotonic()
    while not condition():
        said = workers.log if workers is not None else ""
        assert time.monotonic() - began < seconds, f"not within {seconds:g} s: {what}\n{said}"
        time.sleep(0.1)
    return time.monotonic() - began


@dataclass
class Workers:
    """`manage.py worker CLUSTER` as somebody started it, and the processes below it."""

    cluster: str
    process: subprocess.Popen[bytes]
    log_path: Path
    roles: tuple[str, ...] = ROLES
    _roles: dict[tuple[int, str], str] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        """The supervisor."""
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def descendants(self) -> list[int]:
        return list_descendants(self.pid)

    def is_complete(self) -> bool:
        """Whether main process, sentinel and all its children are there."""
        return len(self.descendants()) >= 2 + len(self.roles)

    def find(self, role: str) -> int:
        """The pid of "main", "sentinel", "worker", "other worker", "monitor" or "pusher"."""
        children = list_children()
        (main,) = children[self.pid]
        (sentinel,) = children[main]
        if role in ("main", "sentinel"):
            return main if role == "main" else sentinel
        return next(pid for pid, known in self._assign_roles(children[sentinel]) if known == role)

    def _assign_roles(self, pids: list[int]) -> list[tuple[int, str]]:
        """Who is who: a fresh sentinel starts its children in order, a later one takes the place that became free."""
        keys = sorted(((pid, str(read_start_time(pid))) for pid in pids), key=lambda key: (int(key[1]), key[0]))
        known = {key: self._roles[key] for key in keys if key in self._roles}
        free = list(self.roles)
        for role in known.values():
            free.remove(role)
        for key in keys:
            if key not in known:
                known[key] = free.pop(0)
        self._roles = known
        return [(pid, role) for (pid, _), role in known.items()]

    def has_beaten(self) -> bool:
        """Whether a heartbeat came back."""
        return WorkerPulse.objects.filter(cluster=self.cluster).exists()

    def has_begun(self) -> bool:
        """Whether every process is there and the queue moves; fails when the supervisor has ended instead."""
        assert self.process.poll() is None, self.log
        return self.is_complete() and self.has_beaten()

    def kill(self, pid: int) -> None:
        """kill -9 of one of this cluster's processes."""
        assert pid == self.pid or pid in self.descendants()
        os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        below = [(pid, read_start_time(pid)) for pid in self.descendants()]
        self.process.kill()
        self.process.wait()
        for pid, started in below:
            if is_alive(pid) and read_start_time(pid) == started:
                os.kill(pid, signal.SIGKILL)


StartWorkers = Callable[..., Workers]


@pytest.fixture
def start_workers(process_env: dict[str, str], manage: list[str], tmp_path: Path) -> Iterator[StartWorkers]:
    """Starts the supervisor of a cluster, waits until a heartbeat has come back, and ends it after the test."""
    setup_schedules()
    started: list[Workers] = []

    def start(cluster: str, **environment: str) -> Workers:
        log_path = tmp_path / f"{cluster}-{len(started)}.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [*manage, "worker", cluster],
                env={**process_env, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        has_one_worker = environment.get("LONG_WORKERS") == "1"
        roles = tuple(role for role in ROLES if not (has_one_worker and role == "other worker"))
        workers = Workers(cluster, process, log_path, roles)
        started.append(workers)
        WorkerPulse.objects.filter(cluster=cluster).delete()
        wait_until(workers.has_begun, 60, f"{cluster} works", workers)
        return workers

    yield start
    for workers in started:
        workers.end()


@dataclass
class Site:
    """A site that answers at once, or keeps whoever asks waiting until it is told to answer."""

    server: LocalServer
    may_answer: threading.Event
    is_asked: threading.Event

    def hold(self) -> None:
        self.is_asked.clear()
        self.may_answer.clear()

    def let_go(self) -> None:
        self.may_answer.set()


@pytest.fixture
def site() -> Iterator[Site]:
    may_answer, is_asked = threading.Event(), threading.Event()
    may_answer.set()

    def answer(request: Request) -> Answer:
        is_asked.set()
        may_answer.wait(60)
        return Answer()

    with serve_site(answer) as server:
        yield Site(server, may_answer, is_asked)
        may_answer.set()


@pytest.fixture
def watched(transactional_db: None, site: Site) -> Environment:
    """An environment whose only endpoint is the site."""
    environment = Environment.objects.create(name="Watched", slug="watched")
    Endpoint.objects.create(environment=environment, url=site.server.url)
    return environment
