"""A worker killed around the swap: the database in use is the old one or the new one, whole, open, and known."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from backups import reaper
from backups.models import Restore, State
from readiness.models import Database
from tests.backups import conftest as room
from tests.backups.conftest import list_databases, take
from tests.conftest import Server
from tests.faults import test_backup_faults as faults
from tests.faults.test_backup_faults import Start, wait_until

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(sys.platform != "linux", reason="dead processes are recognised through /proc"),
]

store, shop, database, start = room.store, room.shop, room.database, faults.start
ROUNDS = 3


@pytest.fixture
def kept_ones_go(server: Server) -> Iterator[None]:
    yield
    for name in list_databases(server):
        if name.startswith("preflight_"):
            with server.connect() as other:
                other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            server.drop_database(name)


def has_noted_or_ended(worker: subprocess.Popen[bytes]) -> bool:
    """Whether the swap is about to take place, or took place faster than anybody looked."""
    return worker.poll() is not None or Restore.objects.exclude(swap={}).filter(state=State.RUNNING).exists()


@contextmanager
def nobody_alters(server: Server, name: str) -> Iterator[None]:
    """Every ALTER DATABASE of this one waits until the block is left."""
    with server.connect() as other, other.transaction():
        other.execute("SELECT 1 FROM pg_database WHERE datname = %s FOR UPDATE", [name])
        yield


def is_settled(pk: int) -> bool:
    reaper.reap()
    return Restore.objects.filter(pk=pk, is_swept=True).exists()


def test_it_survives_kill_9_around_the_swap(
    database: Database, server: Server, start: Start, kept_ones_go: None
) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    backup = take(database)
    killed = 0
    for round_number in range(ROUNDS):
        with server.connect("shop") as other:
            other.execute("DELETE FROM orders WHERE id > 10")
        with ExitStack() as held:
            if round_number == 0:
                # However fast the machine is, this round's worker is killed while it closes the database in use.
                held.enter_context(nobody_alters(server, "shop"))
            worker = start(
                *("restore", str(backup.pk), "--replace", "--yes-i-mean", "shop-production"),
                *("--break-glass", "a test", "--no-safety-backup"),
            )
            wait_until(partial(has_noted_or_ended, worker))
            time.sleep(chance.uniform(0, 0.06))
            worker.kill()
            worker.wait()
        reaper.reap()
        restore = Restore.objects.order_by("-pk")[0]
        where = f"seed {seed}, round {round_number}: {restore.state}, {restore.error}"
        assert restore.state in {State.DONE, State.FAILED}, where
        wait_until(partial(is_settled, restore.pk), 20)
        restore.refresh_from_db()
        with server.connect("shop") as other:
            rows = other.execute("SELECT count(*) FROM orders").fetchone()
        assert rows == ((5000,) if restore.state == State.DONE else (10,)), where
        assert (restore.state == State.DONE) is bool(restore.kept_database), where
        assert not any(name.startswith("preflight_restoring") for name in list_databases(server)), where
        killed += worker.returncode < 0
        assert killed, f"{where}: the worker was not there to be killed"
