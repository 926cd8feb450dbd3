"""What a dump carries runs during a proof as a role that can do no harm, and that is gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pytest_django.fixtures import Settings

from backups import catalogue, reaper
from backups.models import Backup, Verification
from readiness.models import Database
from tests.backups.conftest import list_databases, run_prove, take
from tests.conftest import Server

# Each runs while rows are restored, and in the original did nothing yet.
ATTACKS = {
    "make itself a superuser": "EXECUTE format('ALTER ROLE %I SUPERUSER', session_user);",
    "read the passwords": "PERFORM rolpassword FROM pg_catalog.pg_authid;",
    "make a role": "EXECUTE 'CREATE ROLE intruder SUPERUSER';",
    "run a program": "EXECUTE 'COPY (SELECT 1) TO PROGRAM ''cat >/dev/null''';",
    "read a file of the server": "PERFORM pg_catalog.pg_read_file('postgresql.conf');",
}


def list_roles(server: Server) -> set[str]:
    with server.connect() as connection:
        return {row[0] for row in connection.execute("SELECT rolname FROM pg_roles").fetchall()}


def plant(connection: psycopg.Connection[Any], attack: str) -> None:
    """A function public.act(int) for constraints and indexes; it acts where it is restored, not where it is dumped."""
    connection.execute(
        f"CREATE FUNCTION harm() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {attack} END $$",
    )
    connection.execute(
        "CREATE FUNCTION act(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN "
        "IF current_database() <> 'shop' THEN PERFORM public.harm(); END IF; RETURN $1; END $$"
    )


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("where", ["check", "index"])
def test_it_gives_code_in_a_dump_no_superuser(database: Database, server: Server, attack: str, where: str) -> None:
    with server.connect("shop") as other:
        plant(other, ATTACKS[attack])
        other.execute("CREATE TABLE lure (id int)")
        other.execute("INSERT INTO lure VALUES (1)")
        other.execute(
            "ALTER TABLE lure ADD CHECK (public.act(id) = 1)" if where == "check" else "CREATE INDEX ON lure (act(id))"
        )
    databases, roles = list_databases(server), list_roles(server)
    backup = take(database)
    verification = run_prove(backup)
    assert verification.outcome == "not_provable", verification.detail
    assert "without the rights of a superuser" in verification.detail
    assert backup.status == "done"
    assert (list_databases(server), list_roles(server)) == (databases, roles)


def test_it_does_not_let_a_search_path_of_the_dump_lead_the_count_astray(database: Database, server: Server) -> None:
    with server.connect("shop") as other:
        other.execute("CREATE SCHEMA trap")
        other.execute(
            "CREATE FUNCTION trap.spring(name, name) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'sprung'; END $$"
        )
        other.execute("CREATE OPERATOR trap.<> (LEFTARG = name, RIGHTARG = name, FUNCTION = trap.spring)")
        plant(
            other,
            "EXECUTE format('ALTER DATABASE %I SET search_path = trap, pg_catalog', current_database());",
        )
        other.execute("CREATE TABLE lure (id int CHECK (public.act(id) = 1))")
        other.execute("INSERT INTO lure VALUES (1)")
    assert run_prove(take(database)).outcome == "pass"


def test_it_proves_extensions_wherever_they_live(database: Database, server: Server) -> None:
    with server.connect("shop") as other:
        other.execute("CREATE SCHEMA extensions")
        # pageinspect is not trusted: only a superuser may make it.
        other.execute("CREATE EXTENSION pageinspect SCHEMA extensions")
        other.execute("CREATE EXTENSION citext")
        other.execute("CREATE TABLE extensions.people (name public.citext)")
        other.execute("INSERT INTO extensions.people VALUES ('Ada')")
        other.execute("CREATE VIEW pages AS SELECT extensions.get_raw_page('customers', 0)")
        other.execute("COMMENT ON EXTENSION citext IS 'of the superuser'")
    backup = take(database)
    assert {"name": "citext", "schema": "public"}.items() <= backup.metadata["extensions"][0].items()
    verification = run_prove(backup)
    assert (verification.outcome, verification.detail[:4]) == ("pass", "All ")


def test_it_counts_tables_whose_policies_bind_their_owner(database: Database, server: Server) -> None:
    with server.connect("shop") as other:
        other.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        other.execute("CREATE POLICY nobody ON orders USING (false)")
    verification = run_prove(take(database))
    assert (verification.outcome, verification.compared["rows"]) == ("pass", 5150)


@pytest.fixture
def maker(server: Server) -> Iterator[str]:
    """The connection string of a role that may make roles and databases and is no superuser."""
    with server.connect() as other:
        other.execute("DROP ROLE IF EXISTS maker")
        other.execute("CREATE ROLE maker LOGIN CREATEDB CREATEROLE PASSWORD 'makes'")
    yield "postgresql://maker:makes@" + server.url("postgres").rpartition("@")[2]
    with server.connect() as other:
        other.execute("DROP ROLE maker")


def test_it_proves_where_the_role_may_make_roles(
    backup: Backup, server: Server, settings: Settings, maker: str
) -> None:
    with server.connect() as other:
        other.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO maker")
    try:
        settings.PROOF_DATABASE_URL = maker
        roles = list_roles(server)
        verification = run_prove(backup)
        assert (verification.outcome, verification.scratch["server"]) == ("pass", "proof")
        assert verification.scratch["role"] == verification.scratch["database"]
        assert list_roles(server) == roles
    finally:
        with server.connect() as other:
            other.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM maker")


def test_it_drops_the_role_of_a_proof_that_was_killed(backup: Backup, server: Server) -> None:
    claimed = catalogue.claim(Verification, catalogue.request_verification(backup, "prove").pk)
    assert claimed is not None
    name = "preflight_proof_1_0123abcd"
    catalogue.note_scratch(claimed, "own", name, name)
    with server.connect() as other:
        other.execute(f"CREATE ROLE {name} LOGIN")
        other.execute(f"CREATE DATABASE {name} OWNER {name}")
    Verification.objects.filter(pk=claimed.pk).update(worker={**claimed.worker, "start_time": "1"})
    reaper.reap()
    claimed.refresh_from_db()
    assert claimed.is_swept
    assert not server.has_database(name)
    assert name not in list_roles(server)
