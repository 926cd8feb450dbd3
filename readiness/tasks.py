"""What django-q2 calls for readiness: tick -> claim -> target -> observe and judge -> record -> settle -> alert."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from portal.secrets import SecretError
from readiness import claims, evidence, partitions, results, targets
from readiness.alerts import incidents, people, rules, send, weekly
from readiness.checklists import progress, workflow
from readiness.maintenance import load_windows
from readiness.models import Environment, ProbeSchedule, Tracker, TrackerProject
from readiness.probes import net
from readiness.probes.base import ErrorReason, ProbeResult, Target, make_error_result
from readiness.probes.browser import BrowserObservation
from readiness.probes.combine import combine_results
from readiness.probes.http_client import send_request
from readiness.probes.maintenance import is_covered
from readiness.probes.registry import get_probe, list_kinds
from readiness.probes.runner import Job, run_batch
from readiness.probes.scenarios.model import ScenarioError
from readiness.probes.transitions import Patience
from readiness.trackers import sync, trial_event

CLUSTER = "default"


def tick() -> str:
    """Claims what is due and queues it in batches; runs every minute."""
    now = timezone.now()
    claims.sync_schedules(now)
    queued = enqueue(claims.claim_due(now))
    return f"queued {queued} probes"


def request_probes(environment: Environment, kinds: Collection[str] | None = None) -> int:
    """Probes one environment at once, whatever is due, or only ``kinds``; returns how many probes were queued."""
    now = timezone.now()
    claims.sync_schedules(now, [environment])
    return enqueue(claims.claim_now(environment, now, kinds))


def enqueue(schedule_ids: list[int]) -> int:
    """Queues claimed schedules in batches that a worker can finish before its claims run out, heavy ones singly.

    A batch holds schedules of one claim, and is told which: by then they may have another.
    """
    claimed = ProbeSchedule.objects.filter(pk__in=schedule_ids)
    light: dict[datetime, list[int]] = defaultdict(list)
    singly: list[tuple[datetime, list[int]]] = []
    for pk, kind, claim in claimed.order_by("pk").values_list("pk", "kind", "claimed_until"):
        if claim is None:
            continue
        if kind in claims.HEAVY_DEADLINES:
            singly.append((claim, [pk]))
        else:
            light[claim].append(pk)
    size = claims.CLAIM_TIMEOUTS * settings.PROBE_CONCURRENCY
    batches = [
        (claim, keys[start : start + size]) for claim, keys in light.items() for start in range(0, len(keys), size)
    ]
    for claim, batch in [*batches, *singly]:
        async_task("readiness.tasks.run_probes", batch, claim.isoformat(), cluster=CLUSTER, group="probes")
    return len(schedule_ids)


def run_probes(schedule_ids: Collection[int], claim: str | None = None) -> str:
    """Observes a batch of claimed schedules concurrently, stores what was found, and gives the claims back.

    ``claim`` names the claim that the batch was queued with. What another batch has claimed since is left to that one.
    """
    mine, held_until = claims.take_up(schedule_ids, datetime.fromisoformat(claim) if claim else None, timezone.now())
    schedules = list(
        ProbeSchedule.objects.filter(pk__in=mine, kind__in=list_kinds())
        .select_related("environment")
        .prefetch_related("environment__endpoints", "environment__databases", "environment__expected_records")
    )
    now = timezone.now()
    found: dict[ProbeSchedule, list[ProbeResult]] = {schedule: [] for schedule in schedules}
    jobs: list[tuple[ProbeSchedule, Job]] = []
    for schedule in schedules:
        try:
            # Who presses a button wants to know how it is now.
            is_asked_for = schedule.requested_at is not None
            probed = targets.build_targets(schedule.environment, schedule.kind, ask_everything=is_asked_for)
        except (SecretError, ScenarioError) as error:
            # A reference leads nowhere, no key opens what is stored, or it is no scenario: known without observing.
            found[schedule].append(_make_unreadable_result(schedule, error))
            continue
        if schedule.timeout_seconds is not None:
            probed = [_with_timeout(target, schedule) for target in probed]
        jobs += [(schedule, _make_job(schedule, target)) for target in probed]
    # Environments with many databases make more jobs than schedules, and a claim holds for so many rounds only.
    concurrency = max(settings.PROBE_CONCURRENCY, math.ceil(len(jobs) / claims.CLAIM_TIMEOUTS))
    observed = run_batch([job for _, job in jobs], concurrency=concurrency, now=now)
    for (schedule, _), result in zip(jobs, observed, strict=True):
        found[schedule].append(result)
    windows = load_windows()
    recorded = results.record(
        results.Observed(
            environment_id=schedule.environment_id,
            at=now,
            result=combine_results(several),
            interval_seconds=schedule.interval_seconds,
            patience=Patience(schedule.failures_before_down, schedule.successes_before_up),
            in_maintenance=is_covered(windows, schedule.environment_id, schedule.kind, now),
        )
        for schedule, several in found.items()
        if several
    )
    waiting = [schedule.pk for schedule in found if (schedule.environment_id, schedule.kind) in recorded.waiting]
    claims.look_again_soon(waiting, now)
    claims.release(mine, held_until)
    if recorded.changes:
        async_task("readiness.tasks.send_alerts", cluster=CLUSTER, group="alerts", save=False)
    return f"{len(found)} results, {len(recorded.changes)} changes"


def keep_partitions() -> str:
    """Makes the next days' partitions, drops those past their time and hours long summed up; runs every hour."""
    now = timezone.now()
    made = partitions.ensure_partitions(now)
    dropped = partitions.drop_partitions(now, settings.PROBE_RUNS_KEPT_DAYS)
    hours = results.drop_old_hours(now)
    return f"made {len(made)} partitions, dropped {len(dropped)}, and {hours} hours"


