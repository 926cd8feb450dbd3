"""Says when a cron schedule is due and claims the due ones; writes BackupSchedule's times only."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from django.db.models import Q

from backups.models import BackupSchedule

logger = logging.getLogger(__name__)


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


def claim_due(now: datetime) -> list[BackupSchedule]:
    """The schedules that are due, each given to one caller only and moved to its next time.

    However many times were missed, a schedule is given once: its next time is counted from now. One that has never
    been planned (or was changed) is planned first.
    """
    claimed = []
    enabled = BackupSchedule.objects.filter(is_enabled=True, database__environment__retired_at__isnull=True)
    for schedule in enabled.filter(Q(next_run_at__isnull=True) | Q(next_run_at__lte=now)).select_related(
        "database__environment"
    ):
        try:
            following = next_run_at(schedule.cron, schedule.time_zone, now)
        except ValueError as error:
            logger.warning("%s", error)
            continue
        same = BackupSchedule.objects.filter(pk=schedule.pk, next_run_at=schedule.next_run_at, is_enabled=True)
        was_planned = schedule.next_run_at is not None
        changed = same.update(next_run_at=following, **({"last_requested_at": now} if was_planned else {}))
        if changed and was_planned:
            claimed.append(schedule)
    return claimed
