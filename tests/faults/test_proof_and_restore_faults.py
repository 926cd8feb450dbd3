"""Proofs, restores and imports killed at any moment, cut off and misled: nothing half, nothing false, all goes on."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import psycopg
import pyrage
import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pytest_django.fixtures import Settings

from backups import (
    answering,
    catalogue,
    dumps,
    plaintext,
    reaper,
    restore_requests,
    restores,
    servers,
    storage,
    stores,
    tasks,
)
from backups.errors import ErrorCode
from backups.models import Backup, Job, Restore, State, Verification
from portal.embedded_postgres import Cluster
from readiness.models import Database, Environment
from tests.backups import conftest as room
from tests.backups.conftest import list_databases, list_files, run_prove, run_verify, take
from tests.conftest import Server
from tests.faults import test_backup_faults as faults
from tests.faults.test_backup_faults import Start, wait_for_running, wait_until
from tests.servers.sockets import serve

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(sys.platform != "linux", reason="dead processes are recognised through /proc"),
]

store, shop, database, start = room.store, room.shop, room.database, faults.start
KILLS = int(os.environ.get("CHAOS_KILLS", "2"))


def is_settled(job: Job) -> bool:
    reaper.reap()
    job.refresh_from_db()
    return job.is_swept and job.state in {State.DONE, State.FAILED, State.CANCELLED}


def newest(model: type[Job], known: set[int]) -> Job | None:
    return model._default_manager.filter(state=State.RUNNING).exclude(pk__in=known).first()


def kill_at_a_random_moment(
    model: type[Job], worker: subprocess.Popen[bytes], victim: str, chance: random.Random, longest: float
) -> Job:
    """Kill the worker or one of its programs some time after the job has begun; the job, settled.

    It may have ended before: then the kill comes too late, and the job must have ended well.
    """
    known = set(model._default_manager.values_list("pk", flat=True))
    wait_until(lambda: newest(model, known) or worker.poll() is not None)
    job = newest(model, known) or model._default_manager.exclude(pk__in=known).order_by("-pk")[0]
    time.sleep(chance.uniform(0, longest))
    job.refresh_from_db()
    if victim == "worker":
        worker.kill()
    for child in job.worker.get("children", []):
        if child["program"] == victim:
            with suppress(ProcessLookupError):
                os.kill(child["pid"], signal.SIGKILL)
    worker.wait(60)
    wait_until(partial(is_settled, job), 20)
    return job


def list_ours(server: Server) -> set[str]:
    """Databases and roles that only work in progress may have."""
    with server.connect() as other:
        roles = {row[0] for row in other.execute("SELECT rolname FROM pg_roles").fetchall()}
    return {name for name in list_databases(server) | roles if name.startswith("preflight_")}


def list_plain() -> list[str]:
    """Plain files under var/tmp."""
    return [path.name for path in servers.temporary_directory().glob("*") if not path.name.endswith(".service")]


@pytest.mark.parametrize("victim", ["worker", "pg_dump"])
def test_a_backup_that_is_killed_is_good_or_gone(database: Database, store: Path, start: Start, victim: str) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    for _ in range(KILLS):
        job = kill_at_a_random_moment(Backup, start("create", "shop-production"), victim, chance, 0.6)
        backup = Backup.objects.get(pk=job.pk)
        if backup.state == State.DONE:
            assert run_verify(backup).outcome == "pass", f"seed {seed}"
            continue
        assert backup.error, f"seed {seed}"
        assert not [name for name in list_files(store) if f"-{backup.pk}-" in name], f"seed {seed}"
    taken = take(database)
    assert run_prove(taken).outcome == "pass"


@pytest.mark.parametrize("victim", ["worker", "pg_restore"])
def test_a_proof_that_is_killed_says_nothing_false(
    database: Database, server: Server, start: Start, victim: str, process_env: dict[str, str]
) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    # With several jobs, for which the plain archive lies on the disk meanwhile.
    process_env["RESTORE_JOBS_FROM_MB"] = "0"
    backup = take(database)
    for _ in range(KILLS):
        job = kill_at_a_random_moment(Verification, start("prove", str(backup.pk)), victim, chance, 1.0)
        proof = Verification.objects.get(pk=job.pk)
        backup.refresh_from_db()
        assert (proof.outcome == "pass") is (proof.state == State.DONE), f"seed {seed}: {proof.detail}"
        assert proof.outcome in {"pass", "error"}, f"seed {seed}: {proof.detail}"
        assert backup.damaged_at is None, f"seed {seed}: {backup.damage}"
        assert list_ours(server) == set(), f"seed {seed}"
        assert list_plain() == [], f"seed {seed}"
    assert run_prove(backup).outcome == "pass"


@pytest.mark.parametrize("victim", ["worker", "pg_restore"])
def test_a_restore_that_is_killed_is_whole_or_not_there(
    database: Database, server: Server, start: Start, victim: str
) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    backup = take(database)
    server.made.append("shop_back")
    for _ in range(KILLS):
        server.drop_database("shop_back")
        worker = start("restore", str(backup.pk), "--into", "shop_back")
        job = kill_at_a_random_moment(Restore, worker, victim, chance, 0.6)
        assert server.has_database("shop_back") is (job.state == State.DONE), f"seed {seed}: {job.error}"
        if job.state == State.DONE:
            with server.connect("shop_back") as other:
                assert other.execute("SELECT count(*) FROM orders").fetchone() == (5000,), f"seed {seed}"
        assert list_ours(server) == set(), f"seed {seed}"
    server.drop_database("shop_back")
    done = restores.restore(restore_requests.request_restore(backup, "shop_back").pk)
    assert done is not None
    assert done.state == State.DONE


@pytest.mark.parametrize("victim", ["worker", "pg_restore", "pg_dump"])
def test_tables_beside_that_are_killed_are_whole_or_not_there(
    database: Database, server: Server, start: Start, victim: str
) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    backup = take(database)
    for _ in range(max(1, KILLS // 2)):
        with server.connect("shop") as other:
            other.execute("DROP SCHEMA IF EXISTS back CASCADE")
        alone = ("--break-glass", "a test")
        worker = start("restore", str(backup.pk), "--beside", "back", "--table", "public.*", *alone)
        job = kill_at_a_random_moment(Restore, worker, victim, chance, 1.0)
        with server.connect("shop") as other:
            there = other.execute("SELECT to_regclass('back.orders') IS NOT NULL").fetchone()
            assert there == (job.state == State.DONE,), f"seed {seed}: {job.error}"
            if job.state == State.DONE:
                assert other.execute("SELECT count(*) FROM back.orders").fetchone() == (5000,), f"seed {seed}"
            assert other.execute("SELECT count(*) FROM public.orders").fetchone() == (5000,), f"seed {seed}"
        assert list_ours(server) == set(), f"seed {seed}"
    done = restores.restore(
        restore_requests.request_restore(
            backup, "shop", mode="side", side_schema="b2", tables=["public.*"], break_glass_reason="a test"
        ).pk
    )
    assert done is not None
    assert done.error == ""


@pytest.mark.parametrize("victim", ["worker", "psql"])
def test_an_import_that_is_killed_leaves_nothing(
    database: Database, server: Server, start: Start, store: Path, tmp_path: Path, victim: str
) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    script = tmp_path / "theirs.sql"
    script.write_text(
        "CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) n;\nSELECT pg_sleep(0.3);\n", encoding="ascii"
    )
    for _ in range(max(1, KILLS // 2)):
        job = kill_at_a_random_moment(Backup, start("import", "shop-production", str(script)), victim, chance, 1.0)
        assert list_ours(server) == set(), f"seed {seed}"
        assert list_plain() == [], f"seed {seed}"
        backup = Backup.objects.get(pk=job.pk)
        if backup.state == State.DONE:
            assert backup.tables == {"public.t": 1000}, f"seed {seed}"
            backup.delete()
        for path in [path for path in store.rglob("*") if path.is_file() and f"-{job.pk}-" in path.name]:
            assert job.state == State.DONE, f"seed {seed}: {path}"
        assert not list((store / "incoming").glob("*")), f"seed {seed}"


@dataclass
class CutProxy:
    """Passes connections on to a server until so many bytes have come back, then cuts all of them."""

    target: tuple[str, int]
    dsn: str = ""
    cut_after: int = 2**62
    passed: int = 0
    pairs: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)

    is_frozen: bool = False
    freezes: bool = False

    def handle(self, client: socket.socket) -> None:
        if self.is_frozen:
            client.recv(1_000_000)
            time.sleep(60)
            return
        if self.passed >= self.cut_after and not self.freezes:
            client.close()
            return
        upstream = socket.create_connection(self.target)
        self.pairs.append((client, upstream))
        threading.Thread(target=self._pass, args=(client, upstream, False), daemon=True).start()
        self._pass(upstream, client, True)

    def _pass(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while data := source.recv(16_384):
                while self.is_frozen:
                    time.sleep(0.1)
                sink.sendall(data)
                if counts:
                    self.passed += len(data)
                    if self.passed >= self.cut_after and self.freezes:
                        self.is_frozen = True
                    elif self.passed >= self.cut_after:
                        self.cut()
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        for pair in self.pairs:
            for each in pair:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(server: Server) -> Iterator[CutProxy]:
    """Between the portal and the server; the database's connection goes through it."""
    given = conninfo_to_dict(server.url("shop"))
    proxy = CutProxy((str(given["host"]), int(given["port"] or 0)))
    with serve(proxy.handle) as local:
        dsn = make_conninfo(server.url("shop"), port=local.port, sslmode="disable")
        proxy.dsn = dsn
        yield proxy
        proxy.cut()


