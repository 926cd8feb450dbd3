"""Maintenance windows and mutes: reads the windows as values that rules understand, writes both."""

from __future__ import annotations

from datetime import datetime

from readiness.models import Environment, MaintenanceWindow, ProbeSchedule
from readiness.probes.maintenance import Window


def load_windows() -> list[Window]:
    """Every window, in one query."""
    return [
        Window(*row)
        for row in MaintenanceWindow.objects.values_list(
            "environment_id", "kind", "starts_at", "cron", "time_zone", "duration_minutes"
        )
    ]


def mute(environment: Environment, kind: str, until: datetime, reason: str) -> bool:
    """Silences the alarms of one kind; the verdict stays what it is. False when there is no such schedule."""
    schedules = ProbeSchedule.objects.filter(environment=environment, kind=kind)
    return bool(schedules.update(muted_until=until, mute_reason=reason))


def unmute(environment: Environment, kind: str) -> bool:
    """Ends a mute before its time. False when there was none."""
    schedules = ProbeSchedule.objects.filter(environment=environment, kind=kind, muted_until__isnull=False)
    return bool(schedules.update(muted_until=None, mute_reason=""))
