"""How fast backups, proofs and restores are, each with its peer beside it in the same run; prints a table.

Run as `python -m bench.backups [MEGABYTES]`; the default is 500 MB. Every figure is the best of ROUNDS. Client CPU is
that of this process and its children; the server's is not in it. Interpreter start is left out on both sides.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.ground import portal_on_scratch_cluster
from bench.promises import Promises

MEGABYTES = int(sys.argv[1]) if len(sys.argv) > 1 else 500
ROUNDS = 3
DATABASE = "bench_shop"
FLOOR, DEFAULT, PIPE = "COPY of all tables to /dev/null, the floor", "pg_dump -Fc", "pg_dump -Fc -Z0 | zstd -3"


@dataclass(frozen=True)
class Figure:
    """One way to do it: seconds of wall time and client CPU, peak MB of memory, MB of what came out."""

    name: str
    seconds: float
    cpu_seconds: float
    rss_mb: float
    size_mb: float | None = None


def measure(ways: dict[str, Callable[[], float | None]]) -> list[Figure]:
    """The best round of every way; they take turns, so that all of them meet the same load."""
    best: dict[str, Figure] = {}
    for _ in range(ROUNDS):
        for name, work in ways.items():
            before, began = _read_cpu(), time.perf_counter()
            with PeakMemory() as memory:
                size = work()
            seconds = time.perf_counter() - began
            figure = Figure(name, seconds, _read_cpu() - before, memory.peak_mb, size)
            if name not in best or seconds < best[name].seconds:
                best[name] = figure
    return list(best.values())


def _read_cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


class PeakMemory:
    """Samples the resident memory of this process's children, and what this process has grown by, 50 times a second."""

    def __init__(self, *, with_children: bool = True) -> None:
        self._with_children = with_children

    def __enter__(self) -> PeakMemory:
        self.peak_mb = 0.0
        self._base = _read_rss(os.getpid())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            total = max(0.0, _read_rss(os.getpid()) - self._base)
            if self._with_children:
                total += sum(_read_rss(pid) for pid in _list_children())
            self.peak_mb = max(self.peak_mb, total)


