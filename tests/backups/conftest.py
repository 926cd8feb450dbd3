"""Fixtures of the backups room: a database worth backing up, its row in the portal, a store that vanishes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from backups import catalogue, dumps, verify
from backups.models import Backup, State, Verification
from readiness.models import Database, Environment
from tests.conftest import Server

SHOP = (
    "CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL)",
    "INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 50) AS n",
    "CREATE TABLE orders (id serial PRIMARY KEY, customer_id int REFERENCES customers, note text)",
    "INSERT INTO orders (customer_id, note) SELECT 1 + n % 50, md5(n::text) FROM generate_series(1, 5000) AS n",
    "CREATE VIEW busy AS SELECT customer_id, count(*) FROM orders GROUP BY 1",
    "CREATE SCHEMA log",
    "CREATE TABLE log.events (at date) PARTITION BY RANGE (at)",
    "CREATE TABLE log.events_2026 PARTITION OF log.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    "INSERT INTO log.events SELECT '2026-01-01'::date + n FROM generate_series(0, 99) AS n",
)
SHOP_TABLES = {"public.customers": 50, "public.orders": 5000, "log.events_2026": 100}


@pytest.fixture
def store(tmp_path: Path, settings: Settings) -> Path:
    """An artifact store of the test's own."""
    directory = tmp_path / "store"
    settings.BACKUP_STORE = directory
    options = {"location": directory, "file_permissions_mode": 0o600, "directory_permissions_mode": 0o700}
    settings.STORAGES = {**settings.STORAGES, "backups": {**settings.STORAGES["backups"], "OPTIONS": options}}
    return directory


@pytest.fixture
def shop(server: Server) -> str:
    """The connection string of a small shop."""
    return server.create_database("shop", *SHOP)


@pytest.fixture
def database(db: None, store: Path, server: Server, shop: str) -> Iterator[Database]:
    """The shop as a database of the environment "shop-production"; proofs may use its own server."""
    environment = Environment.objects.create(name="Shop production", slug="shop-production")
    yield Database.objects.create(environment=environment, name="main", dsn=shop, prove_on_own_server=True)


@pytest.fixture
def backup(database: Database) -> Backup:
    """A backup that was taken and not read yet."""
    return take(database)


def take(database: Database) -> Backup:
    """Request and take; the backup as it ended."""
    taken = dumps.take(catalogue.request_backup(database).pk)
    assert taken is not None
    return taken


def take_sibling(database: Database, name: str) -> Backup:
    """The same of another database of its server, as a schedule for all of them does."""
    taken = dumps.take(catalogue.request_backup(database, plan=catalogue.Plan(sibling=name)).pk)
    assert taken is not None
    assert taken.state == State.DONE, taken.error
    return taken


def run_verify(backup: Backup) -> Verification:
    done = verify.verify(catalogue.request_verification(backup, "verify").pk)
    assert done is not None
    backup.refresh_from_db()
    return done


def run_prove(backup: Backup) -> Verification:
    done = verify.prove(catalogue.request_verification(backup, "prove").pk)
    assert done is not None
    backup.refresh_from_db()
    return done


def list_databases(server: Server) -> set[str]:
    with server.connect() as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database").fetchall()}


def list_files(store: Path) -> set[str]:
    return {path.name for path in store.rglob("*") if path.is_file()}
