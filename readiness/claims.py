"""Who probes what now: keeps ProbeSchedule rows in step with environments and claims those that are due."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, Value
from django.db.models.functions import Least

from readiness.models import Database, Endpoint, Environment, ProbeSchedule
from readiness.probes.schedule import next_run_at

CLAIM_LIMIT = 2_000
_CLAIM_SQL = Path(__file__).with_name("sql") / "claim_due.sql"
# A batch is two rounds of deadlines; what is not released by then was lost with its worker.
CLAIM_TIMEOUTS = 2
CLAIM_SLACK_SECONDS = 10
DATABASE_KINDS = frozenset({"postgres"})


def configured_kinds(*, has_endpoints: bool, has_databases: bool) -> list[str]:
    """The kinds of probe that have something to probe, in the order of the settings."""
    return [kind for kind in settings.READINESS_PROBES if (has_databases if kind in DATABASE_KINDS else has_endpoints)]


def sync_schedules(now: datetime, environments: Collection[Environment] | None = None) -> None:
    """Gives every active environment a schedule for each kind it has a target for, and takes away the others."""
    active, existing = Environment.objects.active(), ProbeSchedule.objects.all()
    if environments is not None:
        keys = [environment.pk for environment in environments]
        active, existing = active.filter(pk__in=keys), existing.filter(environment_id__in=keys)
    with_endpoints = set(Endpoint.objects.order_by().values_list("environment_id", flat=True).distinct())
    with_databases = set(Database.objects.order_by().values_list("environment_id", flat=True).distinct())
    wanted = {
        (pk, kind)
        for pk in active.values_list("pk", flat=True)
        for kind in configured_kinds(has_endpoints=pk in with_endpoints, has_databases=pk in with_databases)
    }
    present = {(schedule.environment_id, schedule.kind): schedule.pk for schedule in existing}
    ProbeSchedule.objects.filter(pk__in=[pk for key, pk in present.items() if key not in wanted]).delete()
    ProbeSchedule.objects.bulk_create(
        [
            ProbeSchedule(
                environment_id=environment_id,
                kind=kind,
                interval_seconds=settings.PROBE_INTERVAL_SECONDS,
                next_run_at=now,
            )
            for environment_id, kind in sorted(wanted - present.keys())
        ],
        ignore_conflicts=True,
    )


def claim_due(now: datetime, limit: int = CLAIM_LIMIT) -> list[int]:
    """Claims due schedules for whoever calls, and moves them on; returns their ids.

    Two claimers never get the same row: each skips what the other has locked, and a claimed row is not due again
    before the claim runs out. A claim that ran out was never released: its worker died, so the row is due at once.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM_SQL.read_text(encoding="utf-8"), {"now": now, "limit": limit, "claimed_until": _end(now)})
        return sorted(pk for (pk,) in cursor.fetchall())


def claim_now(environment: Environment, now: datetime) -> list[int]:
    """Claims every kind of one environment that nobody is probing at this moment; returns their ids."""
    with transaction.atomic():
        free = list(
            ProbeSchedule.objects.select_for_update()
            .filter(environment=environment)
            .filter(Q(claimed_until__isnull=True) | Q(claimed_until__lte=now))
            .order_by("pk")
        )
        for schedule in free:
            schedule.requested_at = now
        return _claim(free, now)


def look_again_soon(schedule_ids: Collection[int], now: datetime) -> None:
    """Moves schedules whose change of status waits to be confirmed to their retry, where that is sooner."""
    ProbeSchedule.objects.filter(pk__in=schedule_ids).update(
        next_run_at=Least(
            "next_run_at",
            ExpressionWrapper(
                Value(now, DateTimeField()) + F("retry_seconds") * timedelta(seconds=1), output_field=DateTimeField()
            ),
        )
    )


def release(schedule_ids: Collection[int]) -> None:
    """Gives claims back once the results are stored."""
    ProbeSchedule.objects.filter(pk__in=schedule_ids).update(claimed_until=None, requested_at=None)


def _claim(schedules: list[ProbeSchedule], now: datetime) -> list[int]:
    for schedule in schedules:
        schedule.next_run_at = next_run_at(schedule.next_run_at, schedule.interval_seconds, now)
        schedule.claimed_until = _end(now)
    ProbeSchedule.objects.bulk_update(schedules, ["next_run_at", "claimed_until", "requested_at"])
    return [schedule.pk for schedule in schedules]


def _end(now: datetime) -> datetime:
    """When a claim of ``now`` runs out."""
    seconds = CLAIM_TIMEOUTS * settings.PROBE_TIMEOUT_SECONDS + CLAIM_SLACK_SECONDS
    return now + timedelta(seconds=seconds)