def test_a_network_that_is_cut_leaves_no_backup(
    database: Database, server: Server, store: Path, proxy: CutProxy
) -> None:
    with server.connect("shop") as other:
        other.execute("CREATE TABLE bulk AS SELECT md5(n::text) AS a FROM generate_series(1, 60000) AS n")
    direct = database.dsn
    Database.objects.update(dsn=proxy.dsn)
    # In the middle of the rows: before them less than a megabyte comes back.
    proxy.cut_after = 1_500_000
    failed = take(Database.objects.get())
    assert (failed.state, failed.error_code) in {
        (State.FAILED, ErrorCode.CONNECTION_LOST),
        (State.FAILED, ErrorCode.UNREACHABLE),
    }
    assert "127.0.0.1" in failed.error
    assert list_files(store) == set()
    Database.objects.update(dsn=direct)
    assert take(Database.objects.get()).status == "done"


def test_a_network_that_swallows_everything_leaves_no_backup(
    database: Database, server: Server, store: Path, proxy: CutProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connection ends: only somebody who asks notices that nothing comes any more."""
    with server.connect("shop") as other:
        other.execute("CREATE TABLE bulk AS SELECT md5(n::text) AS a FROM generate_series(1, 60000) AS n")
    monkeypatch.setattr(answering, "ASK_SECONDS", 0.2)
    monkeypatch.setattr(answering, "SILENT_SECONDS", 3.0)
    direct = database.dsn
    Database.objects.update(dsn=make_conninfo(proxy.dsn, connect_timeout=2))
    proxy.cut_after, proxy.freezes = 1_500_000, True
    failed = take(Database.objects.get())
    proxy.is_frozen = False
    proxy.cut()
    assert (failed.state, failed.error_code) == (State.FAILED, ErrorCode.CONNECTION_LOST)
    assert "has not answered for 3 seconds" in failed.error
    wait_until(partial(is_settled, failed), 20)
    assert list_files(store) == set()
    Database.objects.update(dsn=direct)
    assert take(Database.objects.get()).status == "done"


def test_a_network_that_is_cut_leaves_no_database(
    database: Database, server: Server, proxy: CutProxy, settings: Settings
) -> None:
    backup = take(database)
    direct = database.dsn
    Database.objects.update(dsn=proxy.dsn)
    threads: list[threading.Thread] = []

    def cut_when_it_restores() -> None:
        wait_for_running(Restore, "pg_restore")
        wait_until(lambda: any(name.startswith("preflight_restoring_") for name in list_databases(server)))
        proxy.cut_after = 0
        proxy.cut()
        connection.close()

    with server.connect("shop") as other:
        # What is restored waits long enough for the cut to come in the middle, however fast the machine is.
        other.execute(
            "CREATE FUNCTION dawdle(int) RETURNS boolean LANGUAGE plpgsql AS "
            "$$ BEGIN IF current_database() LIKE 'preflight%' THEN PERFORM pg_sleep(30); END IF; RETURN true; END $$"
        )
        other.execute("CREATE TABLE slow (a int CHECK (public.dawdle(a)))")
        other.execute("INSERT INTO slow VALUES (1)")
    Database.objects.update(dsn=direct)
    backup = take(Database.objects.get())
    Database.objects.update(dsn=proxy.dsn)
    threads.append(threading.Thread(target=cut_when_it_restores))
    threads[0].start()
    failed = restores.restore(restore_requests.request_restore(Backup.objects.get(pk=backup.pk), "shop_back").pk)
    threads[0].join()
    assert failed is not None
    assert failed.state == State.FAILED
    assert failed.error_code in {ErrorCode.CONNECTION_LOST, ErrorCode.UNREACHABLE}, failed.error
    Database.objects.update(dsn=direct)
    wait_until(partial(is_settled, failed), 20)
    assert list_ours(server) == set()
    assert not server.has_database("shop_back")


@pytest.fixture(scope="module")
def crashing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server that may crash without taking the portal's own with it."""
    cluster = Cluster.locate(tmp_path_factory.mktemp("crashing") / "var")
    cluster.ensure_running()
    cluster.ensure_database("store")
    with psycopg.connect(dsn_of(cluster, "store")) as other:
        other.execute("CREATE TABLE goods AS SELECT n, md5(n::text) AS a FROM generate_series(1, 20000) AS n")
    yield cluster
    cluster.remove()


def dsn_of(cluster: Cluster, name: str) -> str:
    info = cluster.connection(name)
    return make_conninfo("", host=info.host, port=info.port, user=info.user, password=info.password, dbname=info.dbname)


def crash(cluster: Cluster, application_name: str) -> bool:
    """kill -9 of one of the server's processes, by which the whole server restarts; whether there was one."""
    with suppress(psycopg.Error), psycopg.connect(dsn_of(cluster, "postgres"), autocommit=True) as other:
        row = other.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND datname LIKE %s", [application_name, "%"]
        ).fetchone()
        if row is not None:
            os.kill(row[0], signal.SIGKILL)
            return True
    return False


