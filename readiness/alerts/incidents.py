"""Opens, resolves and follows up alerts; the only writer of Alert rows and of Notification rows that wait."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from readiness.alerts.on_call import find_on_call
from readiness.maintenance import load_windows
from readiness.models import Alert, AlertRule, Channel, Environment, Notification, ProbeSchedule
from readiness.probes.maintenance import Window, is_covered

FLAP_SECONDS = 600
FLAP_LIMIT = 4
MAINTENANCE = "maintenance"


@dataclass(frozen=True)
class Silences:
    """Maintenance windows and mutes as they are now."""

    windows: tuple[Window, ...]
    muted: frozenset[tuple[int, str]]

    def cover(self, environment_id: int, subject: str, now: datetime) -> bool:
        """Whether maintenance is on, or somebody has muted the kind of probe that ``subject`` is about."""
        kind = subject.removeprefix("probe:") if subject.startswith("probe:") else ""
        return (environment_id, kind) in self.muted or is_covered(self.windows, environment_id, kind, now)


def load_silences(now: datetime) -> Silences:
    """Every window and mute, in two queries."""
    muted = ProbeSchedule.objects.filter(muted_until__gt=now).values_list("environment_id", "kind")
    return Silences(tuple(load_windows()), frozenset(muted))


def open_alert(
    rule: AlertRule,
    environment: Environment,
    subject: str,
    title: str,
    now: datetime,
    facts: dict[str, Any] | None = None,
    *,
    silences: Silences | None = None,
    in_maintenance: bool = False,
) -> Alert | None:
    """Opens an alert unless it is open already, and writes whom to tell; None when it was open.

    Call it in the transaction that claims what it is about: both are there, or neither. ``in_maintenance`` says that
    it began in a window, even if that is over by now: ``follow_up`` then tells what is still true.
    """
    with transaction.atomic(savepoint=False):
        if Alert.objects.filter(rule=rule, environment=environment, subject=subject, resolved_at__isnull=True).exists():
            return None
        alert = Alert(
            rule=rule, environment=environment, subject=subject, title=title[:300], facts=facts or {}, opened_at=now
        )
        alert.held_back = MAINTENANCE if in_maintenance else _hold_back(alert, silences or load_silences(now), now)
        alert.told_at = None if alert.held_back else now
        # Two workers may get here at once; the constraint lets one pass.
        Alert.objects.bulk_create([alert], ignore_conflicts=True)
        made = Alert.objects.filter(
            rule=rule, environment=environment, subject=subject, resolved_at__isnull=True, opened_at=now
        ).first()
        if made is None:
            return None
        made.rule = rule
        if not made.held_back:
            notify(made, "opened", now)
        return made


def resolve_alert(
    rule: AlertRule, environment: Environment, subject: str, now: datetime, *, silences: Silences | None = None
) -> bool:
    """Ends the open alert, if there is one, and tells whoever was told of it; whether there was one."""
    with transaction.atomic(savepoint=False):
        alert = Alert.objects.filter(
            rule=rule, environment=environment, subject=subject, resolved_at__isnull=True
        ).first()
        if alert is None:
            return False
        alert.rule = rule
        if Alert.objects.filter(pk=alert.pk, resolved_at__isnull=True).update(resolved_at=now) != 1:
            return False
        if not alert.held_back and not (silences or load_silences(now)).cover(environment.pk, subject, now):
            notify(alert, "resolved", now)
        return True


def notify(alert: Alert, reason: str, now: datetime, channels: list[Channel] | None = None) -> None:
    """Writes one waiting notification for each channel of the rule and whoever is on call, or for ``channels``."""
    rule = alert.rule
    Notification.objects.bulk_create(
        [
            Notification(
                alert=alert,
                channel=channel,
                reason=reason,
                key=make_key(alert, channel, reason, now),
                due_at=now + timedelta(seconds=rule.group_seconds),
            )
            for channel in (_list_receivers(rule, now) if channels is None else channels)
        ],
        ignore_conflicts=True,
    )


def _list_receivers(rule: AlertRule, now: datetime) -> list[Channel]:
    """Each once: the rule's channels in its hours, and at any hour whoever is on call."""
    # Filtered here: whoever evaluates many changes has loaded the channels of the rules once.
    channels = [one for one in rule.channels.all() if one.is_enabled] if is_in_hours(rule, now) else []
    on_call = find_on_call(rule.rota, now) if rule.rota is not None else None
    return channels if on_call is None or on_call in channels else [*channels, on_call]


