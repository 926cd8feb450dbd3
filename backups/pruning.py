"""Applies retention: previews what would go, lets it go, and tries again what could not be deleted."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef

from backups import catalogue
from backups.models import Backup, BackupSchedule, Restore, State
from backups.retention import Candidate, Decision, Policy, decide

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Previewed:
    """A backup and what retention says about it."""

    backup: Backup
    decision: Decision


def read_policy(schedule: BackupSchedule) -> Policy:
    """The schedule's rules."""
    cap = schedule.max_megabytes
    return Policy(
        last=schedule.keep_last,
        days=schedule.keep_days,
        hourly=schedule.keep_hourly,
        daily=schedule.keep_daily,
        weekly=schedule.keep_weekly,
        monthly=schedule.keep_monthly,
        yearly=schedule.keep_yearly,
        max_bytes=None if cap is None else cap * 1_000_000,
    )


def preview(schedule: BackupSchedule, now: datetime) -> list[Previewed]:
    """Every backup that the schedule took, newest first, with whether it stays and why. Changes nothing."""
    undoable = Restore.objects.filter(backup=OuterRef("pk"), kept_database__gt="")
    backups = {
        backup.pk: backup
        for backup in Backup.objects.filter(schedule=schedule, state=State.DONE, expired_at__isnull=True)
        .annotate(is_needed=Exists(undoable))
        .defer("tables", "metadata")
    }
    databases: dict[tuple[int | None, str], list[Candidate]] = {}
    for backup in backups.values():
        databases.setdefault((backup.database_id, backup.sibling), []).append(
            Candidate(
                id=backup.pk,
                taken_at=backup.taken_at or backup.requested_at,
                bytes=backup.bytes or 0,
                is_proven=backup.proven_at is not None and backup.damaged_at is None,
                is_damaged=backup.damaged_at is not None,
                pin=backup.pin_reason,
                is_needed=backup.is_needed,
            )
        )
    # A schedule of a whole server keeps so many of each database.
    policy = read_policy(schedule)
    return [
        Previewed(backups[decision.id], decision)
        for candidates in databases.values()
        for decision in decide(policy, candidates, now, schedule.time_zone)
    ]


def find_expirable(schedules: Iterable[BackupSchedule], now: datetime) -> list[Previewed]:
    """What would go now, of all these schedules. Changes nothing."""
    return [
        each
        for schedule in schedules
        if not read_policy(schedule).is_empty
        for each in preview(schedule, now)
        if not each.decision.is_kept
    ]


def prune(schedules: Iterable[BackupSchedule], now: datetime) -> list[Previewed]:
    """Let go what may go; those that are gone or on their way. A deletion that fails is tried again by `retry`."""
    gone = []
    for each in find_expirable(schedules, now):
        if catalogue.expire(each.backup, each.decision.sentence, now):
            catalogue.delete_expired(each.backup)
            gone.append(each)
    return gone


def retry_deletions() -> int:
    """Try again what could not be deleted; how many are gone now."""
    return sum(catalogue.delete_expired(backup) for backup in Backup.objects.filter(expired_at__isnull=False))
