"""Ticks of before become what they are worth, on a database that has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

BEFORE = [("readiness", "0004_trackers")]
AFTER = [("readiness", "0005_contract")]
STATES = {
    "local_run": ("verified", "lea"),
    "backup_strategy": ("submitted", "lea"),
    "postgresql.database_url": ("submitted", "lea"),
    "testing.login": ("todo", ""),
    "https.certificates": ("todo", ""),
    "documentation": ("todo", ""),
}
UNTICKED = {"https.certificates", "documentation"}


def migrate(targets: list[tuple[str, str]]) -> Any:
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return MigrationExecutor(connection).loader.project_state(targets).apps


@pytest.fixture
def old_apps(transactional_db: None) -> Iterator[Any]:
    yield migrate(BEFORE)
    migrate([(app, name) for app, name in MigrationExecutor(connection).loader.graph.leaf_nodes()])


def test_ticks_become_states(old_apps: Any) -> None:
    at = timezone.now()
    user = old_apps.get_model("auth", "User").objects.create(username="lea")
    shop = old_apps.get_model("readiness", "Environment").objects.create(name="Shop", slug="shop")
    for key in STATES:
        is_ticked = key not in UNTICKED
        fields = {"is_ticked": True, "changed_at": at, "changed_by": user} if is_ticked else {}
        old_apps.get_model("readiness", "ItemState").objects.create(environment=shop, key=key, **fields)
    old_apps.get_model("readiness", "ItemEvent").objects.create(
        environment=shop, key="local_run", kind="tick", actor=user, actor_name="lea", at=at
    )
    old_apps.get_model("readiness", "AlertRule").objects.filter(kind="waiver_ending").delete()

    apps = migrate(AFTER)

    rows = apps.get_model("readiness", "ItemState").objects.values_list("key", "state", "submitter_name")
    assert {key: (state, name) for key, state, name in rows} == STATES
    events = apps.get_model("readiness", "ItemEvent").objects
    assert set(events.values_list("environment_slug", "environment_name")) == {("shop", "Shop")}
    assert {event.key: (event.kind, event.to_state) for event in events.exclude(kind="tick")} == {
        "local_run": ("verify", "verified"),
        "backup_strategy": ("submit", "submitted"),
        "postgresql.database_url": ("submit", "submitted"),
        "testing.login": ("reopen", "todo"),
    }
    assert events.get(kind="tick").actor_name == "lea"
    assert apps.get_model("readiness", "AlertRule").objects.filter(kind="waiver_ending").count() == 1
    with connection.cursor() as cursor, pytest.raises(Exception, match="append-only"):
        cursor.execute("DELETE FROM readiness_itemevent")
