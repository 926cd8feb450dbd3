"""kill -9 of the workers that take backups, while pg_dump waits for a table that the test has locked."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backups import catalogue, tasks
from backups.models import Backup, State
from portal.processes import is_alive, list_children, read_command_line
from portal.supervisor import SILENCE_SECONDS
from readiness.models import Database, Environment
from tests.conftest import Server
from tests.faults.conftest import StartWorkers, Workers, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

FAILED_WITHIN_SECONDS = 120
ROWS = 1000
SHOP = (
    "CREATE TABLE orders (id int PRIMARY KEY, note text)",
    f"INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, {ROWS}) AS n",
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def shop(transactional_db: None, server: Server) -> Database:
    """A small database that may be proven on its own server."""
    dsn = server.create_database("faulty_shop", *SHOP)
    environment = Environment.objects.create(name="Shop", slug="shop")
    return Database.objects.create(environment=environment, name="main", dsn=dsn, prove_on_own_server=True)


@contextmanager
def locked_orders(server: Server) -> Iterator[None]:
    """Nobody else reads the table during the block."""
    with server.connect("faulty_shop") as connection, connection.transaction():
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        yield


def find_sessions(server: Server, backup: Backup) -> list[tuple[int, str]]:
    """The attempt's server processes that wait for a lock, with their statements."""
    with server.connect() as connection:
        return connection.execute(
            "SELECT pid, query FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'",
            [backup.application_name],
        ).fetchall()


def request_backup(shop: Database) -> Backup:
    """What the button does."""
    backup = catalogue.request_backup(shop, actor_name="test")
    tasks.enqueue(backup)
    return backup


def wait_for_locked_dump(server: Server, backup: Backup, workers: Workers) -> tuple[int, int]:
    """Wait until pg_dump waits for the lock; the pids of pg_dump and of the worker that started it."""

    def is_waiting() -> bool:
        backup.refresh_from_db()
        sessions = find_sessions(server, backup) if backup.application_name else []
        return any(query.startswith("LOCK TABLE") for _, query in sessions)

    wait_until(is_waiting, 60, "pg_dump waits for the lock", workers)
    worker = int(backup.worker["pid"])
    (dump,) = [pid for pid in list_children().get(worker, []) if "pg_dump" in read_command_line(pid)]
    assert worker in workers.descendants()
    return dump, worker


def wait_for_failure(server: Server, backup: Backup, store: Path, workers: Workers) -> float:
    """Wait until the backup is failed, nothing of it runs on the server, and no file is left; how long it took."""

    def is_over() -> bool:
        backup.refresh_from_db()
        return backup.state == State.FAILED and backup.is_swept and not find_sessions(server, backup)

    took = wait_until(is_over, FAILED_WITHIN_SECONDS, "the backup is failed and swept", workers)
    assert backup.status == "failed"
    assert backup.error_code == "abandoned"
    assert backup.error.startswith("The worker died while ")
    assert backup.error.endswith("nothing was kept, start it again.")
    assert [path for path in store.rglob("*") if path.is_file()] == []
    return took


def wait_for_proof(backup: Backup, workers: Workers) -> None:
    def is_settled() -> bool:
        backup.refresh_from_db()
        return backup.status in {"proven", "failed", "damaged"}

    wait_until(is_settled, 90, "the next backup is settled", workers)
    assert backup.status == "proven", backup.error
    assert backup.tables == {"public.orders": ROWS}


def kill_during_dump(victim: str, workers: Workers, shop: Database, server: Server, store: Path) -> str:
    """Kill the worker or its supervisor while pg_dump waits, and see what comes of it; how long that took."""
    with locked_orders(server):
        backup = request_backup(shop)
        dump, worker = wait_for_locked_dump(server, backup, workers)

        os.kill(workers.pid if victim == "supervisor" else worker, signal.SIGKILL)

        gone = wait_until(lambda: not is_alive(dump) and not is_alive(worker), 5, "pg_dump is gone", workers)
        failed = wait_for_failure(server, backup, store, workers)
    return f"{victim} killed: pg_dump gone after {gone:.1f} s, backup failed after {gone + failed:.1f} s"


def test_a_backup_whose_worker_is_killed_fails_clearly_and_the_next_one_succeeds(
    start_workers: StartWorkers, shop: Database, server: Server, store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    environment = {"BACKUP_STORE": str(store)}
    start_workers("default", **environment)
    told = [kill_during_dump("supervisor", start_workers("long", **environment), shop, server, store)]
    # systemd, Render or whoever runs `make run` starts it again.
    workers = start_workers("long", **environment)
    told.append(kill_during_dump("worker", workers, shop, server, store))
    with capfd.disabled():
        print("", *told, sep="\n  ", end="", flush=True)

    wait_for_proof(request_backup(shop), workers)


def test_a_long_dump_is_not_taken_for_a_standstill(
    start_workers: StartWorkers, shop: Database, server: Server, store: Path
) -> None:
    workers = start_workers("long", BACKUP_STORE=str(store), LONG_WORKERS="1", PROBE_TIMEOUT_SECONDS="5")
    with locked_orders(server):
        backup = request_backup(shop)
        dump, _ = wait_for_locked_dump(server, backup, workers)
        os.kill(dump, signal.SIGSTOP)
    # The only worker is busy for longer than silence may last, so that no heartbeat can come back.
    time.sleep(SILENCE_SECONDS + 5)
    assert is_alive(dump), workers.log
    os.kill(dump, signal.SIGCONT)

    wait_for_proof(backup, workers)
    assert "restarting" not in workers.log
