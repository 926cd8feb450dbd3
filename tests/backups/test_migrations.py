"""Migrations run on a database that has rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

BEFORE = [("backups", "0002_restores_that_replace_and_retention")]


@pytest.fixture
def executor(transactional_db: None) -> Iterator[MigrationExecutor]:
    executor = MigrationExecutor(connection)
    newest = [key for key in executor.loader.graph.leaf_nodes() if key[0] == "backups"]
    yield executor
    MigrationExecutor(connection).migrate(newest)


def test_it_notes_a_local_copy_of_every_backup_that_is_there(executor: MigrationExecutor) -> None:
    executor.migrate(BEFORE)
    old = executor.loader.project_state(BEFORE).apps.get_model("backups", "Backup")
    done = old.objects.create(state="done", artifact="a", database_name="main", trigger="schedule")
    failed = old.objects.create(state="failed", artifact="b", database_name="main")

    after = [("backups", "0003_stores_and_schedules")]
    executor = MigrationExecutor(connection)
    executor.migrate(after)

    apps = executor.loader.project_state(after).apps
    copies = apps.get_model("backups", "BackupCopy").objects.all()
    assert [(copy.backup_id, copy.store, copy.state) for copy in copies] == [(done.pk, "local", "done")]
    new = apps.get_model("backups", "Backup").objects
    assert new.get(pk=failed.pk).stores == ["local"]
    new.all().delete()
