"""Single tables into a schema beside what is in use: whole, equal, harmless, or not there at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from pytest_django.fixtures import Settings

from backups import catalogue, preflight, reaper, restore_requests, restores, servers, side_schemas, tasks
from backups.errors import ErrorCode, RequestError
from backups.models import Backup, Restore, State
from backups.names import name_table, split_table
from readiness.models import Database, Environment
from tests.backups.conftest import list_databases, run_prove, take, take_sibling
from tests.backups.store_settings import use_stores
from tests.conftest import Server


@pytest.fixture(autouse=True)
def _one_operator_is_enough(settings: Settings) -> None:
    settings.RESTORE_NEEDS_APPROVAL = False


def request(backup: Backup, tables: Sequence[str], **options: object) -> Restore:
    return restore_requests.request_restore(
        backup,
        "shop",
        mode="side",
        side_schema=str(options.pop("schema", "back")),
        tables=tables,
        **options,  # type: ignore[arg-type]
    )


def bring(backup: Backup, *tables: str, **options: object) -> Restore:
    restored = restores.restore(request(backup, tables, **options).pk)
    assert restored is not None
    return restored


def has_schema(server: Server, name: str, database: str = "shop") -> bool:
    with server.connect(database) as other:
        return other.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [name]).fetchone() is not None


def test_it_brings_a_table_back_beside_the_one_in_use(backup: Backup, server: Server) -> None:
    before = list_databases(server)
    with server.connect("shop") as other:
        other.execute("DELETE FROM orders WHERE id > 10")
    restore = bring(backup, "public.orders")
    assert (restore.state, restore.error) == (State.DONE, "")
    assert restore.compared["tables"] == restore.compared["checksums"] == 1
    with server.connect("shop") as other:
        assert other.execute("SELECT count(*), max(id) FROM back.orders").fetchone() == (5000, 5000)
        assert other.execute("SELECT count(*) FROM public.orders").fetchone() == (10,)
        # It stands on its own: its sequence and key came along, its foreign key did not.
        other.execute("INSERT INTO back.orders (customer_id) VALUES (999)")
        kinds = other.execute(
            "SELECT string_agg(contype::text, '') FROM pg_constraint WHERE conrelid = 'back.orders'::regclass"
        ).fetchone()
        assert kinds == ("p",)
        assert other.execute("SELECT pg_get_serial_sequence('back.orders', 'id')").fetchone() == ("back.orders_id_seq",)
    assert list_databases(server) == before


def test_it_takes_whole_schemas_and_partitions(backup: Backup, server: Server) -> None:
    restore = bring(backup, "log.*", "public.customers")
    assert (restore.error, restore.chosen_tables) == ("", ["log.events_2026", "public.customers"])
    with server.connect("shop") as other:
        assert other.execute("SELECT count(*) FROM back.events_2026").fetchone() == (100,)
        assert other.execute("SELECT count(*) FROM log.events").fetchone() == (100,)


def test_it_leaves_what_acts_or_forbids_behind(database: Database, server: Server) -> None:
    with server.connect("shop") as other:
        other.execute("CREATE TYPE mood AS ENUM ('fine', 'bad')")
        other.execute("ALTER TABLE customers ADD mood mood DEFAULT 'fine'")
        other.execute("CREATE FUNCTION bark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'woof'; END $$")
        other.execute("CREATE TRIGGER barks BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION bark()")
        other.execute("ALTER TABLE customers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        other.execute("CREATE POLICY nobody ON customers USING (false)")
    restore = bring(take(database), "public.customers")
    assert restore.error == ""
    assert "triggers and policies were left out" in restore.compared["notes"][0]
    with server.connect("shop") as other:
        other.execute("INSERT INTO back.customers (name, mood) VALUES ('Ada', 'bad')")
        assert other.execute(
            "SELECT relrowsecurity FROM pg_class WHERE oid = 'back.customers'::regclass"
        ).fetchone() == (False,)


def test_it_never_touches_a_schema_that_exists(backup: Backup, server: Server) -> None:
    with server.connect("shop") as other:
        other.execute("CREATE SCHEMA back CREATE TABLE orders (mine int)")
    restore = bring(backup, "public.orders")
    assert (restore.state, restore.error_code) == (State.FAILED, ErrorCode.NAME_TAKEN)
    with server.connect("shop") as other:
        assert other.execute("SELECT count(*) FROM back.orders").fetchone() == (0,)


def test_it_brings_tables_into_another_environment_masked(backup: Backup, server: Server) -> None:
    server.create_database("lab")
    lab = Environment.objects.create(name="Lab", slug="lab", kind="staging")
    into = Database.objects.create(environment=lab, name="main", dsn=server.dsn("lab"))
    queued = restore_requests.request_restore(
        backup,
        "lab",
        into=into,
        mode="side",
        side_schema="back",
        tables=["public.customers"],
        masking_sql="UPDATE back.customers SET name = 'x'; DELETE FROM back.customers WHERE id > 20",
    )
    restore = restores.restore(queued.pk)
    assert restore is not None
    assert restore.error == ""
    with server.connect("lab") as other:
        assert other.execute("SELECT count(*), min(name), max(name) FROM back.customers").fetchone() == (20, "x", "x")


def test_nothing_stays_of_one_that_fails_at_the_end(backup: Backup, server: Server) -> None:
    """The target refuses in the middle of the copy: a type that the table needs is not there."""
    server.create_database("lab")
    with server.connect("shop") as other:
        other.execute("CREATE TYPE mood AS ENUM ('fine')")
        other.execute("CREATE TABLE moods (mood mood)")
    assert backup.database is not None
    lab = Environment.objects.create(name="Lab", slug="lab", kind="production")
    into = Database.objects.create(environment=lab, name="main", dsn=server.dsn("lab"))
    queued = restore_requests.request_restore(
        take(backup.database), "lab", into=into, mode="side", side_schema="back", tables=["public.*"]
    )
    restore = restores.restore(queued.pk)
    assert restore is not None
    assert 'type "public.mood" does not exist' in restore.error
    assert not has_schema(server, "back", "lab")


def test_the_reaper_drops_what_a_dead_attempt_has_made_and_nothing_else(backup: Backup, server: Server) -> None:
    for schema, mark in (("back", True), ("other", False)):
        claimed = catalogue.claim(Restore, request(backup, ["public.orders"], schema=schema).pk)
        assert claimed is not None
        catalogue.note_scratch(claimed, "own", f"preflight_restoring_{claimed.pk}_0123abcd")
        comment = claimed.application_name if mark else "of somebody else"
        with server.connect("shop") as other:
            other.execute(f"CREATE SCHEMA {schema}")
            other.execute(f"COMMENT ON SCHEMA {schema} IS '{comment}'")
        Restore.objects.filter(pk=claimed.pk).update(worker={**claimed.worker, "start_time": "1"})
        reaper.reap()
        claimed.refresh_from_db()
        assert (claimed.state, claimed.is_swept) == (State.FAILED, True)
    assert not has_schema(server, "back")
    assert has_schema(server, "other")


def test_it_needs_no_right_to_make_databases(
    backup: Backup, database: Database, server: Server, settings: Settings
) -> None:
    """A managed server's role: no CREATEDB, no superuser; the scratch database is on the proof server."""
    with server.connect() as other:
        other.execute("DROP ROLE IF EXISTS managed")
        other.execute("CREATE ROLE managed LOGIN PASSWORD 'managed'")
        other.execute("GRANT CREATE ON DATABASE shop TO managed")
    try:
        system = backup.snapshot["system_identifier"]
        Backup.objects.filter(pk=backup.pk).update(snapshot={**backup.snapshot, "system_identifier": f"{system}0"})
        settings.PROOF_DATABASE_URL = server.url("postgres")
        Database.objects.update(dsn="postgresql://managed:managed@" + server.url("shop").rpartition("@")[2])
        restore = bring(Backup.objects.get(pk=backup.pk), "public.orders")
        assert (restore.state, restore.error) == (State.DONE, "")
        assert restore.scratch["server"] == "proof"
    finally:
        server.drop_database("shop")
        with server.connect() as other:
            other.execute("DROP ROLE managed")