def make_key(alert: Alert, channel: Channel, reason: str, now: datetime) -> str:
    """The idempotency key: the same for every attempt to send one thing to one channel."""
    moment = now.isoformat() if reason == "reminder" else ""
    return hashlib.sha256(f"{alert.pk}:{channel.pk}:{reason}:{moment}".encode()).hexdigest()[:40]


def acknowledge(alert: Alert, by_name: str, now: datetime) -> bool:
    """Somebody has seen it: no escalation, no reminder. Whether this was the first time."""
    return (
        Alert.objects.filter(pk=alert.pk, acknowledged_at__isnull=True).update(
            acknowledged_at=now, acknowledged_by=by_name[:150]
        )
        == 1
    )


def follow_up(now: datetime) -> int:
    """Tells what was held back and still lasts, escalates and reminds; returns how many messages it wrote."""
    silences = load_silences(now)
    written = _release(silences, now)
    waiting = (
        Alert.objects.filter(
            resolved_at__isnull=True, acknowledged_at__isnull=True, held_back="", rule__is_enabled=True
        )
        .filter(Q(rule__escalate_minutes__gt=0) | Q(rule__remind_minutes__gt=0))
        .select_related("rule__escalate_to", "rule__rota", "environment")
    )
    for alert in waiting:
        if alert.environment_id is None or silences.cover(alert.environment_id, alert.subject, now):
            continue
        written += _escalate(alert, now) + _remind(alert, now)
    return written


def is_in_hours(rule: AlertRule, now: datetime) -> bool:
    """Whether the rule's schedule lets it speak now, in the portal's time zone."""
    local = timezone.localtime(now)
    return rule.schedule == AlertRule.Schedule.ALWAYS or (local.weekday() < 5 and 8 <= local.hour < 18)


def _release(silences: Silences, now: datetime) -> int:
    """Tells of alerts whose reason to keep quiet is over while they are not: a silence must not swallow an outage."""
    held = Alert.objects.filter(
        resolved_at__isnull=True, rule__is_enabled=True, environment__retired_at__isnull=True
    ).exclude(held_back="")
    told = 0
    for alert in held.select_related("rule__rota", "environment"):
        if _hold_back(alert, silences, now):
            continue
        with transaction.atomic():
            if (
                Alert.objects.filter(pk=alert.pk, resolved_at=None)
                .exclude(held_back="")
                .update(held_back="", told_at=now)
            ):
                notify(alert, "opened", now)
                told += 1
    return told


def _hold_back(alert: Alert, silences: Silences, now: datetime) -> str:
    """Why nobody is told, in a word or two; empty when somebody is. ``alert`` may not be stored yet."""
    rule = alert.rule
    if alert.environment_id is not None and silences.cover(alert.environment_id, alert.subject, now):
        return MAINTENANCE
    if not is_in_hours(rule, now) and rule.rota_id is None:
        return "outside hours"
    before = (
        Alert.objects.filter(rule=rule, environment=alert.environment_id, subject=alert.subject)
        .exclude(pk=alert.pk)
        .order_by()
        .aggregate(
            flaps=Count("pk", filter=Q(opened_at__gt=now - timedelta(seconds=FLAP_SECONDS))),
            told=Count("pk", filter=Q(told_at__gt=now - timedelta(minutes=rule.cooldown_minutes))),
        )
    )
    if before["flaps"] >= FLAP_LIMIT:
        return "flapping"
    return "cool-down" if rule.cooldown_minutes and before["told"] else ""


def _escalate(alert: Alert, now: datetime) -> int:
    rule = alert.rule
    if not rule.escalate_minutes or rule.escalate_to is None or not rule.escalate_to.is_enabled:
        return 0
    if alert.escalated_at is not None or now - _told_at(alert) < timedelta(minutes=rule.escalate_minutes):
        return 0
    with transaction.atomic():
        if Alert.objects.filter(pk=alert.pk, escalated_at__isnull=True).update(escalated_at=now) != 1:
            return 0
        notify(alert, "escalated", now, [rule.escalate_to])
    return 1


def _remind(alert: Alert, now: datetime) -> int:
    minutes = alert.rule.remind_minutes
    last = alert.reminded_at or _told_at(alert)
    if not minutes or now - last < timedelta(minutes=minutes):
        return 0
    if not is_in_hours(alert.rule, now) and alert.rule.rota_id is None:
        return 0
    with transaction.atomic():
        same = Q(reminded_at__isnull=True) if alert.reminded_at is None else Q(reminded_at=alert.reminded_at)
        if Alert.objects.filter(same, pk=alert.pk).update(reminded_at=now) != 1:
            return 0
        notify(alert, "reminder", now)
    return 1


def _told_at(alert: Alert) -> datetime:
    return alert.told_at or alert.opened_at
