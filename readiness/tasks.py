"""What django-q2 calls for readiness: tick -> claim -> target -> observe and judge -> record, spelled once."""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings
from django.utils import timezone
from django_q.tasks import async_task

from portal.secrets import SecretError
from readiness import claims, results, targets
from readiness.models import Environment, ProbeSchedule
from readiness.probes.base import ErrorReason, ProbeResult, make_error_result
from readiness.probes.combine import combine_results
from readiness.probes.registry import get_probe, list_kinds
from readiness.probes.runner import Job, run_batch

CLUSTER = "default"


def tick() -> str:
    """Claims what is due and queues it in batches; runs every minute."""
    now = timezone.now()
    claims.sync_schedules(now)
    queued = enqueue(claims.claim_due(now))
    return f"queued {queued} probes"


def request_probes(environment: Environment) -> int:
    """Probes one environment at once, whatever is due; returns how many probes were queued."""
    now = timezone.now()
    claims.sync_schedules(now, [environment])
    return enqueue(claims.claim_now(environment, now))


def enqueue(schedule_ids: list[int]) -> int:
    """Queues claimed schedules in batches that a worker can finish before its claims run out."""
    size = claims.CLAIM_TIMEOUTS * settings.PROBE_CONCURRENCY
    for start in range(0, len(schedule_ids), size):
        async_task("readiness.tasks.run_probes", schedule_ids[start : start + size], cluster=CLUSTER, group="probes")
    return len(schedule_ids)


def run_probes(schedule_ids: Collection[int]) -> str:
    """Observes a batch of claimed schedules concurrently, stores what was found, and gives the claims back."""
    schedules = list(
        ProbeSchedule.objects.filter(pk__in=schedule_ids, kind__in=list_kinds())
        .select_related("environment")
        .prefetch_related("environment__endpoints", "environment__databases")
    )
    now = timezone.now()
    found: dict[ProbeSchedule, list[ProbeResult]] = {schedule: [] for schedule in schedules}
    jobs: list[tuple[ProbeSchedule, Job]] = []
    for schedule in schedules:
        try:
            probed = targets.build_targets(schedule.environment, schedule.kind)
        except SecretError as error:
            # A reference leads nowhere, or no key opens the stored connection: known without observing.
            found[schedule].append(_make_bad_dsn_result(schedule, error))
            continue
        jobs += [(schedule, Job(get_probe(schedule.kind), target)) for target in probed]
    observed = run_batch([job for _, job in jobs], concurrency=settings.PROBE_CONCURRENCY, now=now)
    for (schedule, _), result in zip(jobs, observed, strict=True):
        found[schedule].append(result)
    changes = results.record(
        results.Observed(schedule.environment_id, now, combine_results(several))
        for schedule, several in found.items()
        if several
    )
    claims.release(schedule_ids)
    return f"{len(found)} results, {len(changes)} changes"


def prune() -> str:
    """Drops raw runs that are past their time; runs daily."""
    return f"dropped {results.prune_runs(timezone.now())} runs"


def _make_bad_dsn_result(schedule: ProbeSchedule, error: SecretError) -> ProbeResult:
    return make_error_result(schedule.kind, schedule.environment.slug, ErrorReason.BAD_DSN, str(error))
