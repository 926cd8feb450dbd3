"""Says when schedules are due, claims the due ones, and what to try again; writes times of BackupSchedule only."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from django.db.models import Exists, OuterRef, Q

from backups.catalogue import Plan
from backups.errors import CAN_PASS
from backups.models import LATE, Backup, BackupSchedule, State, Trigger
from backups.selection import split_lines

logger = logging.getLogger(__name__)

# A failure that can pass is tried again after so many minutes, by the number of attempts.
BACK_OFF_MINUTES = (2, 10, 30, 60)
# Older failures are left to the schedule's next run.
RETRY_WITHIN = timedelta(hours=12)


@dataclass(frozen=True)
class Due:
    """A schedule whose time has come: ``scheduled_for`` is the moment of its expression."""

    schedule: BackupSchedule
    scheduled_for: datetime


def next_run_at(cron: str, time_zone: str, after: datetime) -> datetime | None:
    """The first time of the expression after ``after``, read on the clock of the zone; None when it has no more.

    Raises ValueError for an expression or zone that is not one.
    """
    try:
        return next(CronSim(cron, after.astimezone(ZoneInfo(time_zone)))).astimezone(UTC)
    except StopIteration:
        return None
    except (CronSimError, ZoneInfoNotFoundError) as error:
        raise ValueError(f"{cron} in {time_zone} is not a schedule") from error


def plan(schedule: BackupSchedule, now: datetime) -> None:
    """Set the next run in memory: the expression's time, moved by jitter and out of the quiet window.

    Raises ValueError for an expression or zone that is not one.
    """
    schedule.due_at = next_run_at(schedule.cron, schedule.time_zone, now)
    schedule.next_run_at = schedule.due_at
    if schedule.due_at is not None:
        jitter = timedelta(seconds=secrets.randbelow(60 * schedule.jitter_minutes + 1))
        schedule.next_run_at = leave_quiet(schedule, schedule.due_at + jitter)


def leave_quiet(schedule: BackupSchedule, at: datetime) -> datetime:
    """``at``, or the end of the schedule's quiet window when it lies in it, on the schedule's own clock."""
    if schedule.quiet_from is None or schedule.quiet_until is None:
        return at
    local = at.astimezone(ZoneInfo(schedule.time_zone))
    if not _is_between(schedule.quiet_from, local.time(), schedule.quiet_until):
        return at
    end = local.replace(hour=schedule.quiet_until.hour, minute=schedule.quiet_until.minute, second=0, microsecond=0)
    if end <= local:
        end += timedelta(days=1)
    return end.astimezone(UTC)


def claim_due(now: datetime) -> list[Due]:
    """The schedules that are due, each given to one caller only and moved to its next time.

    However many times were missed, a schedule is given once: its next time is counted from now. One that has never
    been planned (or was changed) is planned first. One whose quiet window has begun meanwhile waits for its end.
    """
    claimed = []
    enabled = BackupSchedule.objects.filter(is_enabled=True, database__environment__retired_at__isnull=True)
    for schedule in enabled.filter(Q(next_run_at__isnull=True) | Q(next_run_at__lte=now)).select_related(
        "database__environment"
    ):
        same = BackupSchedule.objects.filter(pk=schedule.pk, next_run_at=schedule.next_run_at, is_enabled=True)
        was_planned = schedule.next_run_at is not None
        scheduled_for = schedule.due_at or schedule.next_run_at or now
        if was_planned and (later := leave_quiet(schedule, now)) > now:
            same.update(next_run_at=later, due_at=scheduled_for)
            continue
        try:
            plan(schedule, now)
        except ValueError as error:
            logger.warning("%s", error)
            continue
        requested = {"last_requested_at": now} if was_planned else {}
        changed = same.update(next_run_at=schedule.next_run_at, due_at=schedule.due_at, **requested)
        if changed and was_planned:
            if now - scheduled_for > LATE + timedelta(minutes=schedule.jitter_minutes):
                logger.warning("%s was due %s and missed; it is caught up once now.", schedule, scheduled_for)
            claimed.append(Due(schedule, scheduled_for))
    return claimed


def describe_run(schedule: BackupSchedule, scheduled_for: datetime | None, sibling: str = "", attempt: int = 1) -> Plan:
    """What one run of the schedule wants of the catalogue."""
    return Plan(
        schedule=schedule,
        sibling=sibling,
        stores=tuple(schedule.stores),
        only=schedule.only,
        without=schedule.without,
        with_globals=schedule.with_globals,
        scheduled_for=scheduled_for,
        attempt=attempt,
    )


def find_retries(now: datetime) -> list[tuple[Backup, Plan]]:
    """Failed backups of schedules whose failure can pass and whose time to be tried again has come, with the plan.

    Only the newest backup of its database counts. Whoever requests one makes it no longer the newest.
    """
    newer = Backup.objects.filter(
        database=OuterRef("database"), sibling=OuterRef("sibling"), requested_at__gt=OuterRef("requested_at")
    )
    failed = Backup.objects.filter(
        ~Exists(newer),
        state=State.FAILED,
        trigger=Trigger.SCHEDULE,
        error_code__in=CAN_PASS,
        finished_at__gt=now - RETRY_WITHIN,
        database__environment__retired_at__isnull=True,
        schedule__is_enabled=True,
    )
    due = []
    for backup in failed.select_related("schedule", "database__environment"):
        schedule = backup.schedule
        assert schedule is not None and backup.finished_at is not None  # noqa: S101  the filter asks for both
        wait = timedelta(minutes=BACK_OFF_MINUTES[min(backup.attempt, len(BACK_OFF_MINUTES)) - 1])
        if backup.attempt > schedule.retries or backup.finished_at + wait > now or leave_quiet(schedule, now) > now:
            continue
        due.append((backup, describe_run(schedule, backup.scheduled_for, backup.sibling, backup.attempt + 1)))
    return due


def next_retry_at(backup: Backup) -> datetime | None:
    """When a failed backup of a schedule is tried again; None when it is not."""
    schedule = backup.schedule
    if backup.state != State.FAILED or backup.error_code not in CAN_PASS or backup.trigger != Trigger.SCHEDULE:
        return None
    if schedule is None or not schedule.is_enabled or backup.attempt > schedule.retries or backup.finished_at is None:
        return None
    wait = timedelta(minutes=BACK_OFF_MINUTES[min(backup.attempt, len(BACK_OFF_MINUTES)) - 1])
    return leave_quiet(schedule, backup.finished_at + wait)


def note_problem(schedule: BackupSchedule, sentence: str) -> None:
    """Why the last run began nothing; empty when it began."""
    BackupSchedule.objects.filter(pk=schedule.pk).update(problem=sentence[:500])


def skipped_databases(schedule: BackupSchedule) -> frozenset[str]:
    """Names that a schedule of a whole server leaves out."""
    return frozenset(split_lines(schedule.skip_databases))


def _is_between(start: time, at: time, end: time) -> bool:
    return start <= at < end if start < end else at >= start or at < end
