"""One real `default` cluster with one worker process: sets of http, tls and headers queued, observed, judged, stored.

Promise: at least 25 stored sets a second. The sites listen on 443 and 80 of loopback where this user may take those
ports, so that plain twins are asked as on the internet; else on a port of their own.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

from bench.ground import portal_on_scratch_cluster
from bench.promises import Promises
from bench.sites import Site, serve_site

ENVIRONMENTS, ROUNDS, WAIT_SECONDS = 200, 3, 120.0
HOST = "127.77.0.1"
KINDS = ("http", "tls", "headers")
PROMISED_SETS = 25.0


@contextlib.contextmanager
def serve_as_on_the_internet(promises: Promises) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        try:
            site = stack.enter_context(serve_site(HOST, 443, 80))
        except OSError:
            promises.note("Ports 443 and 80 cannot be had here: no plain twin is asked.")
            site = stack.enter_context(serve_site())
        yield site


@contextlib.contextmanager
def run_worker() -> Iterator[None]:
    command = [sys.executable, "manage.py", "worker", "default", "--bare", str(os.getpid())]
    worker = subprocess.Popen(command, env={**os.environ, "PROBE_WORKERS": "1", "PROBE_ALLOW_LOOPBACK": "1"})
    try:
        yield
    finally:
        worker.terminate()
        worker.wait()


def main() -> None:
    from django.utils import timezone

    from readiness import claims, partitions, tasks
    from readiness.models import Endpoint, Environment, ProbeRun, ProbeSchedule

    promises = Promises("one default worker")
    partitions.ensure_partitions(timezone.now())
    with serve_as_on_the_internet(promises) as site:
        environments = Environment.objects.bulk_create(
            [Environment(name=f"E{n}", slug=f"e-{n}", ca_bundle=site.ca_pem) for n in range(ENVIRONMENTS)]
        )
        Endpoint.objects.bulk_create([Endpoint(environment=each, url=site.url) for each in environments])
        claims.sync_schedules(timezone.now())
        ProbeSchedule.objects.exclude(kind__in=KINDS).delete()
        wanted, best = ENVIRONMENTS * len(KINDS), 0.0
        with run_worker():
            for number in range(ROUNDS + 1):
                ProbeRun.objects.all().delete()
                due = timezone.now() - timedelta(seconds=1)
                ProbeSchedule.objects.update(claimed_until=None, next_run_at=due)
                # The first round is short: the worker starts up and loads its roots in it.
                expected = tasks.enqueue(claims.claim_due(timezone.now(), wanted if number else len(KINDS)))
                started = time.perf_counter()
                while ProbeRun.objects.count() < expected:
                    assert time.perf_counter() - started < WAIT_SECONDS, f"only {ProbeRun.objects.count()} stored"
                    time.sleep(0.05)
                if number:
                    best = max(best, expected / len(KINDS) / (time.perf_counter() - started))
        answers = set(ProbeRun.objects.values_list("kind", "status").distinct())
        assert answers <= {(kind, status) for kind in KINDS for status in ("pass", "warn")}, answers
        promises.at_least("stored sets of http, tls and headers a second", best, PROMISED_SETS, "/s")
    promises.finish()


if __name__ == "__main__":
    os.environ["PROBE_ALLOW_LOOPBACK"] = "1"
    with portal_on_scratch_cluster():
        main()