def test_it_says_that_the_role_may_not_make_schemas(backup: Backup, server: Server) -> None:
    with server.connect() as other:
        other.execute("DROP ROLE IF EXISTS humble")
        other.execute("CREATE ROLE humble LOGIN PASSWORD 'humble'")
    try:
        Database.objects.update(dsn="postgresql://humble:humble@" + server.url("shop").rpartition("@")[2])
        restore = bring(Backup.objects.get(pk=backup.pk), "public.orders")
        assert (restore.error_code, "GRANT CREATE ON DATABASE shop" in restore.error) == (ErrorCode.PERMISSION, True)
    finally:
        with server.connect() as other:
            other.execute("DROP ROLE humble")


@pytest.mark.parametrize(
    ("tables", "schema", "said"),
    [
        (["public.gone"], "back", "has no table public.gone"),
        (["gone.*"], "back", r"has no table gone\.\*"),
        ([], "back", "at least one"),
        (["public.orders"], "public", "not one of PostgreSQL's own"),
        (["public.orders"], "pg_back", "not one of PostgreSQL's own"),
        (["public.orders"], 'ba"ck', "small letters"),
    ],
)
def test_it_refuses_what_cannot_be_meant(backup: Backup, tables: list[str], schema: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        request(backup, tables, schema=schema)


def test_it_refuses_two_tables_that_would_be_one(database: Database, server: Server) -> None:
    with server.connect("shop") as other:
        other.execute("CREATE TABLE log.orders (id int)")
    with pytest.raises(RequestError, match=r"log\.orders and public\.orders|public\.orders and log\.orders"):
        request(take(database), ["public.*", "log.*"])


@pytest.mark.parametrize("place", [("public", "orders"), ("Sales Dept", 'odd "name".x'), ("a.b", "c")])
def test_a_name_can_be_taken_apart_again(place: tuple[str, str]) -> None:
    assert split_table(name_table(*place)) == place


def test_it_leaves_rows_of_other_tables_in_the_archive() -> None:
    lines = [
        "3301; 0 16391 TABLE DATA public orders postgres",
        "3302; 0 16392 TABLE DATA public orders_old postgres",
        "3303; 2606 16395 FK CONSTRAINT public orders orders_customer_id_fkey postgres",
        "3304; 1259 16391 TABLE public orders_old postgres",
    ]
    assert [side_schemas.is_wanted(line, ["public.orders"]) for line in lines] == [True, False, False, True]


def test_an_odd_table_comes_back_too(database: Database, server: Server) -> None:
    with server.connect("shop") as other:
        other.execute('CREATE SCHEMA "Sales Dept" CREATE TABLE "odd ""name"".x" (id int)')
        other.execute('INSERT INTO "Sales Dept"."odd ""name"".x" VALUES (7)')
    backup = take(database)
    (name,) = [name for name in backup.tables if "odd" in name]
    restore = bring(backup, name)
    assert restore.error == ""
    with server.connect("shop") as other:
        assert other.execute('SELECT id FROM back."odd ""name"".x"').fetchone() == (7,)
    assert run_prove(backup).outcome == "pass"


def test_it_counts_under_the_eyes_of_a_hostile_search_path(backup: Backup, server: Server) -> None:
    with psycopg.connect(server.dsn("shop"), autocommit=True) as other:
        other.execute("ALTER DATABASE shop SET search_path = nowhere")
    assert bring(backup, "public.orders").error == ""
    assert servers.own_server(backup.database).place.database == "shop"


def test_it_reads_the_copy_that_is_whole(database: Database, server: Server, store: Path, settings: Settings) -> None:
    use_stores(settings, f'nas = {{kind = "directory", path = "{store.parent / "nas"}"}}')
    plan = catalogue.Plan(stores=("local", "nas"))
    tasks.take_backup(catalogue.request_backup(database, plan=plan).pk)
    backup = Backup.objects.get()
    assert [copy.is_good for copy in backup.copies.all()] == [True, True]
    path = store / backup.artifact
    os.truncate(path, path.stat().st_size - 1)
    restore = bring(backup, "public.orders")
    assert (restore.state, restore.error) == (State.DONE, "")
    assert backup.copies.get(store="local").damaged_at is not None
    assert has_schema(server, "back")


def test_tables_of_another_database_of_the_server_go_back_there(database: Database, server: Server) -> None:
    server.create_database("shop_two", "CREATE TABLE t AS SELECT generate_series(1, 3) AS n")
    backup = take_sibling(database, "shop_two")
    found = preflight.look_at_side(backup, database)
    assert (found.live, found.objections) == ("shop_two", ())
    restore = restore_requests.request_restore(backup, found.live, mode="side", side_schema="back", tables=["public.t"])
    restored = restores.restore(restore.pk)
    assert restored is not None
    assert (restored.state, restored.error) == (State.DONE, "")
    assert (has_schema(server, "back", "shop_two"), has_schema(server, "back")) == (True, False)
