"""The database server itself killed at any moment of a job: nothing half, nothing false, and the next run succeeds."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from psycopg import sql

from backups import catalogue, dumps, reaper, restore_requests, restores, verify
from backups.errors import ErrorCode
from backups.models import Backup, Job, Restore, State, Verification
from portal.embedded_postgres import Cluster
from readiness.models import Database, Environment
from tests.backups import conftest as room
from tests.backups.conftest import run_prove, run_verify, take
from tests.faults import test_proof_and_restore_faults as proofs
from tests.faults.test_backup_faults import wait_until
from tests.faults.test_proof_and_restore_faults import KILLS, answers, dsn_of, is_settled

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(sys.platform != "linux", reason="dead processes are recognised through /proc"),
]

store, crashing = room.store, proofs.crashing
GOODS = {"public.goods": 20000}
# What a server that is gone in the middle may be called: it broke off, it refuses, or it is starting again.
GONE = {ErrorCode.CONNECTION_LOST, ErrorCode.UNREACHABLE}


@pytest.fixture
def goods(db: None, store: Path, crashing: Cluster) -> Database:
    environment = Environment.objects.create(name="Store", slug="store", kind=Environment.Kind.STAGING)
    return Database.objects.create(
        environment=environment, name="main", dsn=dsn_of(crashing, "store"), prove_on_own_server=True
    )


def kill_server(cluster: Cluster) -> None:
    """kill -9 of the postmaster; its backends notice and go. Then start it again, which recovers from the WAL."""
    pid = cluster.server_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    wait_until(lambda: starts(cluster), 30)


def starts(cluster: Cluster) -> bool:
    """Not while a backend of before still has the shared memory."""
    with suppress(Exception):
        cluster.start()
    return answers(cluster)


def kill_backend(cluster: Cluster) -> None:
    """kill -9 of any backend of a job, by which the postmaster ends all the others and recovers."""
    with suppress(psycopg.Error), psycopg.connect(dsn_of(cluster, "postgres"), autocommit=True) as other:
        row = other.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'preflight %' ORDER BY random() LIMIT 1"
        ).fetchone()
        if row is not None:
            with suppress(ProcessLookupError):
                os.kill(row[0], signal.SIGKILL)
            # Until the postmaster has noticed, which ends this session as well, the server answers as if nothing were.
            noticed_by = time.monotonic() + 10
            while time.monotonic() < noticed_by:
                other.execute("SELECT 1")
                time.sleep(0.02)
    wait_until(lambda: answers(cluster), 30)


def run_and_kill(
    model: type[Job], pk: int, run: Callable[[int], Job | None], kill: Callable[[], None], seconds: float
) -> Job:
    """Run the queued job here and kill the server ``seconds`` after it has begun; the job, settled."""

    def break_it() -> None:
        wait_until(lambda: model._default_manager.filter(pk=pk).exclude(state=State.QUEUED).exists())
        time.sleep(seconds)
        kill()
        connection.close()

    breaker = threading.Thread(target=break_it)
    breaker.start()
    ended = run(pk)
    breaker.join()
    assert ended is not None
    wait_until(partial(is_settled, ended), 30)
    return ended


def list_databases(cluster: Cluster) -> set[str]:
    with psycopg.connect(dsn_of(cluster, "postgres"), autocommit=True) as other:
        names = {str(row[0]) for row in other.execute("SELECT datname FROM pg_database").fetchall()}
        return names | {str(row[0]) for row in other.execute("SELECT rolname FROM pg_roles").fetchall()}


def drop(cluster: Cluster, name: str) -> None:
    with psycopg.connect(dsn_of(cluster, "postgres"), autocommit=True) as other:
        other.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def count_goods(cluster: Cluster, name: str) -> int:
    with psycopg.connect(dsn_of(cluster, name)) as other:
        row = other.execute("SELECT count(*) FROM goods").fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.parametrize("kill", [kill_server, kill_backend])
@pytest.mark.parametrize("job", ["backup", "proof", "restore", "replacement"])
def test_a_server_that_is_killed_costs_one_run_and_nothing_else(
    goods: Database, crashing: Cluster, kill: Callable[[Cluster], None], job: str
) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    backup = take(goods)
    jobs: dict[str, tuple[type[Job], Callable[[], Job], Callable[[int], Job | None]]] = {
        "backup": (Backup, lambda: catalogue.request_backup(goods), dumps.take),
        "proof": (Verification, lambda: catalogue.request_verification(backup, "prove"), verify.prove),
        "restore": (Restore, lambda: restore_requests.request_restore(backup, "store_back"), restores.restore),
        "replacement": (
            Restore,
            lambda: restore_requests.request_restore(backup, "store", mode=Restore.Mode.REPLACE),
            restores.restore,
        ),
    }
    model, ask, run = jobs[job]
    began = time.monotonic()
    undisturbed = run(ask().pk)
    longest = time.monotonic() - began
    assert undisturbed is not None
    assert (undisturbed.state, undisturbed.error) == (State.DONE, "")
    for _ in range(KILLS):
        drop(crashing, "store_back")
        ended = run_and_kill(model, ask().pk, run, partial(kill, crashing), chance.uniform(0, longest))
        said = f"seed {seed}: {ended.error_code} {ended.error}"
        assert ended.state in {State.DONE, State.FAILED}, said
        assert ended.state == State.DONE or (ended.error_code in GONE and ended.error), said
        assert not any(is_leftover(name) for name in list_databases(crashing)), said
        backup.refresh_from_db()
        assert backup.damaged_at is None, f"seed {seed}: {backup.damage}"
        if isinstance(ended, Backup) and ended.state == State.DONE:
            assert (ended.tables, run_verify(ended).outcome) == (GOODS, "pass"), said
        if isinstance(ended, Verification):
            assert ended.outcome == ("pass" if ended.state == State.DONE else "error"), f"{said} {ended.detail}"
        if job == "restore":
            assert ("store_back" in list_databases(crashing)) is (ended.state == State.DONE), said
            assert ended.state != State.DONE or count_goods(crashing, "store_back") == 20000, said
        # Whoever works with it goes on: it is there, open and whole, as before or as restored.
        assert count_goods(crashing, "store") == 20000, said
    drop(crashing, "store_back")
    again = run(ask().pk)
    assert again is not None
    assert (again.state, again.error) == (State.DONE, ""), f"seed {seed}"
    drop(crashing, "store_back")
    assert run_prove(take(goods)).outcome == "pass", f"seed {seed}"
    assert reaper.reap() == 0


def is_leftover(name: str) -> bool:
    """Only what a replacement keeps on purpose may have a name of ours."""
    return name.startswith("preflight_") and not name.startswith("preflight_kept_")
