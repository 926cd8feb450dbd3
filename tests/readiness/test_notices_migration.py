"""Alerts and notifications of before stay what they were, on a database that has them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

BEFORE = [("readiness", "0009_decisions")]
AFTER = [("readiness", "0010_notices")]


def migrate(targets: list[tuple[str, str]]) -> Any:
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return MigrationExecutor(connection).loader.project_state(targets).apps


@pytest.fixture
def old_apps(transactional_db: None) -> Iterator[Any]:
    yield migrate(BEFORE)
    migrate([(app, name) for app, name in MigrationExecutor(connection).loader.graph.leaf_nodes()])


def test_what_was_told_stays_told(old_apps: Any) -> None:
    at = timezone.now() - timedelta(hours=1)
    shop = old_apps.get_model("readiness", "Environment").objects.create(name="Shop", slug="shop")
    rules = old_apps.get_model("readiness", "AlertRule").objects
    rules.filter(kind__in=["backup_late", "wal_lag", "events_dropped"]).delete()
    rule = rules.create(name="ours", kind="probe_down")
    gate = rules.create(name="gate", kind="gate_fell")
    channel = old_apps.get_model("readiness", "Channel").objects.create(name="ops", address="ops@example.org")
    alerts = old_apps.get_model("readiness", "Alert").objects
    told = alerts.create(rule=rule, environment=shop, subject="probe:http", title="x", opened_at=at)
    held = alerts.create(
        rule=rule, environment=shop, subject="probe:tls", title="x", opened_at=at, held_back="maintenance"
    )
    fallen = alerts.create(rule=gate, environment=shop, subject="gate", title="NO-GO", opened_at=at)
    old_apps.get_model("readiness", "Notification").objects.create(
        alert=told, channel=channel, reason="opened", key="k", due_at=at
    )
    old_apps.get_model("readiness", "GateSeen").objects.create(environment=shop, is_go=True, seen_at=at)

    apps = migrate(AFTER)

    alert = apps.get_model("readiness", "Alert").objects
    assert (alert.get(pk=told.pk).told_at, alert.get(pk=held.pk).told_at) == (at, None)
    assert alert.get(pk=fallen.pk).resolved_at is not None
    assert apps.get_model("readiness", "Notification").objects.get().channel_id == channel.pk
    assert not apps.get_model("readiness", "GateSeen").objects.exists()
    kinds = set(apps.get_model("readiness", "AlertRule").objects.values_list("kind", flat=True))
    assert {"backup_late", "wal_lag", "events_dropped", "waiver_ending"} <= kinds
