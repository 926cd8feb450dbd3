"""Databases as people really have them: each is taken, read, proven and restored into a new one, and compared."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from backups import catalogue, dumps, restore_requests, restores
from backups.errors import Place, explain, explain_database_error
from backups.models import Backup, Restore, State
from readiness.models import Database, Environment
from tests.backups.conftest import run_prove, run_verify, take
from tests.conftest import Server

ODD_NAME = 'Shop "Ä" it\'s odd'

CASES = {
    "names": (
        'CREATE SCHEMA "Sales ""EU"""',
        'CREATE TABLE "Sales ""EU"""."Order Lines; --" ("Ord.Id" int PRIMARY KEY, "a""b" text, "Zeile\'" int)',
        'INSERT INTO "Sales ""EU"""."Order Lines; --" SELECT n, \'x\', n FROM generate_series(1, 10) n',
        'CREATE TABLE "Sales ""EU"""."a.b" (x int)',
    ),
    "generated": (
        "CREATE TABLE g (id int GENERATED ALWAYS AS IDENTITY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED)",
        "INSERT INTO g (n) SELECT generate_series(1, 20)",
    ),
    "partitions": (
        "CREATE TABLE p (a int, b text) PARTITION BY LIST (b)",
        "CREATE TABLE p_x PARTITION OF p FOR VALUES IN ('x') PARTITION BY RANGE (a)",
        "CREATE TABLE p_x_1 PARTITION OF p_x FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE p_d PARTITION OF p DEFAULT",
        "INSERT INTO p VALUES (1, 'x'), (2, 'y'), (3, NULL)",
    ),
    "inherited": (
        "CREATE TABLE parent (a int, b int)",
        "CREATE TABLE child (c int) INHERITS (parent)",
        "INSERT INTO parent VALUES (1, 2)",
        "INSERT INTO child VALUES (1, 2, 3)",
    ),
    "materialised": (
        "CREATE TABLE t AS SELECT generate_series(1, 10) AS n",
        "CREATE MATERIALIZED VIEW m AS SELECT sum(n) AS s FROM t",
        "CREATE UNIQUE INDEX ON m (s)",
        "CREATE MATERIALIZED VIEW empty AS SELECT * FROM t WITH NO DATA",
    ),
    "cycles": (
        "CREATE TABLE a (id int PRIMARY KEY, b int)",
        "CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a)",
        "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED",
        "CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree)",
        "BEGIN",
        "INSERT INTO a VALUES (1, 1)",
        "INSERT INTO b VALUES (1, 1)",
        "COMMIT",
        "INSERT INTO tree VALUES (1, 2), (2, 1)",
    ),
    "domains": (
        "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
        "CREATE TYPE mood AS ENUM ('sad', 'it''s fine')",
        "CREATE TYPE pair AS (x positive, y text)",
        "CREATE TABLE d (n positive, m mood, p pair, r int4range, a int[][])",
        "INSERT INTO d VALUES (1, 'sad', ROW(1, 'a,(b'), '[1,3)', '{{1,2},{3,4}}'), (2, NULL, NULL, 'empty', '{}')",
    ),
    "row security": (
        "CREATE TABLE r (tenant text, n int)",
        "INSERT INTO r SELECT 'a', generate_series(1, 5)",
        "ALTER TABLE r ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE r FORCE ROW LEVEL SECURITY",
        "CREATE POLICY nobody ON r USING (tenant = current_user)",
    ),
    "unlogged": (
        "CREATE UNLOGGED TABLE u AS SELECT generate_series(1, 7) AS n",
        "CREATE TEMPORARY TABLE gone (n int)",
    ),
    "empty": (),
    "no public": ("DROP SCHEMA public", "CREATE SCHEMA app", "CREATE TABLE app.t AS SELECT 1 AS n"),
    "publication": (
        "CREATE TABLE t (n int PRIMARY KEY)",
        "CREATE PUBLICATION of_t FOR TABLE t",
        "CREATE PUBLICATION everything FOR ALL TABLES",
    ),
    "no columns": (
        "CREATE TABLE nothing ()",
        "INSERT INTO nothing DEFAULT VALUES",
        "INSERT INTO nothing DEFAULT VALUES",
        "CREATE TABLE dropped (a int)",
        "INSERT INTO dropped VALUES (1)",
        "ALTER TABLE dropped DROP a",
        "CREATE TABLE computed (a int GENERATED ALWAYS AS (1) STORED)",
        "INSERT INTO computed DEFAULT VALUES",
    ),
    "large objects": (
        "SELECT lo_from_bytea(4711, 'hello')",
        "SELECT lo_from_bytea(0, decode(repeat('00ff', 100000), 'hex'))",
        "SELECT lo_create(4712)",
        "COMMENT ON LARGE OBJECT 4711 IS 'a greeting'",
        "CREATE TABLE files (name text, content oid)",
        "INSERT INTO files VALUES ('hello', 4711)",
    ),
    "triggers and rules": (
        "CREATE TABLE t (n int)",
        "CREATE TABLE logged (n int)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO logged VALUES (NEW.n); RETURN NEW; END $$",
        "CREATE TRIGGER noting BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION note()",
        "CREATE RULE double AS ON DELETE TO t DO ALSO INSERT INTO logged VALUES (0)",
        "INSERT INTO t SELECT generate_series(1, 5)",
    ),
    "extensions": (
        "CREATE SCHEMA ext",
        "CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA ext",
        "CREATE EXTENSION IF NOT EXISTS hstore",
        "CREATE EXTENSION IF NOT EXISTS citext SCHEMA ext",
        "CREATE TABLE e (h hstore, c ext.citext UNIQUE, t text)",
        "CREATE INDEX ON e USING gin (t ext.gin_trgm_ops)",
        "INSERT INTO e VALUES ('a=>1', 'Wörd', 'some text')",
    ),
    "settings": (
        "CREATE TABLE t AS SELECT now() AS at",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = elsewhere', current_database()); END $$",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());"
        " END $$",
    ),
}


