"""Opens, resolves and follows up alerts; the only writer of Alert rows and of Notification rows that wait."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from readiness.maintenance import load_windows
from readiness.models import Alert, AlertRule, Channel, Environment, Notification, ProbeSchedule
from readiness.probes.maintenance import is_covered

FLAP_SECONDS = 600
MAINTENANCE, OUTSIDE_HOURS = "maintenance", "outside hours"
FLAP_LIMIT = 4


def open_alert(
    rule: AlertRule,
    environment: Environment,
    subject: str,
    title: str,
    now: datetime,
    facts: dict[str, Any] | None = None,
) -> Alert | None:
    """Opens an alert unless it is open already, and writes whom to tell; None when it was open.

    Call it in the transaction that claims what it is about: both are there, or neither.
    """
    with transaction.atomic():
        if Alert.objects.filter(rule=rule, environment=environment, subject=subject, resolved_at__isnull=True).exists():
            return None
        why = _hold_back(rule, environment, subject, now)
        alert = Alert(
            rule=rule,
            environment=environment,
            subject=subject,
            title=title[:300],
            facts=facts or {},
            opened_at=now,
            held_back=why,
        )
        # Two workers may get here at once; the constraint lets one pass.
        Alert.objects.bulk_create([alert], ignore_conflicts=True)
        made = Alert.objects.filter(
            rule=rule, environment=environment, subject=subject, resolved_at__isnull=True, opened_at=now
        ).first()
        if made is None:
            return None
        if not why:
            notify(made, "opened", now)
        return made


def resolve_alert(rule: AlertRule, environment: Environment, subject: str, now: datetime) -> bool:
    """Ends the open alert, if there is one, and tells whoever was told of it; whether there was one."""
    with transaction.atomic():
        alert = Alert.objects.filter(
            rule=rule, environment=environment, subject=subject, resolved_at__isnull=True
        ).first()
        if alert is None:
            return False
        if Alert.objects.filter(pk=alert.pk, resolved_at__isnull=True).update(resolved_at=now) != 1:
            return False
        if not alert.held_back and not is_muted(environment, subject, now):
            notify(alert, "resolved", now)
        return True


def notify(alert: Alert, reason: str, now: datetime, channels: list[Channel] | None = None) -> None:
    """Writes one waiting notification for each enabled channel of the rule, or for ``channels``."""
    rule = alert.rule
    receivers = channels if channels is not None else list(rule.channels.filter(is_enabled=True))
    Notification.objects.bulk_create(
        [
            Notification(
                alert=alert,
                channel=channel,
                reason=reason,
                key=make_key(alert, channel, reason, now),
                due_at=now + timedelta(seconds=rule.group_seconds),
            )
            for channel in receivers
        ],
        ignore_conflicts=True,
    )


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
    """Speaks up after a quiet time, escalates and reminds; returns how many messages it wrote."""
    return _speak_up(now) + _insist(now)


def _speak_up(now: datetime) -> int:
    """An outage that began under maintenance, muted or at night, and goes on after it, is news then."""
    held = Alert.objects.filter(resolved_at__isnull=True, held_back__in=(MAINTENANCE, OUTSIDE_HOURS))
    written = 0
    for alert in held.filter(rule__is_enabled=True).select_related("rule", "environment"):
        is_quiet = alert.environment is not None and is_muted(alert.environment, alert.subject, now)
        if is_quiet or not is_in_hours(alert.rule, now):
            continue
        with transaction.atomic():
            mine = Alert.objects.filter(pk=alert.pk, held_back=alert.held_back, resolved_at__isnull=True)
            if mine.update(held_back="") == 1:
                notify(alert, "opened", now)
                written += 1
    return written


def _insist(now: datetime) -> int:
    """Escalates and reminds about what is open and nobody has acknowledged."""
    waiting = (
        Alert.objects.filter(
            resolved_at__isnull=True, acknowledged_at__isnull=True, held_back="", rule__is_enabled=True
        )
        .filter(Q(rule__escalate_minutes__gt=0) | Q(rule__remind_minutes__gt=0))
        .select_related("rule__escalate_to", "environment")
    )
    written = 0
    for alert in waiting:
        if alert.environment is not None and is_muted(alert.environment, alert.subject, now):
            continue
        written += _escalate(alert, now) + _remind(alert, now)
    return written


def is_muted(environment: Environment, subject: str, now: datetime) -> bool:
    """Whether maintenance is on, or somebody has muted the kind of probe that ``subject`` is about."""
    kind = subject.removeprefix("probe:") if subject.startswith("probe:") else ""
    if is_covered(load_windows(), environment.pk, kind, now):
        return True
    muted = ProbeSchedule.objects.filter(environment=environment, kind=kind, muted_until__gt=now)
    return bool(kind) and muted.exists()


def is_in_hours(rule: AlertRule, now: datetime) -> bool:
    """Whether the rule's schedule lets it speak now, in the portal's time zone."""
    local = timezone.localtime(now)
    return rule.schedule == AlertRule.Schedule.ALWAYS or (local.weekday() < 5 and 8 <= local.hour < 18)


def _hold_back(rule: AlertRule, environment: Environment, subject: str, now: datetime) -> str:
    """Why nobody is told, in a word or two; empty when somebody is."""
    if is_muted(environment, subject, now):
        return MAINTENANCE
    if not is_in_hours(rule, now):
        return OUTSIDE_HOURS
    before = Alert.objects.filter(rule=rule, environment=environment, subject=subject)
    if before.filter(opened_at__gt=now - timedelta(seconds=FLAP_SECONDS)).count() >= FLAP_LIMIT:
        return "flapping"
    cooling = before.filter(held_back="", opened_at__gt=now - timedelta(minutes=rule.cooldown_minutes))
    return "cool-down" if rule.cooldown_minutes and cooling.exists() else ""


def _escalate(alert: Alert, now: datetime) -> int:
    rule = alert.rule
    if not rule.escalate_minutes or rule.escalate_to is None or not rule.escalate_to.is_enabled:
        return 0
    if alert.escalated_at is not None or now - alert.opened_at < timedelta(minutes=rule.escalate_minutes):
        return 0
    with transaction.atomic():
        if Alert.objects.filter(pk=alert.pk, escalated_at__isnull=True).update(escalated_at=now) != 1:
            return 0
        notify(alert, "escalated", now, [rule.escalate_to])
    return 1


def _remind(alert: Alert, now: datetime) -> int:
    minutes = alert.rule.remind_minutes
    last = alert.reminded_at or alert.opened_at
    if not minutes or now - last < timedelta(minutes=minutes) or not is_in_hours(alert.rule, now):
        return 0
    with transaction.atomic():
        same = Q(reminded_at__isnull=True) if alert.reminded_at is None else Q(reminded_at=alert.reminded_at)
        if Alert.objects.filter(same, pk=alert.pk).update(reminded_at=now) != 1:
            return 0
        notify(alert, "reminder", now)
    return 1
