"""Maintenance windows and mutes: reads the windows as values that rules understand, writes both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AnonymousUser, User

from portal import audit
from readiness.models import Environment, MaintenanceWindow, ProbeSchedule
from readiness.probes.maintenance import Window, covers, next_start

_FIELDS = ("environment_id", "kind", "starts_at", "cron", "time_zone", "duration_minutes")


@dataclass(frozen=True)
class Planned:
    """One window as people look at it; ``opens_at`` is None when it never opens again."""

    window: MaintenanceWindow
    is_open: bool
    opens_at: datetime | None

    @property
    def is_over(self) -> bool:
        return not self.is_open and self.opens_at is None


def load_windows() -> list[Window]:
    """Every window, in one query."""
    return [Window(*row) for row in MaintenanceWindow.objects.values_list(*_FIELDS)]


def list_windows(now: datetime) -> list[Planned]:
    """Every window with what it means now: the open ones, then those that open next, then those that are over."""
    planned = []
    for row in MaintenanceWindow.objects.select_related("environment"):
        window = Window(*(getattr(row, name) for name in _FIELDS))
        planned.append(Planned(row, covers(window, now), next_start(window, now)))
    return sorted(planned, key=lambda one: (not one.is_open, one.is_over, one.opens_at or now))


def keep_window(window: MaintenanceWindow, actor: User | AnonymousUser) -> None:
    """Stores a window that is new or was changed, with who did it."""
    action = "planned maintenance" if window.pk is None else "changed the maintenance"
    if window.pk is None:
        window.created_by_name = actor.get_username()
    window.save()
    audit.record(action, actor=actor, environment=window.environment, subject=window.reason)


def remove_window(window: MaintenanceWindow, actor: User | AnonymousUser) -> None:
    """Forgets a window; what was observed while it was open stays marked."""
    window.delete()
    audit.record("removed the maintenance", actor=actor, environment=window.environment, subject=window.reason)


def mute(environment: Environment, kind: str, until: datetime, reason: str) -> bool:
    """Silences the alarms of one kind; the verdict stays what it is. False when there is no such schedule."""
    schedules = ProbeSchedule.objects.filter(environment=environment, kind=kind)
    return bool(schedules.update(muted_until=until, mute_reason=reason))


def unmute(environment: Environment, kind: str) -> bool:
    """Ends a mute before its time. False when there was none."""
    schedules = ProbeSchedule.objects.filter(environment=environment, kind=kind, muted_until__isnull=False)
    return bool(schedules.update(muted_until=None, mute_reason=""))