def _read_rss(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _list_children() -> list[int]:
    """Those that run a program of their own: right after a fork a child still counts the parent's memory."""
    ours = Path("/proc/self/cmdline").read_bytes()
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        try:
            pids = (task / "children").read_text().split()
            found += [int(pid) for pid in pids if Path(f"/proc/{pid}/cmdline").read_bytes() != ours]
        except OSError:
            continue
    return found


def main() -> None:
    with portal_on_scratch_cluster():
        work = Path(tempfile.mkdtemp(prefix="preflight-bench-work-"))
        try:
            bench(work)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def bench(work: Path) -> None:
    from backups import pg_binaries, servers

    portal = servers.proof_server()
    dsn = portal.with_database(DATABASE)
    size_mb = fill(portal, dsn)
    client = pg_binaries.find_client(_major(portal))
    print(f"A database of {size_mb:,.0f} MB, PostgreSQL {client.version}, {os.cpu_count()} cores, best of {ROUNDS}.\n")
    promises = Promises("Backups")
    with dsn.service_file("bench") as service:
        environment = {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "PGSERVICEFILE": str(service)}
        dumps = bench_dumps(work, client, environment, dsn)
        backup = show_backups(promises, dumps, dsn)
    show_restores(promises, work, client, portal, backup)
    promises.finish()


def fill(portal: Any, dsn: Any) -> float:
    """Rows like a shop's: words, numbers, times and hex, about 700 bytes of them compressible to an eighth."""
    from psycopg import sql

    with portal.connect("bench") as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    with dsn.connect("bench") as connection:
        connection.execute("CREATE TABLE customers (id bigserial PRIMARY KEY, name text, note text, at timestamptz)")
        connection.execute("CREATE TABLE orders (id bigserial PRIMARY KEY, customer bigint, state text, body text)")
        step = 20_000
        while True:
            connection.execute(
                "INSERT INTO customers (name, note, at) SELECT 'customer ' || n, "
                "repeat('lorem ipsum dolor ', 1 + n %% 8) || n, now() - n * interval '1 s' "
                "FROM generate_series(1, %s) AS n",
                [step],
            )
            connection.execute(
                "INSERT INTO orders (customer, state, body) SELECT n, 'state ' || n %% 5, md5(n::text)"
                " || repeat(' sit amet consectetur', 1 + n %% 20) FROM generate_series(1, %s) AS n",
                [step * 2],
            )
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
            if row[0] >= MEGABYTES * 1_000_000:
                break
        connection.execute("CREATE INDEX ON orders (customer)")
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return float(row[0]) / 1e6


def _major(portal: Any) -> int:
    with portal.connect("bench") as connection:
        return int(connection.info.server_version) // 10000


def bench_dumps(
    work: Path, client: Any, environment: dict[str, str], dsn: Any
) -> dict[str, Callable[[], float | None]]:
    """The floor, and the two ways that need nothing of ours."""
    target = work / "peer.dump"
    dump = [str(client.pg_dump), "--dbname=service=preflight", "--no-password", "--format=custom"]

    def copy_all() -> None:
        with dsn.connect("bench") as connection:
            for table in ("customers", "orders"):
                with connection.cursor().copy(f"COPY {table} TO STDOUT") as copy, Path(os.devnull).open("wb") as sink:
                    for block in copy:
                        sink.write(block)

    def custom() -> float:
        with target.open("wb") as file:
            subprocess.run(dump, env=environment, stdout=file, check=True)
        return target.stat().st_size / 1e6

    def piped() -> float:
        with target.open("wb") as file:
            first = subprocess.Popen([*dump, "--compress=0"], env=environment, stdout=subprocess.PIPE)
            second = subprocess.Popen(["zstd", "-3", "-q", "-c"], stdin=first.stdout, stdout=file)
            assert first.stdout is not None
            first.stdout.close()
            if first.wait() or second.wait():
                raise SystemExit("the pipe of pg_dump and zstd failed")
        return target.stat().st_size / 1e6

    ways: dict[str, Callable[[], float | None]] = {FLOOR: copy_all, DEFAULT: custom}
    if shutil.which("zstd"):
        ways[PIPE] = piped
    return ways


def show_backups(promises: Promises, peers: dict[str, Callable[[], float | None]], dsn: Any) -> Any:
    from psycopg.conninfo import make_conninfo

    from backups import catalogue, dumps
    from readiness.models import Database, Environment

    environment = Environment.objects.create(name="Bench", slug="bench")
    database = Database.objects.create(
        environment=environment, name="main", dsn=make_conninfo("", **dsn.parameters), prove_on_own_server=True
    )
    taken: list[Any] = []

    def take() -> float:
        done = dumps.take(catalogue.request_backup(database).pk)
        if done is None or done.state != "done":
            raise SystemExit(done.error if done else "the backup was not taken")
        taken.append(done)
        return float(done.bytes) / 1e6

    figures = measure({**peers, "Preflight: snapshot, counts, checksums, zstd, age, sha256, fsync": take})
    show("Take", figures)
    by_name = {figure.name: figure for figure in figures}
    default, ours = by_name[DEFAULT], figures[-1]
    promises.at_least("times faster than pg_dump -Fc", default.seconds / ours.seconds, 1.8)
    promises.at_most("size against pg_dump -Fc", (ours.size_mb or 0) / (default.size_mb or 1), 1.0)
    promises.at_most("memory on top of the worker", ours.rss_mb, 80, " MB")
    if pipe := by_name.get(PIPE):
        promises.at_most("time against the bare pipe of pg_dump and zstd", ours.seconds / pipe.seconds, 1.25)
    return taken[-1]


def show_restores(promises: Promises, work: Path, client: Any, portal: Any, backup: Any) -> None:
    from backups import catalogue, restore_requests, restores, verify

    plain = work / "plain.dump"
    from backups.store_check import export_plain

    export_plain(backup, plain)
    numbers = iter(range(1000))

    def restore_peer(jobs: int) -> Callable[[], None]:
        def work_once() -> None:
            name = f"bench_peer_{next(numbers)}"
            with portal.connect("bench") as connection:
                connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
            with portal.with_database(name).service_file("bench") as service:
                environment = {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "PGSERVICEFILE": str(service)}
                command = [str(client.pg_restore), "--dbname=service=preflight", "--exit-on-error", f"-j{jobs}"]
                subprocess.run([*command, str(plain)], env=environment, check=True)
            with portal.connect("bench") as connection:
                connection.execute(f"DROP DATABASE {name}")

        return work_once

    def prove() -> None:
        done = verify.prove(catalogue.request_verification(backup, "prove").pk)
        if done is None or done.outcome != "pass":
            raise SystemExit(done.detail if done else "the proof did not run")

    def restore() -> None:
        name = f"bench_restored_{next(numbers)}"
        done = restores.restore(restore_requests.request_restore(backup, name).pk)
        if done is None or done.state != "done":
            raise SystemExit(done.error if done else "the restore did not run")
        with portal.connect("bench") as connection:
            connection.execute(f"DROP DATABASE {name}")

    peer, single, proved, restored = measure(
        {
            "pg_restore -j2 of a plain file, not compared": restore_peer(2),
            "pg_restore -j1 of a plain file, not compared": restore_peer(1),
            "Preflight prove: decrypt, restore, compare, pg_amcheck, drop": prove,
            "Preflight restore: decrypt, restore, compare, rename": restore,
        }
    )
    show("Restore", [peer, single, proved, restored])
    promises.at_most("time of a proof against pg_restore -j2", proved.seconds / peer.seconds, 1.25)
    promises.at_most("time of a restore against pg_restore -j2", restored.seconds / peer.seconds, 1.25)


def show(title: str, figures: list[Figure]) -> None:
    width = max(len(figure.name) for figure in figures)
    print(f"{title:<{width}}   wall s  client CPU s   RSS MB     MB")
    for figure in figures:
        size = "     -" if figure.size_mb is None else f"{figure.size_mb:6.1f}"
        print(f"{figure.name:<{width}}  {figure.seconds:7.2f}  {figure.cpu_seconds:12.2f}  {figure.rss_mb:7.1f} {size}")
    print()


if __name__ == "__main__":
    main()
