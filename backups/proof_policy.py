"""Says whether a new backup is to be proven at once; reads settings and the catalogue, writes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from backups.models import Backup, State

BIG_ONES_EVERY = timedelta(days=7)


def is_proof_due(backup: Backup, now: datetime) -> bool:
    """Every backup of a database under PROVE_EACH_UNDER_MB is proven, of a bigger one the first and one a week."""
    if backup.is_foreign:
        # It comes once, and nothing else says whether it can be restored.
        return True
    size = int(backup.metadata.get("database_size_bytes") or 0)
    if size < settings.PROVE_EACH_UNDER_MB * 1_000_000:
        return True
    return not Backup.objects.filter(
        database=backup.database,
        sibling=backup.sibling,
        state=State.DONE,
        damaged_at__isnull=True,
        proven_at__gt=now - BIG_ONES_EVERY,
    ).exists()
