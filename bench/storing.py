"""Storing results: our batches, the latest state included, against single INSERTs of runs alone, in one run.

Promise: at least 10,000 results a second on one connection, and at least 5 times single INSERTs.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta

from bench.ground import portal_on_scratch_cluster

ENVIRONMENTS, BATCH, BATCHES, SINGLES = 500, 50, 200, 2_000
_FINDING = "https://app.example.org/ answers 200."


def main() -> None:
    from django.db import connection
    from django.utils import timezone

    from readiness import partitions, results
    from readiness.models import Environment
    from readiness.probes.base import Finding, ProbeResult, Status

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

    batches = [[make(batch * BATCH + place) for place in range(BATCH)] for batch in range(BATCHES)]
    results.record(batches[0])
    started = time.perf_counter()
    for batch in batches[1:]:
        results.record(batch)
    ours = (len(batches) - 1) * BATCH / (time.perf_counter() - started)

    findings, data = json.dumps([finding.as_json_object()]), json.dumps({"endpoints": [1]})
    statement = (
        "INSERT INTO readiness_proberun (environment_id, kind, status, reason, summary, findings, data, duration_ms,"
        " observed_at) VALUES (%s, %s, 'pass', '', %s, %s, %s, 12, %s)"
    )
    started = time.perf_counter()
    with connection.cursor() as cursor:
        for number in range(SINGLES):
            environment_id, kind = keys[number % len(keys)]
            cursor.execute(statement, [environment_id, kind, _FINDING, findings, data, now])
    single = SINGLES / (time.perf_counter() - started)
    print(f"storing, batches of {BATCH} with latest state and roll-ups: {ours:,.0f} results/s")
    print(f"storing, single INSERT of the run alone:                 {single:,.0f} results/s")
    print(f"ratio {ours / single:.1f} (promised: at least 5), at least 10,000/s promised")


if __name__ == "__main__":
    with portal_on_scratch_cluster():
        main()
