"""Restores into a new database: whole under the wanted name, or not there at all."""

from __future__ import annotations

import pytest

from backups import restore_requests, restores, storage
from backups.errors import ErrorCode, RequestError
from backups.models import Backup, Restore, State
from portal.models import AuditEvent
from readiness.models import Database
from tests.backups.conftest import list_databases, run_verify, take
from tests.conftest import Server


def run_restore(backup: Backup, target: str) -> Restore:
    restored = restores.restore(restore_requests.request_restore(backup, target).pk)
    assert restored is not None
    return restored


def test_it_restores_everything_into_a_new_database(backup: Backup, server: Server) -> None:
    server.drop_database("shop_back")
    server.made.append("shop_back")
    with server.connect("shop") as other:
        other.execute("DELETE FROM log.events")
    restore = run_restore(backup, "shop_back")
    assert (restore.state, restore.error) == (State.DONE, "")
    assert restore.compared["different"] == []
    assert restore.duration_ms is not None
    with server.connect("shop_back") as restored, server.connect("shop") as original:
        query = "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o"
        assert restored.execute(query).fetchone() == original.execute(query).fetchone()
        assert restored.execute("SELECT count(*) FROM log.events").fetchone() == (100,)
        assert restored.execute("SELECT count(*) FROM pg_constraint WHERE contype = 'f'").fetchone() == (1,)
        assert restored.execute("SELECT count(*) FROM busy").fetchone() == (50,)
    assert AuditEvent.objects.filter(action="restored", subject__contains="shop_back").exists()
    assert not any(name.startswith("preflight_") for name in list_databases(server))


def test_it_never_touches_a_database_that_exists(backup: Backup, server: Server) -> None:
    before = list_databases(server)
    restore = run_restore(backup, "shop")
    assert (restore.state, restore.error_code) == (State.FAILED, ErrorCode.NAME_TAKEN)
    assert "already has a database shop" in restore.error
    assert list_databases(server) == before


def test_it_refuses_a_reserved_name_before_anything_is_done(backup: Backup) -> None:
    with pytest.raises(RequestError, match="template1"):
        restore_requests.request_restore(backup, "template1")
    assert not Restore.objects.exists()


def test_it_leaves_nothing_of_a_restore_that_differs(backup: Backup, server: Server) -> None:
    before = list_databases(server)
    Backup.objects.filter(pk=backup.pk).update(tables={**backup.tables, "public.orders": 1})
    restore = run_restore(backup, "shop_wrong")
    assert (restore.state, restore.error_code) == (State.FAILED, ErrorCode.NOT_EQUAL)
    assert "Table public.orders had 5,000 rows after the restore and had 1 row in the backup" in restore.error
    assert list_databases(server) == before


def test_it_leaves_nothing_of_a_restore_of_a_damaged_backup(backup: Backup, server: Server) -> None:
    before = list_databases(server)
    path = storage.artifact_path(backup.artifact)
    path.write_bytes(path.read_bytes()[:-100])
    restore = run_restore(backup, "shop_damaged")
    assert restore.error_code == ErrorCode.ARTIFACT_DAMAGED
    assert list_databases(server) == before


def test_it_refuses_a_backup_known_to_be_damaged(backup: Backup) -> None:
    storage.artifact_path(backup.artifact).unlink()
    run_verify(backup)
    with pytest.raises(RequestError, match="is damaged"):
        restore_requests.request_restore(backup, "shop_back")


def test_it_refuses_a_backup_whose_database_was_removed(backup: Backup, database: Database) -> None:
    database.delete()
    backup.refresh_from_db()
    assert (backup.database, backup.database_name) == (None, "main")
    with pytest.raises(RequestError, match="was removed"):
        restore_requests.request_restore(backup, "shop_back")


def test_it_keeps_owners_and_privileges(database: Database, server: Server) -> None:
    with server.connect("shop") as other:
        for role in ("shop_owner", "shop_guest"):
            other.execute(f"DROP ROLE IF EXISTS {role}")
            other.execute(f"CREATE ROLE {role}")
        other.execute("ALTER TABLE orders OWNER TO shop_owner")
        other.execute("GRANT SELECT ON customers TO shop_guest")
    server.drop_database("shop_owned")
    try:
        backup = take(database)
        assert set(backup.metadata["roles"]) == {"shop_owner", "shop_guest"}
        restore = run_restore(backup, "shop_owned")
        assert (restore.error, restore.compared["notes"]) == ("", [])
        with server.connect("shop_owned") as restored:
            owner = restored.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'orders'").fetchone()
            granted = restored.execute("SELECT has_table_privilege('shop_guest', 'customers', 'SELECT')").fetchone()
        assert (owner, granted) == (("shop_owner",), (True,))
    finally:
        for name in ("shop_owned", "shop"):
            server.drop_database(name)
        with server.connect() as other:
            other.execute("DROP ROLE shop_owner, shop_guest")


def test_it_restores_without_owners_where_a_role_is_gone_and_says_so(database: Database, server: Server) -> None:
    with server.connect("shop") as other:
        other.execute("DROP ROLE IF EXISTS leaver")
        other.execute("CREATE ROLE leaver")
        other.execute("GRANT SELECT ON customers TO leaver")
    backup = take(database)
    with server.connect("shop") as other:
        other.execute("DROP OWNED BY leaver")
        other.execute("DROP ROLE leaver")
    server.drop_database("shop_left")
    server.made.append("shop_left")
    restore = run_restore(backup, "shop_left")
    assert restore.state == State.DONE
    assert "lacks the role leaver" in restore.compared["notes"][0]


def test_it_restores_as_a_role_that_is_no_superuser(backup: Backup, database: Database, server: Server) -> None:
    with server.connect() as other:
        other.execute("DROP ROLE IF EXISTS builder")
        other.execute("CREATE ROLE builder LOGIN CREATEDB PASSWORD 'builds'")
    server.drop_database("shop_built")
    try:
        database.dsn = "postgresql://builder:builds@" + server.url("shop").rpartition("@")[2]
        database.save()
        restore = run_restore(backup, "shop_built")
        assert (restore.state, restore.error) == (State.DONE, "")
        assert "only a superuser" in restore.compared["notes"][0]
    finally:
        server.drop_database("shop_built")
        with server.connect() as other:
            other.execute("DROP ROLE builder")


def test_it_says_that_the_role_may_not_create_databases(backup: Backup, database: Database, server: Server) -> None:
    with server.connect() as other:
        other.execute("DROP ROLE IF EXISTS humble")
        other.execute("CREATE ROLE humble LOGIN PASSWORD 'humble'")
    try:
        database.dsn = "postgresql://humble:humble@" + server.url("shop").rpartition("@")[2]
        database.save()
        restore = run_restore(backup, "shop_back")
        assert restore.error_code == ErrorCode.NO_CREATEDB
        assert "ALTER ROLE humble CREATEDB" in restore.error
    finally:
        with server.connect() as other:
            other.execute("DROP ROLE humble")
