"""Signs of life of long jobs; reads the rows of all four kinds of job, in one query."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from backups.models import Backup, BackupCopy, Restore, State, Verification


def read_lease_end() -> datetime | None:
    """When the longest lease of all running jobs ends; None while none is running."""
    running = [
        model.objects.filter(state=State.RUNNING, lease_expires_at__isnull=False)
        .order_by()
        .values_list("lease_expires_at", flat=True)
        for model in (Backup, BackupCopy, Verification, Restore)
    ]
    return max((end for end in running[0].union(*running[1:], all=True) if end is not None), default=None)


def read_newest_lease_renewal() -> datetime | None:
    """When a running job last renewed its lease; None while none is running."""
    end = read_lease_end()
    return None if end is None else end - timedelta(seconds=settings.BACKUP_LEASE_SECONDS)
