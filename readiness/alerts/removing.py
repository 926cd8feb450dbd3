"""Takes channels, rules and rotas away so that the history of what they sent stays; writes their rows."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from readiness.models import Alert, AlertRule, Channel, Notification, OnCallTurn


def remove_channel(channel: Channel, now: datetime) -> None:
    """Forgets where the channel led and frees its name; what waits for it is not sent any more."""
    with transaction.atomic():
        # Rules, rotas and escalations let go of it; the row stays for the history.
        channel.rules.clear()
        OnCallTurn.objects.filter(channel=channel).delete()
        AlertRule.objects.filter(escalate_to=channel).update(escalate_to=None)
        channel.name, channel.address = f"{channel.name[:50]} (removed, {channel.pk})", ""
        channel.is_enabled, channel.removed_at = False, now
        channel.save()
        _drop(Notification.objects.filter(channel=channel))


def remove_rule(rule: AlertRule, now: datetime) -> None:
    """Ends what the rule has opened; nobody is told, for nothing became well."""
    with transaction.atomic():
        AlertRule.objects.filter(pk=rule.pk).update(removed_at=now, is_enabled=False)
        Alert.objects.filter(rule=rule, resolved_at__isnull=True).update(resolved_at=now)
        _drop(Notification.objects.filter(alert__rule=rule))


def _drop(notifications: QuerySet[Notification]) -> None:
    notifications.filter(state=Notification.State.PENDING).update(state=Notification.State.DROPPED)
