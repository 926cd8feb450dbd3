"""Who probes what now: keeps ProbeSchedule rows in step with environments and claims those that are due."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection, transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, Value
from django.db.models.functions import Least

from readiness.models import Database, Endpoint, Environment, ProbeSchedule, Scenario
from readiness.probes.dns_records import read_name
from readiness.probes.schedule import next_run_at

CLAIM_LIMIT = 2_000
_CLAIM_SQL = Path(__file__).with_name("sql") / "claim_due.sql"
# A batch is two rounds of deadlines; what is not taken up or released by then was lost with its worker.
CLAIM_TIMEOUTS = 2
CLAIM_SLACK_SECONDS = 10
DATABASE_KINDS = frozenset({"postgres"})


# Kinds whose runs take long, each with its deadline in seconds: one schedule a task, and never on every worker at once.
HEAVY_DEADLINES: Mapping[str, int] = {"scenario": 60, "browser": 45}
HEAVY_SLACK_SECONDS = 60
SHORTEST_JITTERED_SECONDS, LONGEST_JITTER_SECONDS = 300, 600


def configured_kinds(
    endpoints: Iterable[tuple[str, str]], *, has_databases: bool, has_scenarios: bool, has_browser: bool
) -> list[str]:
    """The kinds of probe that have something to probe, in the order of the settings; endpoints are (role, URL)."""
    listed = list(endpoints)
    applies = {
        "postgres": has_databases,
        "dns": any(is_public_name(urlsplit(url).hostname or "") for _, url in listed),
        "scenario": has_scenarios,
        "browser": has_browser and any(role == Endpoint.Role.FRONTEND for role, _ in listed),
    }
    return [kind for kind in settings.READINESS_PROBES if applies.get(kind, bool(listed))]


def is_public_name(host: str) -> bool:
    """Whether a resolver can be asked about ``host``: neither an address, nor localhost, nor a name without a dot."""
    name = read_name(host)
    return "." in name and not name.endswith(".localhost")


def default_interval_seconds(kind: str) -> int:
    """How often a kind is probed unless somebody says otherwise."""
    return int(settings.PROBE_INTERVALS.get(kind, settings.PROBE_INTERVAL_SECONDS))


def default_jitter_seconds(interval_seconds: int) -> int:
    """How far runs stray from the plan, so that what was added together does not run together for ever.

    Nothing for what runs every minute or two: the queue spreads that, and a tick missed by a second costs a minute.
    """
    return min(LONGEST_JITTER_SECONDS, interval_seconds // 10) if interval_seconds >= SHORTEST_JITTERED_SECONDS else 0


def longest_timeout_seconds(kind: str) -> int:
    """The longest timeout a schedule may have: two rounds of it have to end before the task of a batch does."""
    if kind in HEAVY_DEADLINES:
        return deadline_seconds(kind)
    return (int(settings.DEFAULT_TIMEOUT_SECONDS) - CLAIM_SLACK_SECONDS - 1) // CLAIM_TIMEOUTS


def deadline_seconds(kind: str) -> int:
    """How long one run of a kind may take; on a single worker no longer than a batch of the others would."""
    heavy = HEAVY_DEADLINES.get(kind)
    if heavy is None:
        return int(settings.PROBE_TIMEOUT_SECONDS)
    return heavy if _worker_count() > 1 else min(heavy, CLAIM_TIMEOUTS * settings.PROBE_TIMEOUT_SECONDS)


def sync_schedules(now: datetime, environments: Collection[Environment] | None = None) -> None:
    """Gives every active environment a schedule for each kind it has a target for, and takes away the others."""
    active, existing = Environment.objects.active(), ProbeSchedule.objects.all()
    if environments is not None:
        keys = [environment.pk for environment in environments]
        active, existing = active.filter(pk__in=keys), existing.filter(environment_id__in=keys)
    endpoints: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for environment_id, role, url in Endpoint.objects.order_by().values_list("environment_id", "role", "url"):
        endpoints[environment_id].append((role, url))
    with_databases = set(Database.objects.order_by().values_list("environment_id", flat=True).distinct())
    with_scenarios = set(Scenario.objects.filter(is_enabled=True).order_by().values_list("environment_id", flat=True))
    wanted = {
        (pk, kind)
        for pk in active.values_list("pk", flat=True)
        for kind in configured_kinds(
            endpoints[pk],
            has_databases=pk in with_databases,
            has_scenarios=pk in with_scenarios,
            has_browser=settings.BROWSER_PROBE,
        )
    }
    present = {(schedule.environment_id, schedule.kind): schedule.pk for schedule in existing}
    ProbeSchedule.objects.filter(pk__in=[pk for key, pk in present.items() if key not in wanted]).delete()
    ProbeSchedule.objects.bulk_create(
        [
            ProbeSchedule(
                environment_id=environment_id,
                kind=kind,
                interval_seconds=default_interval_seconds(kind),
                jitter_seconds=default_jitter_seconds(default_interval_seconds(kind)),
                next_run_at=now,
            )
            for environment_id, kind in sorted(wanted - present.keys())
        ],
        ignore_conflicts=True,
    )


def claim_due(now: datetime, limit: int = CLAIM_LIMIT) -> list[int]:
    """Claims due schedules for whoever calls, and moves them on; returns their ids.

    Two claimers never get the same row: each skips what the other has locked, and a claimed row is not due again
    before the claim runs out. A claim that ran out was never released: its worker died, or none was free in time, so
    the row is due at once. The moment until which a row is claimed names the claim, for it only ever moves on.
    Heavy kinds are claimed only as long as a worker stays free for the others.
    """
    values: dict[str, Any] = {
        "now": now,
        "limit": limit,
        "claimed_until": now + timedelta(seconds=_claim_seconds("")),
        "heavy_kinds": list(HEAVY_DEADLINES),
        "heavy_places": _heavy_places(),
        "heavy_claimed_until": now + timedelta(seconds=_claim_seconds("scenario")),
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM_SQL.read_text(encoding="utf-8"), values)
        return sorted(pk for (pk,) in cursor.fetchall())


def claim_now(environment: Environment, now: datetime, kinds: Collection[str] | None = None) -> list[int]:
    """Claims every kind of one environment, or ``kinds``, that nobody is probing at this moment; returns their ids.

    A heavy kind for which no worker is to spare is made due, and claimed by a tick.
    """
    with transaction.atomic():
        free = list(
            ProbeSchedule.objects.select_for_update()
            .filter(environment=environment)
            .filter(Q(claimed_until__isnull=True) | Q(claimed_until__lte=now))
            .order_by("pk")
        )
        if kinds is not None:
            free = [schedule for schedule in free if schedule.kind in kinds]
        places = _heavy_places() - ProbeSchedule.objects.filter(kind__in=HEAVY_DEADLINES, claimed_until__gt=now).count()
        heavy = [schedule for schedule in free if schedule.kind in HEAVY_DEADLINES]
        waiting = heavy[max(0, places) :]
        ProbeSchedule.objects.filter(pk__in=[schedule.pk for schedule in waiting]).update(next_run_at=now)
        free = [schedule for schedule in free if schedule not in waiting]
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


def change_schedule(schedule: ProbeSchedule, changed: Collection[str], now: datetime) -> None:
    """Stores the fields that a person changed, and nothing of what workers write meanwhile.

    A shorter interval counts from now, not from the next run that was planned with the longer one.
    """
    if not changed:
        return
    schedule.save(update_fields=list(changed))
    if "interval_seconds" in changed:
        soonest = now + timedelta(seconds=schedule.interval_seconds)
        ProbeSchedule.objects.filter(pk=schedule.pk).update(next_run_at=Least("next_run_at", Value(soonest)))


def take_up(schedule_ids: Collection[int], claim: datetime | None, now: datetime) -> tuple[list[int], datetime]:
    """Begins with what was claimed until ``claim``: returns the ids that are still so, and their new claim.

    What has another claim by now is somebody else's: its batch waited too long and was queued again, or was delivered
    twice. The time that a batch takes counts from here, not from when it was queued. None takes them all.
    """
    with transaction.atomic():
        held = ProbeSchedule.objects.select_for_update().filter(pk__in=schedule_ids)
        if claim is not None:
            held = held.filter(claimed_until=claim)
        mine = list(held.order_by("pk"))
        seconds = max((_claim_seconds(one.kind, one.timeout_seconds) for one in mine), default=0)
        # Never what it was before, also where the clock of another host is ahead.
        passed = max((one.claimed_until for one in mine if one.claimed_until is not None), default=now)
        renewed = max(now + timedelta(seconds=seconds), passed + timedelta(microseconds=1))
        ids = [schedule.pk for schedule in mine]
        ProbeSchedule.objects.filter(pk__in=ids).update(claimed_until=renewed)
    return ids, renewed


def release(schedule_ids: Collection[int], claim: datetime | None = None) -> None:
    """Gives back what is still claimed until ``claim`` (None: all of them), once the results are stored."""
    held = ProbeSchedule.objects.filter(pk__in=schedule_ids)
    if claim is not None:
        held = held.filter(claimed_until=claim)
    held.update(claimed_until=None, requested_at=None)


def _claim(schedules: list[ProbeSchedule], now: datetime) -> list[int]:
    for schedule in schedules:
        schedule.next_run_at = next_run_at(schedule.next_run_at, schedule.interval_seconds, now)
        schedule.claimed_until = now + timedelta(seconds=_claim_seconds(schedule.kind))
    ProbeSchedule.objects.bulk_update(schedules, ["next_run_at", "claimed_until", "requested_at"])
    return [schedule.pk for schedule in schedules]


def _claim_seconds(kind: str, timeout_seconds: int | None = None) -> int:
    """For how long a claim holds: longer than its task can take, whose slowest target has ``timeout_seconds``."""
    if kind in HEAVY_DEADLINES:
        return int(settings.DEFAULT_TIMEOUT_SECONDS) + HEAVY_SLACK_SECONDS
    slowest = max(settings.PROBE_TIMEOUT_SECONDS, timeout_seconds or 0)
    return int(CLAIM_TIMEOUTS * slowest + CLAIM_SLACK_SECONDS)


def _worker_count() -> int:
    return int(settings.Q_CLUSTER["workers"])


def _heavy_places() -> int:
    """How many heavy runs there may be at a time."""
    return max(1, _worker_count() - 1)
