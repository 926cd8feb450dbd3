"""A snapshot that is held: one moment, its metadata, its counts; on a real server."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from backups import snapshot
from backups.errors import ErrorCode, JobError
from backups.names import name_table
from backups.servers import parse_server
from backups.snapshot import hold_snapshot
from tests.backups.conftest import SHOP_TABLES
from tests.conftest import Server

NAME = "preflight test"


def test_it_counts_what_the_snapshot_sees_not_what_came_after(server: Server, shop: str) -> None:
    with hold_snapshot(parse_server(shop), NAME) as held, server.connect("shop") as other:
        other.execute("INSERT INTO orders (note) VALUES ('too late')")
        assert held.count_rows() == SHOP_TABLES


def test_it_knows_the_point_in_time(server: Server, shop: str) -> None:
    with server.connect("shop") as other:
        before, identifier = _one(other, "SELECT now(), system_identifier FROM pg_control_system()")
        with hold_snapshot(parse_server(shop), NAME) as held:
            facts = held.facts
            query = f"SELECT pg_current_wal_lsn() >= '{facts.lsn}'::pg_lsn, pg_database_size('shop')"
            lsn_after, size = _one(other, query)
    assert facts.taken_at > before
    assert lsn_after is True
    assert facts.system_identifier == str(identifier)
    assert facts.timeline == 1
    assert facts.database_size_bytes == pytest.approx(size, rel=0.2)
    assert facts.as_point_in_time()["server_version"].startswith(str(facts.major))
    metadata = facts.as_metadata()
    assert (metadata["database"], metadata["encoding"]) == ("shop", "UTF8")
    assert {extension["name"] for extension in metadata["extensions"]} == {"plpgsql"}


def test_it_can_be_joined_by_another_session(server: Server, shop: str) -> None:
    with hold_snapshot(parse_server(shop), NAME) as held, server.connect("shop") as other:
        other.execute("DELETE FROM log.events")
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        other.execute(f"SET TRANSACTION SNAPSHOT '{held.facts.snapshot_id}'")
        assert other.execute("SELECT count(*) FROM log.events").fetchone() == (100,)


def test_it_lets_only_one_backup_of_a_database_be_taken(shop: str) -> None:
    target = parse_server(shop)
    with hold_snapshot(target, NAME):
        with pytest.raises(JobError, match="Another backup of shop") as caught, hold_snapshot(target, NAME):
            pass
        assert caught.value.code == ErrorCode.BUSY
    with hold_snapshot(target, NAME):
        pass


def test_it_names_the_table_that_is_locked(server: Server, shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "LOCK_TIMEOUT", "100ms")
    with server.connect("shop") as other, hold_snapshot(parse_server(shop), NAME) as held:
        other.execute("BEGIN")
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(JobError, match=r"Table public\.orders of shop stayed locked") as caught:
            held.count_rows()
    assert caught.value.code == ErrorCode.LOCK_TIMEOUT


def test_it_counts_as_a_role_that_may_only_read(server: Server, shop: str) -> None:
    with server.connect("shop") as other:
        other.execute("DROP ROLE IF EXISTS reader")
        other.execute("CREATE ROLE reader LOGIN PASSWORD 'reads' IN ROLE pg_read_all_data")
    try:
        target = parse_server(server.url("shop"))
        reader = type(target)({**target.parameters, "user": "reader", "password": "reads"})
        with hold_snapshot(reader, NAME) as held:
            assert held.count_rows() == SHOP_TABLES
            assert held.facts.system_identifier is not None
    finally:
        with server.connect() as other:
            other.execute("DROP ROLE reader")


def test_it_refuses_a_role_that_sees_only_some_rows(server: Server, shop: str) -> None:
    with server.connect("shop") as other:
        other.execute("DROP ROLE IF EXISTS partly")
        other.execute("CREATE ROLE partly LOGIN PASSWORD 'reads' IN ROLE pg_read_all_data")
        other.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    try:
        target = parse_server(server.url("shop"))
        role = type(target)({**target.parameters, "user": "partly", "password": "reads"})
        with hold_snapshot(role, NAME) as held, pytest.raises(JobError, match="BYPASSRLS") as caught:
            held.count_rows()
        assert caught.value.code == ErrorCode.PERMISSION
    finally:
        with server.connect() as other:
            other.execute("DROP ROLE partly")


def test_it_leaves_out_tables_of_extensions_and_temporary_ones(server: Server, shop: str) -> None:
    with server.connect("shop") as other:
        other.execute("CREATE TABLE belongs (a int)")
        other.execute("ALTER EXTENSION plpgsql ADD TABLE belongs")
        other.execute("CREATE TEMPORARY TABLE mine (a int)")
        with hold_snapshot(parse_server(shop), NAME) as held:
            assert held.count_rows() == SHOP_TABLES


def test_it_counts_a_parent_without_its_children(server: Server, shop: str) -> None:
    with server.connect("shop") as other:
        other.execute("CREATE TABLE vip_customers () INHERITS (customers)")
        other.execute("INSERT INTO vip_customers (name) VALUES ('one')")
        with hold_snapshot(parse_server(shop), NAME) as held:
            counts = held.count_rows()
    assert (counts["public.customers"], counts["public.vip_customers"]) == (50, 1)


def test_it_cannot_be_fooled_by_names(server: Server) -> None:
    strange = server.create_database(
        "strange", 'CREATE SCHEMA "a.b"', 'CREATE TABLE "a.b".c (x int)', 'CREATE SCHEMA a', 'CREATE TABLE a."b.c" ()',
        'CREATE TABLE a."; DROP TABLE x; --" ()', 'CREATE TABLE a."Ünïcode ""quoted""" ()', "CREATE FUNCTION a.count() "
        "RETURNS int LANGUAGE sql AS 'SELECT 1'",
    )  # fmt: skip
    with hold_snapshot(parse_server(strange), NAME) as held:
        assert held.count_rows() == {
            '"a.b".c': 0,
            'a."b.c"': 0,
            "a.; DROP TABLE x; --": 0,
            'a."Ünïcode ""quoted"""': 0,
        }


def test_it_writes_plain_names_plainly() -> None:
    assert name_table("public", "Order items") == "public.Order items"


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"password": "wrong"}, ErrorCode.AUTHENTICATION, "did not let"),
        ({"user": "nobody_here"}, ErrorCode.AUTHENTICATION, "did not let nobody_here in"),
        ({"port": "1"}, ErrorCode.UNREACHABLE, "nothing listens"),
        ({"host": "no-such-host.invalid"}, ErrorCode.UNREACHABLE, "does not resolve"),
        ({"dbname": "no_such_database"}, ErrorCode.DATABASE_MISSING, "no database no_such_database"),
        ({"sslmode": "require"}, ErrorCode.UNREACHABLE, "encrypted"),
    ],
)
def test_it_says_in_one_sentence_why_it_cannot_connect(
    server: Server, shop: str, change: dict[str, str], code: ErrorCode, words: str
) -> None:
    target = parse_server(server.url("shop"))
    changed = type(target)({**target.parameters, **change})
    with pytest.raises(JobError) as caught, hold_snapshot(changed, NAME):
        pass
    assert caught.value.code == code
    assert words in str(caught.value)
    for secret in (target.parameters["password"], change.get("password")):
        assert secret is None or secret not in str(caught.value)
    assert "\n" not in str(caught.value)


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row