def whole_way(environment: Environment, server: Server, dsn: str, target: str = "odd_back") -> Backup:
    """Take, read, prove and restore it; the backup."""
    database = Database.objects.create(environment=environment, name="odd", dsn=dsn, prove_on_own_server=True)
    backup = take(database)
    assert (backup.state, backup.error, backup.warnings) == (State.DONE, "", [])
    assert run_verify(backup).outcome == "pass"
    proof = run_prove(backup)
    assert proof.outcome == "pass", proof.detail or proof.error
    done = restore_into(backup, server, target)
    assert (done.state, done.error) == (State.DONE, "")
    assert done.compared["different"] == done.compared["changed"] == []
    return backup


def restore_into(backup: Backup, server: Server, target: str) -> Restore:
    server.made.append(target)
    server.drop_database(target)
    done = restores.restore(restore_requests.request_restore(backup, target).pk)
    assert done is not None
    return done


@pytest.fixture
def environment(db: None, store: Path) -> Environment:
    return Environment.objects.create(name="Odd", slug="odd")


@pytest.mark.parametrize("case", CASES)
def test_it_goes_the_whole_way(environment: Environment, server: Server, case: str) -> None:
    whole_way(environment, server, server.create_database("odd", *CASES[case]))


def test_more_tables_than_the_server_can_lock_are_told_so() -> None:
    """As psycopg and pg_dump say it of 10,000 tables under the default settings."""
    said = "ERROR:  out of shared memory\nHINT:  You might need to increase max_locks_per_transaction."
    for explained in (
        explain(f"pg_dump: error: query failed: {said}", Place("db:5432", "app", "shop"), "pg_dump"),
        explain_database_error(psycopg.errors.OutOfMemory(said), Place("db:5432", "app", "shop")),
    ):
        assert "cannot lock all tables of shop at once: raise max_locks_per_transaction" in explained.sentence


def test_an_event_trigger_is_restored_and_not_proven(environment: Environment, server: Server) -> None:
    """Only a superuser may make one, and a proof has no such rights."""
    dsn = server.create_database(
        "odd",
        "CREATE TABLE t AS SELECT 1 AS n",
        "CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$",
        "CREATE EVENT TRIGGER watching ON ddl_command_start EXECUTE FUNCTION watch()",
    )
    database = Database.objects.create(environment=environment, name="odd", dsn=dsn, prove_on_own_server=True)
    backup = take(database)
    proof = run_prove(backup)
    assert (proof.outcome, 'permission denied to create event trigger "watching"' in proof.detail) == (
        "not_provable",
        True,
    )
    assert restore_into(backup, server, "odd_back").error == ""


