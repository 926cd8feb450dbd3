"""Storing results: our batches, the latest state included, against single INSERTs of runs alone, in one run.

Promise: at least 10,000 results a second on one connection, and at least 5 times single INSERTs.
"""

from __future__ import annotations

import itertools
import json
import time
from datetime import timedelta

from bench.ground import portal_on_scratch_cluster
from bench.promises import Promises, take_turns

ENVIRONMENTS, BATCH, BATCHES, SINGLES, ROUNDS = 500, 50, 8, 100, 40
_FINDING = "https://app.example.org/ answers 200."
_INSERT = (
    "INSERT INTO readiness_proberun (environment_id, kind, status, reason, summary, findings, data, duration_ms,"
    " observed_at) VALUES (%s, %s, 'pass', '', %s, %s, %s, 12, %s)"
)


def main() -> None:
    from django.db import connection
    from django.utils import timezone

    from readiness import partitions, results
    from readiness.models import Environment
    from readiness.probes.base import Finding, ProbeResult, Status

    promises = Promises("storing results: latest state and roll-ups included, on one connection")
    now = timezone.now()
    partitions.ensure_partitions(now)
    environments = Environment.objects.bulk_create(
        [Environment(name=f"Environment {number}", slug=f"environment-{number}") for number in range(ENVIRONMENTS)]
    )
    keys = [(environment.pk, kind) for environment in environments for kind in ("http", "tls", "headers", "postgres")]
    finding = Finding(id="status", status=Status.PASS, summary=_FINDING, detail="HTTP 200")

    def make(number: int) -> results.Observed:
        environment_id, kind = keys[number % len(keys)]
        result = ProbeResult(kind, "x", Status.PASS, findings=(finding,), duration_ms=12, data={"endpoints": [number]})
        return results.Observed(environment_id, now + timedelta(seconds=number // len(keys) * 60), result)

    findings, data = json.dumps([finding.as_json_object()]), json.dumps({"endpoints": [1]})
    newest = itertools.count()

    def store_batches() -> float:
        batches = [[make(next(newest)) for _ in range(BATCH)] for _ in range(BATCHES)]
        started = time.perf_counter()
        for batch in batches:
            results.record(batch)
        return (time.perf_counter() - started) / (BATCHES * BATCH)

    def store_singles() -> float:
        started = time.perf_counter()
        with connection.cursor() as cursor:
            for number in range(SINGLES):
                environment_id, kind = keys[number % len(keys)]
                cursor.execute(_INSERT, [environment_id, kind, _FINDING, findings, data, now])
        return (time.perf_counter() - started) / SINGLES

    store_batches()
    seconds = take_turns({"batches": store_batches, "singles": store_singles}, ROUNDS)
    promises.note(f"single INSERT of the run alone: {1 / seconds['singles']:,.0f}/s")
    promises.at_least(f"results a second, in batches of {BATCH}", 1 / seconds["batches"], 10_000, "/s")
    promises.at_least("faster than single INSERTs", seconds["singles"] / seconds["batches"], 5, " times")
    promises.finish()


if __name__ == "__main__":
    with portal_on_scratch_cluster():
        main()
