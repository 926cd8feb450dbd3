"""Replacing the database in use: all or nothing, the old one kept, undone by one step, approved by a second person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from backups import catalogue, preflight, reaper, restore_requests, restores, servers, swapping, tasks
from backups.errors import ErrorCode, RequestError
from backups.models import Backup, Restore, State
from backups.snapshot import hold_snapshot
from portal.models import AuditEvent
from readiness.models import Database, Environment
from tests.backups.conftest import list_databases
from tests.conftest import Server


@pytest.fixture(autouse=True)
def _nothing_is_left(server: Server) -> object:
    yield
    for name in list_databases(server):
        if name.startswith("preflight_"):
            with server.connect() as other:
                other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            server.drop_database(name)


def replace(backup: Backup, **options: object) -> Restore:
    request = restore_requests.request_restore(
        backup,
        "shop",
        mode="replace",
        break_glass_reason="3 a.m.",
        **options,  # type: ignore[arg-type]
    )
    done = restores.restore(request.pk)
    assert done is not None
    return done


def undo(restore: Restore) -> Restore:
    done = restores.restore(restore_requests.request_undo(restore).pk)
    assert done is not None
    return done


def count_orders(server: Server) -> int:
    with server.connect("shop") as other:
        row = other.execute("SELECT count(*) FROM orders").fetchone()
    assert row is not None
    return int(row[0])


def test_it_replaces_keeps_and_undoes_with_sessions_connected(
    backup: Backup, server: Server, ada: User, django_capture_on_commit_callbacks: Any
) -> None:
    with server.connect("shop") as other:
        other.execute("DELETE FROM orders WHERE id > 10")
    with server.connect() as other:
        other.execute("DROP ROLE IF EXISTS keeper")
        other.execute("CREATE ROLE keeper")
        other.execute("ALTER DATABASE shop OWNER TO keeper")
        other.execute("REVOKE CONNECT ON DATABASE shop FROM PUBLIC")
        other.execute('ALTER DATABASE shop SET search_path TO log, "$user", public')
        other.execute("ALTER ROLE keeper IN DATABASE shop SET work_mem = '7MB'")
        other.execute("ALTER DATABASE shop CONNECTION LIMIT 77")
        other.execute("COMMENT ON DATABASE shop IS 'The shop''s own'")
    query = (
        "SELECT pg_get_userbyid(datdba), datconnlimit, shobj_description(oid, 'pg_database'), datallowconn,"
        " has_database_privilege('pg_monitor', datname, 'CONNECT'),"
        " (SELECT array_agg(setconfig ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = oid)"
        " FROM pg_database WHERE datname = 'shop'"
    )
    try:
        with server.connect() as other:
            before = other.execute(query).fetchone()
        with server.connect("shop") as connected:
            with django_capture_on_commit_callbacks(execute=True):
                restore = replace(backup)
            assert (restore.state, restore.error) == (State.DONE, "")
            with pytest.raises(psycopg.OperationalError):
                connected.execute("SELECT 1")
        with server.connect() as other:
            assert other.execute(query).fetchone() == before
        assert count_orders(server) == 5000
        assert restore.safety_backup is not None
        assert restore.safety_backup.tables["public.orders"] == 10
        assert restore.kept_until is not None
        assert restore.kept_until > timezone.now() + timedelta(days=6)
        with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
            server.connect(restore.kept_database)
        assert [message.to for message in mail.outbox] == [["ada@example.org"]]
        assert "3 a.m." in mail.outbox[0].body
        assert AuditEvent.objects.filter(action="broke the glass for a restore of", detail__reason="3 a.m.").exists()

        undone = undo(restore)
        assert (undone.state, undone.error) == (State.DONE, "")
        assert count_orders(server) == 10
        with server.connect() as other:
            assert other.execute(query).fetchone() == before
        restore.refresh_from_db()
        assert not restore.can_be_undone
        redone = undo(undone)
        assert (redone.state, count_orders(server)) == (State.DONE, 5000)
    finally:
        with server.connect() as other:
            other.execute("ALTER DATABASE shop OWNER TO CURRENT_USER")
            for name in list_databases(server):
                if name.startswith("preflight_kept"):
                    other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
                    other.execute(f"DROP DATABASE {name}")
        server.drop_database("shop")
        with server.connect() as other:
            other.execute("DROP ROLE keeper")


def test_it_replaces_nothing_when_the_backup_is_not_what_it_was(backup: Backup, server: Server) -> None:
    before = list_databases(server)
    Backup.objects.filter(pk=backup.pk).update(tables={**backup.tables, "public.orders": 4999})
    restore = replace(backup, skips_safety_backup=True)
    assert (restore.error_code, restore.kept_database) == (ErrorCode.NOT_EQUAL, "")
    assert (list_databases(server), count_orders(server)) == (before, 5000)


def test_it_brings_back_a_database_that_was_dropped(backup: Backup, server: Server) -> None:
    server.drop_database("shop")
    restore = replace(backup)
    assert (restore.state, restore.error, restore.kept_database) == (State.DONE, "", "")
    assert count_orders(server) == 5000


def test_it_replaces_nothing_when_the_safety_backup_fails(backup: Backup, server: Server) -> None:
    held = servers.own_server(backup.database)
    before = list_databases(server)
    with hold_snapshot(held, "another portal"):
        restore = replace(backup)
    assert restore.state == State.FAILED
    assert "safety backup failed, and nothing was replaced" in restore.error
    # It passes by itself: nobody is told to go without a safety backup.
    assert restore.error_code == ErrorCode.BUSY
    assert "without a safety backup" not in restore.error
    assert list_databases(server) == before


def test_it_refuses_what_a_swap_would_break(backup: Backup, server: Server) -> None:
    with server.connect("shop") as other:
        other.execute("CREATE SUBSCRIPTION feed CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false)")
    try:
        restore = replace(backup)
        assert restore.error_code == ErrorCode.PERMISSION
        assert "has the subscription feed" in restore.error
        found = preflight.look_at_replace(backup, None)
        assert "has the subscription feed" in found.objections[0]
    finally:
        with server.connect("shop") as other:
            other.execute("ALTER SUBSCRIPTION feed SET (slot_name = NONE)")
            other.execute("DROP SUBSCRIPTION feed")


def test_it_says_step_by_step_what_will_happen(backup: Backup, server: Server) -> None:
    with server.connect("shop", application_name="the shop"):
        found = preflight.look_at_replace(backup, None)
    assert found.is_possible
    assert any("will be ended: the shop" in warning for warning in found.warnings)
    commands = [step.command for step in found.steps if step.command]
    assert commands[-2].startswith("BEGIN; ALTER DATABASE shop RENAME TO preflight_kept_N;")
    assert count_orders(server) == 5000


def make_swap(server: Server, restore: Restore) -> swapping.Swap:
    """As if a restore had come as far as its note: the databases are there, the row knows them."""
    server.create_database("preflight_restoring_1_0123abcd", "CREATE TABLE orders (id int)")
    admin = servers.find_maintenance(servers.server_of_restore(restore), "test")
    live, incoming = (swapping.read_live_facts(admin, name, "t") for name in ("shop", "preflight_restoring_1_0123abcd"))
    assert live is not None
    assert incoming is not None
    swap = swapping.Swap("shop", "preflight_restoring_1_0123abcd", "preflight_kept_1_0123abcd", live.oid, incoming.oid)
    catalogue.note_scratch(restore, "own", swap.incoming)
    catalogue.note_swap(restore, swap.as_json_object())
    Restore.objects.filter(pk=restore.pk).update(worker={**restore.worker, "start_time": "1"})
    return swap


@pytest.fixture
def claimed(backup: Backup) -> Restore:
    request = restore_requests.request_restore(backup, "shop", mode="replace", break_glass_reason="test")
    claimed = catalogue.claim(Restore, request.pk)
    assert claimed is not None
    return claimed


def test_it_reopens_a_database_that_a_crash_left_closed(claimed: Restore, server: Server) -> None:
    swap = make_swap(server, claimed)
    with server.connect() as other:
        other.execute("ALTER DATABASE shop ALLOW_CONNECTIONS false")
    reaper.reap()
    claimed.refresh_from_db()
    assert (claimed.state, claimed.is_swept, claimed.kept_database) == (State.FAILED, True, "")
    assert count_orders(server) == 5000
    assert not server.has_database(swap.incoming)


def test_it_does_not_open_what_somebody_else_closed(claimed: Restore, server: Server) -> None:
    make_swap(server, claimed)
    server.create_database("shop")
    with server.connect() as other:
        other.execute("ALTER DATABASE shop ALLOW_CONNECTIONS false")
    reaper.reap()
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        server.connect("shop")


def test_it_knows_that_a_swap_took_place_though_its_worker_died(claimed: Restore, server: Server) -> None:
    swap = make_swap(server, claimed)
    admin = servers.find_maintenance(servers.server_of_restore(claimed), "test")
    facts = swapping.read_live_facts(admin, "shop", "test")
    assert facts is not None
    swapping.swap(admin, swap, facts, "test", copies=True)
    reaper.reap()
    claimed.refresh_from_db()
    assert (claimed.state, claimed.error, claimed.kept_database) == (State.DONE, "", swap.kept)
    assert undo(claimed).state == State.DONE
    assert count_orders(server) == 5000


def test_it_drops_what_was_kept_when_its_time_is_over_and_not_what_was_opened(backup: Backup, server: Server) -> None:
    restore = replace(backup, skips_safety_backup=True)
    assert reaper.drop_kept_databases(timezone.now()) == 0
    later = timezone.now() + timedelta(days=8)
    with server.connect() as other:
        other.execute(f"ALTER DATABASE {restore.kept_database} ALLOW_CONNECTIONS true")
    assert reaper.drop_kept_databases(later) == 0
    with server.connect() as other:
        other.execute(f"ALTER DATABASE {restore.kept_database} ALLOW_CONNECTIONS false")
    assert reaper.drop_kept_databases(later) == 1
    assert not server.has_database(restore.kept_database)
    restore.refresh_from_db()
    with pytest.raises(RequestError, match="cannot be undone"):
        restore_requests.request_undo(restore)


def test_it_waits_for_a_second_operator(backup: Backup, otto: User, ada: User) -> None:
    waiting = restore_requests.request_restore(backup, "shop", mode="replace", actor=otto)
    assert waiting.is_waiting
    assert restores.restore(waiting.pk) is None
    with pytest.raises(RequestError, match="second operator"):
        restore_requests.approve(waiting, otto)
    restore_requests.approve(waiting, ada)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.approved_by_name) == (State.QUEUED, "ada")
    with pytest.raises(RequestError, match="does not wait"):
        restore_requests.approve(waiting, ada)
    done = restores.restore(waiting.pk)
    assert done is not None
    assert (done.state, done.error) == (State.DONE, "")


def test_it_forgets_a_request_that_nobody_approved_within_an_hour(backup: Backup, otto: User, ada: User) -> None:
    waiting = restore_requests.request_restore(backup, "shop", mode="replace", actor=otto)
    assert restore_requests.expire_waiting(timezone.now() + timedelta(minutes=59)) == 0
    Restore.objects.update(approval_expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(RequestError, match="does not wait"):
        restore_requests.approve(waiting, ada)
    assert restore_requests.expire_waiting(timezone.now()) == 1
    waiting.refresh_from_db()
    assert (waiting.state, waiting.error[:6]) == (State.CANCELLED, "Nobody")


@pytest.fixture
def staging(database: Database, server: Server) -> Database:
    environment = Environment.objects.create(name="Shop staging", slug="shop-staging", kind="staging")
    return Database.objects.create(environment=environment, name="main", dsn=server.create_database("staging"))


def test_it_masks_before_anybody_can_connect(backup: Backup, staging: Database, server: Server) -> None:
    server.drop_database("masked")
    server.made.append("masked")
    script = (
        "SELECT pg_catalog.set_config('test.open', has_database_privilege('pg_monitor', current_database(), 'CONNECT')"
        "::text, false); UPDATE customers SET name = 'x' || current_setting('test.open');"
    )
    request = restore_requests.request_restore(backup, "masked", into=staging, masking_sql=script)
    assert request.state == State.QUEUED
    restore = restores.restore(request.pk)
    assert restore is not None
    assert (restore.state, restore.error) == (State.DONE, "")
    with server.connect("masked") as other:
        assert other.execute("SELECT DISTINCT name FROM customers").fetchall() == [("xfalse",)]
        row = other.execute("SELECT has_database_privilege('pg_monitor', 'masked', 'CONNECT')").fetchone()
    assert row == (True,)


def test_it_keeps_nothing_when_the_masking_script_fails(backup: Backup, staging: Database, server: Server) -> None:
    before = list_databases(server)
    request = restore_requests.request_restore(backup, "masked", into=staging, masking_sql="UPDATE gone SET a = 1")
    restore = restores.restore(request.pk)
    assert restore is not None
    assert restore.state == State.FAILED
    assert "masking script failed, and nothing was kept" in restore.error
    assert 'relation "gone" does not exist' in restore.error
    assert list_databases(server) == before


def test_it_lets_no_production_data_out_unmasked_without_approval(backup: Backup, staging: Database) -> None:
    assert restore_requests.request_restore(backup, "raw", into=staging).is_waiting


def test_it_shows_replaces_waits_approves_and_undoes_in_the_browser(
    backup: Backup, server: Server, otto: User, ada: User, sign_in: Any, django_capture_on_commit_callbacks: Any
) -> None:
    ottos, adas = sign_in(otto), sign_in(ada)
    address = reverse("replace_by_backup", args=[backup.pk])
    page = ottos.get(address).content.decode()
    assert "ALTER DATABASE shop ALLOW_CONNECTIONS false" in page
    typed = {"into": backup.database_id, "confirmation": "Shop"}
    assert ottos.post(address, typed).status_code == 400
    assert not Restore.objects.exists()
    assert ottos.post(address, {**typed, "confirmation": "Shop production"}).status_code == 302
    restore = Restore.objects.get()
    assert restore.is_waiting
    assert "second operator" in ottos.get(reverse("restore", args=[restore.pk])).content.decode()
    ottos.post(reverse("approve_restore", args=[restore.pk]))
    restore.refresh_from_db()
    assert restore.is_waiting
    with django_capture_on_commit_callbacks(execute=True):
        adas.post(reverse("approve_restore", args=[restore.pk]))
    tasks.restore_backup(restore.pk)
    restore.refresh_from_db()
    assert (restore.state, restore.error) == (State.DONE, "")
    assert restore.kept_database in ottos.get(reverse("restore", args=[restore.pk])).content.decode()
    ottos.post(reverse("undo_restore", args=[restore.pk]), {"confirmation": "no"})
    assert not Restore.objects.filter(mode="undo").exists()
    ottos.post(reverse("undo_restore", args=[restore.pk]), {"confirmation": "Shop production"})
    assert tasks.restore_backup(Restore.objects.get(mode="undo").pk) == State.DONE
