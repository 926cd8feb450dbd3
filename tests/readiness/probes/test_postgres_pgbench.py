"""What pgbench does to a real server is found and named: no stand-in for the load, none for the trouble."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from portal.postgres_binaries import find_server_binaries
from readiness.probes.base import ProbeResult, Status, TargetOptions
from readiness.probes.postgres import PostgresProbe
from tests.cluster import CLUSTER
from tests.conftest import Server
from tests.servers.probing import LOCAL, find, probe_now

PGBENCH = find_server_binaries().program("pgbench")
# Each client takes a row and keeps it while it sleeps, so that the others wait for it.
LONG = "BEGIN;\nUPDATE pgbench_tellers SET tbalance = tbalance + 1 WHERE tid = 1;\n\\sleep 60 s\nEND;\n"
SCAN = "SELECT count(*) FROM pgbench_history WHERE delta > 0;\n"
SENSITIVE = {
    "transaction_warn_seconds": 0.5,
    "idle_in_transaction_warn_seconds": 0.5,
    "blocked_warn_seconds": 0.5,
    "sequential_scan_bytes": 8_192,
    "sequential_scan_rows": 1_000,
    "sequential_scans": 20,
    "stale_statistics_rows": 500,
    "slow_query_calls": 20,
    "slow_query_warn_seconds": 0,
}

pytestmark = pytest.mark.skipif(not PGBENCH.exists(), reason="pgbench is not installed")


def make_environment() -> dict[str, str]:
    """How pgbench reaches the database, as it asks the environment for it."""
    info = CLUSTER.connection("benched")
    names = {"PGHOST": "127.0.0.1", "PGPORT": str(info.port), "PGUSER": info.user, "PGPASSWORD": info.password}
    return {**os.environ, **names, "PGDATABASE": "benched"}


def run_pgbench(*options: str) -> None:
    command = [str(PGBENCH), *options]
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=make_environment())


@contextmanager
def running_pgbench(*options: str) -> Iterator[None]:
    """pgbench at work in the background, ended at the end."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([str(PGBENCH), *options], stdout=quiet, stderr=quiet, env=make_environment())
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def benched(server: Server) -> Iterator[Server]:
    """The database of pgbench as it makes it: four tables and not one foreign key."""
    server.create_database("benched", "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    run_pgbench("--initialize", "--quiet", "--scale=1")
    yield server
    with server.connect() as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'benched'")


def probe(server: Server, **thresholds: float) -> ProbeResult:
    probing, options = PostgresProbe(), TargetOptions(timeout_seconds=20, address_policy=LOCAL)
    target = probing.parse_target(server.url("benched"), options)
    return probe_now(probing, replace(target, thresholds={**SENSITIVE, **thresholds}))


def wait_for(server: Server, question: str) -> None:
    deadline = time.monotonic() + 30
    with server.connect("benched") as connection:
        while not connection.execute(question).fetchone()[0]:  # type: ignore[index]
            assert time.monotonic() < deadline, f"never true: {question}"
            time.sleep(0.05)


def test_it_names_who_holds_a_row_and_who_waits_for_it(benched: Server, tmp_path: Path) -> None:
    script = tmp_path / "long.sql"
    script.write_text(LONG)
    with running_pgbench("--no-vacuum", "--client=3", "--time=60", f"--file={script}"):
        wait_for(
            benched,
            "SELECT count(*) = 2 FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND query_start < now() - interval '1 second'",
        )
        result = probe(benched)
        with benched.connect("benched") as connection:
            holder, waiting = (
                [
                    pid
                    for (pid,) in connection.execute(
                        "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench' AND state = %s", [state]
                    )
                ]
                for state in ("idle in transaction", "active")
            )

    assert (len(holder), len(waiting)) == (1, 2)
    for name in ("oldest_transaction", "idle_in_transaction", "blocked_sessions"):
        finding = find(result, name)
        assert finding.status is Status.WARN, finding
        assert "pgbench" in f"{finding.summary}{finding.detail}", finding
        # Any of the three may have begun its transaction first, whoever got the row.
        named = [*holder, *waiting] if name == "oldest_transaction" else holder
        assert any(f"SELECT pg_terminate_backend({pid});" in finding.fix for pid in named), finding
    blocked = find(result, "blocked_sessions")
    assert all(f"pid {pid}" in f"{blocked.summary}\n{blocked.detail}" for pid in waiting)


def test_it_finds_what_a_load_leaves_behind(benched: Server, tmp_path: Path) -> None:
    run_pgbench("--no-vacuum", "--client=2", "--transactions=600")
    script = tmp_path / "scan.sql"
    script.write_text(SCAN)
    run_pgbench("--no-vacuum", "--client=1", "--transactions=30", f"--file={script}")
    wait_for(benched, "SELECT seq_scan >= 30 FROM pg_stat_user_tables WHERE relname = 'pgbench_history'")

    result = probe(benched, foreign_key_tables=4)

    assert "public.pgbench_history" in find(result, "sequential_scans").summary
    assert "ANALYZE public.pgbench_history;" in find(result, "stale_statistics").fix
    assert find(result, "foreign_keys").summary.startswith("4 tables and not one foreign key")
    texts = [each["text"] for each in result.data["top_queries"]]
    assert "UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2" in texts
    assert len(texts) <= 10
    # The literals of its statements, its random numbers among them, are parameters.
    assert not [text for text in texts if "pgbench_" in text and "$1" not in text and "UPDATE" in text]
    assert result.data["counts"]["slow_queries"] >= 3


def test_its_statements_mend_what_a_load_left_behind(benched: Server) -> None:
    run_pgbench("--no-vacuum", "--client=2", "--transactions=600")
    wait_for(benched, "SELECT n_mod_since_analyze >= 500 FROM pg_stat_user_tables WHERE relname = 'pgbench_history'")
    finding = find(probe(benched), "stale_statistics")
    assert finding.status is Status.WARN

    with benched.connect("benched") as connection:
        for statement in finding.fix.splitlines():
            if statement.endswith(";"):
                connection.execute(statement)

    assert find(probe(benched), "stale_statistics").status is Status.PASS