def answers(cluster: Cluster) -> bool:
    with suppress(psycopg.Error), psycopg.connect(dsn_of(cluster, "postgres")):
        return True
    return False


def test_a_server_that_crashes_costs_one_run_and_nothing_else(
    db: None, store: Path, crashing: Cluster, server: Server
) -> None:
    environment = Environment.objects.create(name="Store", slug="store")
    goods = Database.objects.create(
        environment=environment, name="main", dsn=dsn_of(crashing, "store"), prove_on_own_server=True
    )
    backup = take(goods)
    asked: tuple[tuple[type[Job], Callable[[], Job], Callable[[int], Job | None]], ...] = (
        (Backup, lambda: catalogue.request_backup(goods), dumps.take),
        (
            Restore,
            lambda: restore_requests.request_restore(Backup.objects.get(pk=backup.pk), "store_back"),
            restores.restore,
        ),
    )
    for model, ask, run in asked:
        # Its connection dies with the server.
        with suppress(psycopg.OperationalError), psycopg.connect(dsn_of(crashing, "store"), autocommit=True) as holder:
            if model is Backup:
                # The backup waits for the table until the server crashes.
                holder.execute("BEGIN")
                holder.execute("LOCK TABLE goods IN ACCESS EXCLUSIVE MODE")
            queued = ask()

            def break_it(model: type[Job] = model) -> None:
                wait_until(lambda: model._default_manager.filter(state=State.RUNNING).exists())
                job = model._default_manager.get(state=State.RUNNING)
                # Of a restore that is over before anybody looks, nothing can be said but that it is whole.
                wait_until(
                    lambda: (
                        crash(crashing, job.application_name)
                        or not model._default_manager.filter(state=State.RUNNING).exists()
                    )
                )
                connection.close()

            breaker = threading.Thread(target=break_it)
            breaker.start()
            ended = run(queued.pk)
            breaker.join()
        assert ended is not None
        wait_until(partial(answers, crashing), 30)
        wait_until(partial(is_settled, ended), 20)
        if ended.state == State.FAILED:
            assert ended.error_code in {ErrorCode.CONNECTION_LOST, ErrorCode.UNREACHABLE}, ended.error
        assert model is not Backup or ended.state == State.FAILED
    with psycopg.connect(dsn_of(crashing, "postgres"), autocommit=True) as other:
        names = {row[0] for row in other.execute("SELECT datname FROM pg_database").fetchall()}
        assert not any(name.startswith("preflight_") for name in names)
        assert ("store_back" in names) is Restore.objects.filter(state=State.DONE).exists()
        other.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier("store_back")))
    assert take(goods).status == "done"
    done = restores.restore(restore_requests.request_restore(Backup.objects.get(pk=backup.pk), "store_back").pk)
    assert done is not None
    assert done.error == ""
    with psycopg.connect(dsn_of(crashing, "postgres"), autocommit=True) as other:
        other.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier("store_back")))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_under_the_plain_archive_is_no_damage(
    database: Database, server: Server, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.connect("shop") as other:
        other.execute("CREATE TABLE bulk AS SELECT md5(n::text) AS a FROM generate_series(1, 30000) AS n")
    backup = take(database)
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        settings.RESTORE_JOBS_FROM_MB = 0
        monkeypatch.setattr(servers, "temporary_directory", lambda: small)
        # It fits by what is known beforehand: somebody else fills the disk meanwhile.
        monkeypatch.setattr(plaintext, "free_bytes", lambda: 10**12)
        proof = run_prove(backup)
        assert (proof.outcome, proof.error_code) == ("error", ErrorCode.NO_SPACE)
        assert "free some space" in proof.detail
        assert (backup.damaged_at, backup.proven_at) == (None, None)
        assert list(small.glob("*")) == []
        monkeypatch.undo()
        assert run_prove(backup).outcome == "pass"
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_store_that_refuses_or_loses_the_end_has_no_good_backup(
    database: Database, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.mkdir()
    (store / "shop-production").write_text("in the way")
    refused = take(database)
    assert (refused.state, refused.error_code) == (State.FAILED, ErrorCode.STORE_FAILED)
    assert str(store) in refused.error
    (store / "shop-production").unlink()

    seal = stores.NewFile.seal

    def seal_and_lose(artifact: stores.NewFile) -> None:
        seal(artifact)
        if artifact.name.endswith(storage.ENDING):
            os.truncate(artifact.path, artifact.path.stat().st_size - 100)

    with monkeypatch.context() as patched:
        patched.setattr(stores.NewFile, "seal", seal_and_lose)
        queued = catalogue.request_backup(database)
        tasks.take_backup(queued.pk)
    lost = Backup.objects.get(pk=queued.pk)
    assert lost.verified_at is None
    assert lost.status in {"damaged", "failed"}
    assert tasks.take_backup(catalogue.request_backup(database).pk) == "proven"


def test_a_wrong_key_restores_nothing_and_calls_nothing_damaged(
    database: Database, server: Server, settings: Settings, tmp_path: Path
) -> None:
    backup = take(database)
    other_key = tmp_path / "other.txt"
    other_key.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    settings.AGE_IDENTITY_FILE = str(other_key)
    settings.RESTORE_JOBS_FROM_MB = 0
    for tried in (run_verify(backup), run_prove(backup)):
        assert (tried.outcome, tried.error_code) == ("error", ErrorCode.WRONG_KEY)
    failed = restores.restore(restore_requests.request_restore(backup, "shop_back").pk)
    assert failed is not None
    assert (failed.error_code, server.has_database("shop_back")) == (ErrorCode.WRONG_KEY, False)
    assert list_ours(server) == set()
    settings.AGE_IDENTITY_FILE = ""
    assert run_prove(backup).outcome == "pass"
    assert backup.damaged_at is None


def test_a_table_that_the_role_may_not_read_is_named(database: Database, server: Server, store: Path) -> None:
    with server.connect("shop") as other:
        other.execute("DROP ROLE IF EXISTS reader")
        other.execute("CREATE ROLE reader LOGIN PASSWORD 'reads'")
        other.execute("GRANT USAGE ON SCHEMA public, log TO reader")
        other.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public, log TO reader")
        other.execute("GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO reader")
        other.execute("REVOKE SELECT ON orders FROM reader")
    try:
        dsn = database.dsn
        Database.objects.update(dsn="postgresql://reader:reads@" + server.url("shop").rpartition("@")[2])
        failed = take(Database.objects.get())
        assert failed.error_code == ErrorCode.PERMISSION
        assert "orders" in failed.error
        assert list_files(store) == set()
        Database.objects.update(dsn=dsn)
        assert take(Database.objects.get()).status == "done"
    finally:
        server.drop_database("shop")
        with server.connect() as other:
            other.execute("DROP ROLE reader")


def drop_while_it_waits(database: Database, server: Server, table: str) -> Backup:
    """Drop a table that the backup has seen and waits for; the backup as it ended."""
    queued = catalogue.request_backup(database)

    def drop() -> None:
        wait_for_running(Backup, "pg_dump")
        with server.connect() as looking:
            wait_until(
                lambda: looking.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'preflight backup%'"
                    " AND wait_event_type = 'Lock'"
                ).fetchone()
            )
        holder.execute(f"DROP TABLE {table} CASCADE")
        holder.execute("COMMIT")
        connection.close()

    with server.connect("shop") as holder:
        # When both wait for each other, it is the backup that the server ends.
        holder.execute("SET deadlock_timeout = '60s'")
        holder.execute("BEGIN")
        holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        dropper = threading.Thread(target=drop)
        dropper.start()
        ended = dumps.take(queued.pk)
        dropper.join()
    assert ended is not None
    return ended


def test_a_dump_that_meets_a_dropped_table_begins_again(database: Database, server: Server, store: Path) -> None:
    with server.connect("shop") as other:
        other.execute("CREATE TABLE doomed (id int)")
    taken = drop_while_it_waits(database, server, "doomed")
    assert (taken.state, taken.error) == (State.DONE, "")
    assert "public.doomed" not in taken.tables
    name = Path(taken.artifact).name
    assert list_files(store) == {name, name + storage.MANIFEST}
    assert run_prove(taken).outcome == "pass"


def test_a_drop_that_meets_the_backup_in_a_deadlock_is_waited_for(database: Database, server: Server) -> None:
    """To drop orders, customers has to be locked, which the backup has: the server ends one of the two."""
    taken = drop_while_it_waits(database, server, "orders")
    assert (taken.state, taken.error) == (State.DONE, "")
    assert "public.orders" not in taken.tables
    assert run_prove(taken).outcome == "pass"


def test_a_clock_that_is_set_back_hides_and_ends_nothing(
    database: Database, server: Server, store: Path, start: Start
) -> None:
    first = take(database)
    real_now = timezone.now()
    with time_machine.travel(real_now - timedelta(hours=3), tick=True):
        second = take(database)
        assert (run_verify(second).outcome, run_prove(second).outcome) == ("pass", "pass")
        assert second.artifact != first.artifact
        # The database's own clock says which is newer.
        assert second.taken_at is not None and first.taken_at is not None
        assert second.taken_at > first.taken_at
        with server.connect("shop") as other:
            other.execute("BEGIN")
            other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            # This one lives by the right clock, and is killed under the wrong one.
            worker = start("create", "shop-production")
            job = wait_for_running(Backup, "pg_dump")
            assert reaper.reap() == 0
            worker.kill()
            worker.wait()
            wait_until(lambda: reaper.reap() or is_settled(job), 20)
        job.refresh_from_db()
        assert (job.state, job.error_code) == (State.FAILED, ErrorCode.ABANDONED)
        assert take(database).status == "done"
    assert len(list_files(store)) == 2 * Backup.objects.filter(state=State.DONE).count() == 6


def test_two_portals_do_not_back_up_one_database_at_once(
    database: Database, server: Server, start: Start, store: Path
) -> None:
    """The second knows nothing of the first one's rows: it sees the database as another environment's."""
    other_portal = Environment.objects.create(name="Theirs", slug="theirs")
    Database.objects.create(environment=other_portal, name="main", dsn=database.dsn)
    with server.connect("shop") as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        first = start("create", "shop-production")
        wait_for_running(Backup, "pg_dump")
        second = start("create", "theirs")
        assert second.wait(60) == 1
        other.execute("ROLLBACK")
        assert first.wait(60) == 0
    refused = Backup.objects.get(environment_slug="theirs")
    assert (refused.state, refused.error_code) == (State.FAILED, ErrorCode.BUSY)
    assert "Another backup of shop" in refused.error
    assert Backup.objects.get(environment_slug="shop-production").status == "verified"
    assert take(Database.objects.get(environment=other_portal)).status == "done"