def test_large_objects_are_counted_summed_and_compared(environment: Environment, server: Server) -> None:
    backup = whole_way(environment, server, server.create_database("odd", *CASES["large objects"]))
    recorded = backup.metadata["large_objects"]
    assert (recorded["count"], len(recorded["checksum"])) == (3, 16)
    for changed, said in (
        ({**recorded, "count": 4}, "There were 3 large objects after the restore and 4 in the backup."),
        ({**recorded, "checksum": "0" * 16}, "The contents of the large objects are not those of the backup"),
    ):
        Backup.objects.filter(pk=backup.pk).update(metadata={**backup.metadata, "large_objects": changed})
        proof = run_prove(Backup.objects.get(pk=backup.pk))
        assert (proof.outcome, said in proof.detail) == ("fail", True), proof.detail


def test_a_backup_of_before_they_were_counted_is_proven_as_ever(environment: Environment, server: Server) -> None:
    dsn = server.create_database("odd", *CASES["large objects"])
    backup = whole_way(environment, server, dsn)
    metadata = {key: value for key, value in backup.metadata.items() if key != "large_objects"}
    Backup.objects.filter(pk=backup.pk).update(metadata=metadata)
    assert run_prove(Backup.objects.get(pk=backup.pk)).outcome == "pass"


def test_large_objects_are_only_in_what_names_no_schema_or_table(environment: Environment, server: Server) -> None:
    dsn = server.create_database("odd", *CASES["large objects"], "CREATE TABLE beside AS SELECT 1 AS n")
    database = Database.objects.create(environment=environment, name="odd", dsn=dsn, prove_on_own_server=True)
    for plan, count in ((catalogue.Plan(only="public"), 0), (catalogue.Plan(without="public.beside"), 3)):
        taken = dumps.take(catalogue.request_backup(database, plan=plan).pk)
        assert taken is not None
        assert taken.metadata["large_objects"]["count"] == count
        said = [sentence for sentence in taken.warnings if "The 3 large objects of odd are not in it" in sentence]
        assert len(said) == (count == 0)
        proof = run_prove(taken)
        assert proof.outcome == "pass", proof.detail
        assert restore_into(taken, server, "odd_back").error == ""


@pytest.mark.parametrize(
    "options",
    [
        "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
        "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
        "ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C'",
        "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' LC_COLLATE 'C' LC_CTYPE 'C'",
    ],
)
def test_it_keeps_encoding_and_locale(environment: Environment, server: Server, options: str) -> None:
    server.drop_database("odd")
    server.made.append("odd")
    with server.connect() as other:
        other.execute(f"CREATE DATABASE odd TEMPLATE template0 {options}")
    letters = {"SQL_ASCII": b"\x80\xfe", "LATIN1": b"\xe4", "EUC_JP": b"\xa4\xa2", "UTF8": b"\xc3\xa4"}
    with server.connect("odd") as other:
        other.execute("CREATE TABLE words (a text)")
        with other.cursor().copy("COPY words FROM STDIN") as copy:
            copy.write(letters[options.split("'")[1]] + b"\n")
    whole_way(environment, server, server.url("odd"))
    with server.connect() as other:
        columns = "encoding, datcollate, datctype, datlocprovider"
        rows = other.execute(f"SELECT DISTINCT {columns} FROM pg_database WHERE datname IN ('odd', 'odd_back')")
        assert len(rows.fetchall()) == 1


def test_it_backs_up_a_database_with_an_odd_name(environment: Environment, server: Server) -> None:
    with server.connect() as other:
        other.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(ODD_NAME)))
        other.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(ODD_NAME)))
    dsn = make_conninfo(server.dsn(), dbname=ODD_NAME)
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("CREATE TABLE t AS SELECT generate_series(1, 3) AS n")
    try:
        whole_way(environment, server, dsn)
    finally:
        with server.connect() as other:
            other.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(ODD_NAME)))