def record_progress() -> str:
    """Takes today's count of open items of every environment; runs every 15 minutes."""
    return f"counted {progress.record_progress(timezone.now())} environments"


def sync_new_issues() -> str:
    """Has what is new in every tracker read; every 30 seconds, from the supervisor."""
    return f"{_queue_trackers(is_quick=True)} trackers"


def sync_trackers() -> str:
    """Has everything of every tracker that is due read; runs every minute, each tracker has its own five."""
    sync.prune_events(timezone.now())
    return f"{_queue_trackers(is_quick=False)} trackers"


def sync_tracker(tracker_id: int, is_quick: bool) -> str:
    """Reads one claimed tracker and tells people what is new in it."""
    tracker = Tracker.objects.select_related("environment").get(pk=tracker_id)
    # Before the first full read there is nothing that could be new.
    synced = sync.sync_tracker(tracker, timezone.now(), is_quick=is_quick and tracker.synced_at is not None)
    return synced.error or f"{synced.issues} issues; {send_alerts()}"


def send_test_event(project_id: int) -> str:
    """Sends a test event to one project's DSN and waits until the tracker has it."""
    row = TrackerProject.objects.select_related("tracker__environment").get(pk=project_id)
    sent = trial_event.send_test_event(row)
    return f"{sent.project}: {sent.error or 'arrived'}"


def send_alerts() -> str:
    """What changed -> checklists -> alerts -> messages; runs every minute, and after every change."""
    now = timezone.now()
    moved = workflow.settle(now)
    seen = rules.evaluate_changes(now) + rules.evaluate_issues(now)
    rules.evaluate_conditions(now)
    rules.resolve_issues(now)
    incidents.follow_up(now)
    people.tell_people(now)
    weekly.write_weekly(now)
    return f"{moved} items moved, {seen} changes, {send.send_due()} messages"


def ping_dead_mans_switch() -> str:
    """Tells a service outside that workers still work; that one raises the alarm when nothing comes."""
    if not settings.DEAD_MANS_SWITCH_URL:
        return "no URL"
    door = net.Door(net.Deadline(10), targets.address_policy())
    try:
        answer = send_request(settings.DEAD_MANS_SWITCH_URL, door, body_bytes=1024)
    except net.NetError as error:
        # The URL is a secret: whoever knows it can keep the alarm quiet.
        return f"not reached: {error.reason}"
    return f"answered {answer.status}"


def _queue_trackers(*, is_quick: bool) -> int:
    """A task for each tracker that is due and that nobody reads: a slow one holds up no other."""
    now = timezone.now()
    seconds = settings.TRACKER_QUICK_SYNC_SECONDS if is_quick else settings.TRACKER_SYNC_SECONDS
    # A little early is right on time: what calls this does so at the same pace.
    limit = now - timedelta(seconds=seconds * 0.8)
    stamp = "quick_synced_at" if is_quick else "synced_at"
    due = Q(**{f"{stamp}__isnull": True}) | Q(**{f"{stamp}__lte": limit})
    # What failed is not asked again before its time either.
    waiting = Q(failed_at__isnull=True) | Q(failed_at__lte=limit)
    ids = Tracker.objects.filter(due, waiting, environment__retired_at__isnull=True).values_list("pk", flat=True)
    claimed = [pk for pk in ids if sync.claim(pk, now)]
    for pk in claimed:
        async_task("readiness.tasks.sync_tracker", pk, is_quick, cluster=CLUSTER, group="trackers", save=False)
    return len(claimed)


def _make_job(schedule: ProbeSchedule, target: Target) -> Job:
    """A browser's screenshots are kept as evidence; of other observations nothing is but the result."""
    if schedule.kind != "browser":
        return Job(get_probe(schedule.kind), target)

    def keep(observation: BrowserObservation) -> None:
        evidence.keep_screenshots(schedule.environment_id, observation.screenshots)

    return Job(get_probe(schedule.kind), target, keep)


def _with_timeout(target: Target, schedule: ProbeSchedule) -> Target:
    """The schedule's own timeout; a heavy kind's deadline stays the limit, because its claim and task end too."""
    seconds = float(schedule.timeout_seconds or target.timeout_seconds)
    if schedule.kind in claims.HEAVY_DEADLINES:
        seconds = min(seconds, target.timeout_seconds)
    return replace(target, timeout_seconds=seconds)


def _make_unreadable_result(schedule: ProbeSchedule, error: SecretError | ScenarioError) -> ProbeResult:
    reason = ErrorReason.BAD_DSN if schedule.kind in claims.DATABASE_KINDS else ErrorReason.BAD_TARGET
    return make_error_result(schedule.kind, schedule.environment.slug, reason, str(error))
