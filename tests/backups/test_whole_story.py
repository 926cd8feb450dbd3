"""From a schedule to an undo, through the pages: what an operator goes through on the worst day of the year."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backups import storage, tasks
from backups.models import Backup, BackupSchedule, Restore, State, Trigger
from portal.models import AuditEvent
from readiness.models import Database
from tests.backups.conftest import list_databases, list_files
from tests.conftest import Server


@pytest.fixture
def kept_ones_go(server: Server) -> Iterator[None]:
    yield
    for name in list_databases(server):
        if name.startswith("preflight_kept_"):
            with server.connect() as other:
                other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            server.drop_database(name)


def count_orders(server: Server, name: str = "shop") -> int:
    with server.connect(name) as connection:
        row = connection.execute("SELECT count(*) FROM orders").fetchone()
    return int(row[0]) if row else -1


def test_schedule_damage_retention_restore_replace_and_undo(
    database: Database,
    server: Server,
    otto: User,
    ada: User,
    sign_in: Callable[[User], Client],
    kept_ones_go: None,
) -> None:
    ottos, adas = sign_in(otto), sign_in(ada)
    slug = database.environment.slug

    # A schedule, and three backups that it takes by itself.
    fields = {"database": database.pk, "cron": "30 * * * *", "time_zone": "Europe/Berlin", "is_enabled": "on"}
    ottos.post(reverse("add_schedule", args=[slug]), fields)
    schedule = BackupSchedule.objects.get()
    for hour in (1, 2, 3):
        with time_machine.travel(timezone.now() + timedelta(hours=hour), tick=True):
            assert tasks.tick() == 1
        assert tasks.take_backup(Backup.objects.get(state=State.QUEUED).pk) == "proven"
    first, second, third = Backup.objects.filter(trigger=Trigger.SCHEDULE).order_by("pk")

    # One of them rots on the disk; a reading finds it, and nobody can restore it.
    path = storage.artifact_path(second.artifact)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    ottos.post(reverse("verify_backup", args=[second.pk]))
    verification = second.verifications.get(state=State.QUEUED)
    assert tasks.verify_backup(verification.pk) == "fail"
    second.refresh_from_db()
    assert second.status == "damaged"
    confirmed = {"into": database.pk, "confirmation": "Shop production"}
    refused = ottos.post(reverse("request_restore", args=[second.pk]), {**confirmed, "target": "shop_copy"})
    assert (refused.status_code, "is damaged" in refused.content.decode()) == (400, True)

    # What would go, before anything goes.
    keep = reverse("schedule_retention", args=[slug, schedule.pk])
    preview = ottos.post(keep, {"keep_last": 1}).content.decode()
    assert reverse("backup", args=[first.pk]) in preview
    assert Backup.objects.count() == 3
    ottos.post(keep, {"keep_last": 1, "save": ""})
    assert tasks.tend() == 2
    assert list(Backup.objects.all()) == [third]
    assert {name.partition("-main-")[2].partition("-")[0] for name in list_files(path.parent)} == {str(third.pk)}

    # The accident, and the data of production in a new database.
    with server.connect("shop") as other:
        other.execute("DELETE FROM orders WHERE id > 10")
    server.drop_database("shop_copy")
    server.made.append("shop_copy")
    ottos.post(reverse("request_restore", args=[third.pk]), {**confirmed, "target": "shop_copy"})
    assert tasks.restore_backup(Restore.objects.get().pk) == State.DONE
    assert (count_orders(server, "shop_copy"), count_orders(server)) == (5000, 10)

    # The database in use is replaced once a second operator agrees, and comes back with undo.
    ottos.post(reverse("replace_by_backup", args=[third.pk]), confirmed)
    replace = Restore.objects.get(mode=Restore.Mode.REPLACE)
    assert replace.is_waiting
    ottos.post(reverse("approve_restore", args=[replace.pk]))
    replace.refresh_from_db()
    assert replace.is_waiting
    adas.post(reverse("approve_restore", args=[replace.pk]))
    assert tasks.restore_backup(replace.pk) == State.DONE
    assert count_orders(server) == 5000
    replace.refresh_from_db()
    assert (replace.approved_by_name, replace.can_be_undone) == ("ada", True)
    assert replace.safety_backup is not None
    assert replace.safety_backup.tables["public.orders"] == 10
    ottos.post(reverse("undo_restore", args=[replace.pk]), {"confirmation": "Shop production"})
    assert tasks.restore_backup(Restore.objects.get(mode=Restore.Mode.UNDO).pk) == State.DONE
    assert count_orders(server) == 10

    told = list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))
    for action in ("scheduled backups of", "let expire", "approved a restore of", "restored", "undid"):
        assert action in told
