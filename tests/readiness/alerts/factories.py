"""Makes rules, channels and status changes for the tests of alerts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from readiness.models import AlertRule, Channel, Environment, StatusChange


def make_channel(address: str, kind: str = "webhook", **fields: Any) -> Channel:
    made = {"name": f"{kind} {Channel.objects.count()}", "kind": kind, "address": address}
    return Channel.objects.create(**{**made, **fields})


def make_rule(kind: str, *channels: Channel, **fields: Any) -> AlertRule:
    """The only rule there is, made an hour ago, without a cool-down unless told."""
    AlertRule.objects.exclude(name__startswith="test ").delete()
    made = {"name": f"test {kind}", "kind": kind, "cooldown_minutes": 0}
    rule = AlertRule.objects.create(**{**made, **fields})
    AlertRule.objects.filter(pk=rule.pk).update(created_at=timezone.now() - timedelta(hours=1))
    rule.refresh_from_db()
    rule.channels.set(channels)
    return rule


def make_change(environment: Environment, to: str, kind: str = "http", at: datetime | None = None) -> StatusChange:
    return StatusChange.objects.create(
        environment=environment,
        kind=kind,
        from_status="fail" if to == "pass" else "pass",
        to_status=to,
        summary=f"The site says {to}.",
        at=at or timezone.now(),
    )
