"""The private cluster, as real servers: made whole, found again, adopted, stopped, and never run as root."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from portal import cluster_config, processes
from portal.cluster_account import explain_output
from portal.cluster_creation import FINGERPRINT_FILE
from portal.embedded_postgres import Cluster, ClusterError


def ask(cluster: Cluster, query: str, **changes: Any) -> Any:
    with psycopg.connect(**{**cluster.connection().as_kwargs(), **changes}, connect_timeout=5) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def make_row(cluster: Cluster) -> None:
    with psycopg.connect(**cluster.connection().as_kwargs()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")


def wait_until_dead(pid: int) -> None:
    deadline = time.monotonic() + 20
    while processes.is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One running cluster for the tests that leave it running."""
    cluster = Cluster.locate(tmp_path_factory.mktemp("shared") / "var")
    cluster.ensure_running()
    yield cluster
    cluster.remove()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that is not made yet, and gone afterwards."""
    cluster = Cluster.locate(tmp_path / "var")
    yield cluster
    with suppress(ClusterError):
        cluster.remove()


def test_it_is_located_without_making_or_starting_anything(tmp_path: Path) -> None:
    cluster = Cluster.locate(tmp_path / "var")
    info = cluster.connection()

    assert not cluster.exists
    assert not cluster.is_running()
    assert (info.user, info.dbname, info.password) == ("preflight", "preflight", "")
    assert not (tmp_path / "var").exists()
    assert not cluster.home.path.exists()


def test_it_keeps_the_password_out_of_its_own_text(shared: Cluster) -> None:
    info = shared.connection()

    assert len(info.password) >= 32
    assert info.password not in repr(info)


def test_it_has_checksums_utf8_statements_and_room(shared: Cluster) -> None:
    assert ask(shared, "SHOW data_checksums") == "on"
    assert ask(shared, "SHOW server_encoding") == "UTF8"
    assert ask(shared, "SHOW shared_preload_libraries") == "pg_stat_statements"
    assert ask(shared, "SHOW max_connections") == "150"
    assert ask(shared, "SELECT count(*) > 0 FROM pg_stat_statements") is True


def test_it_answers_on_loopback_and_socket_to_its_password_only(shared: Cluster) -> None:
    assert ask(shared, "SELECT 1", host="127.0.0.1") == 1
    assert ask(shared, "SHOW listen_addresses") == "127.0.0.1"
    for host in ("127.0.0.1", shared.connection().host):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            ask(shared, "SELECT 1", host=host, password="wrong")


def test_it_lets_nobody_in_without_scram(shared: Cluster) -> None:
    rules = (shared.data_dir / "pg_hba.conf").read_text()
    methods = {line.split()[-1] for line in rules.splitlines() if line.strip() and not line.startswith("#")}

    assert methods == {"scram-sha-256"}


def test_it_never_runs_as_root(shared: Cluster) -> None:
    pid = shared.server_pid()
    assert pid is not None
    uid = Path(f"/proc/{pid}").stat().st_uid

    assert uid != 0
    assert uid == shared.data_dir.stat().st_uid
    assert stat.S_IMODE(shared.home.path.stat().st_mode) == 0o700


def test_it_tells_no_process_list_its_password(shared: Cluster) -> None:
    pid = shared.server_pid()
    assert pid is not None
    password = shared.connection().password

    assert password not in processes.read_command_line(pid)
    assert password.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    assert password not in shared.log_path.read_text()


def test_it_leaves_no_file_of_the_making_behind(shared: Cluster) -> None:
    assert [path.name for path in shared.home.path.iterdir() if "part" in path.name] == []


def test_it_is_the_same_cluster_for_every_process(shared: Cluster) -> None:
    program = (
        "import sys; from pathlib import Path; from portal.embedded_postgres import Cluster;"
        "c = Cluster.locate(Path(sys.argv[1])); print(c.is_running(), c.connection().port, c.connection().host)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(shared.var_dir)], capture_output=True, text=True, check=True
    ).stdout.split()

    assert told == ["True", str(shared.connection().port), shared.connection().host]


def test_it_adopts_a_server_that_runs_already(shared: Cluster) -> None:
    pid = shared.server_pid()

    assert shared.start() == shared.connection()
    assert shared.server_pid() == pid


def test_it_makes_a_database_once(shared: Cluster) -> None:
    shared.ensure_database("second")
    shared.ensure_database("second")

    assert ask(shared, "SELECT count(*) FROM pg_database WHERE datname = 'second'") == 1
    assert ask(shared, "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'", dbname="second") == 1


def test_it_keeps_failing_statements_out_of_the_log(shared: Cluster) -> None:
    with pytest.raises(psycopg.Error):
        ask(shared, "CREATE ROLE preflight PASSWORD 'do-not-log-me'")

    assert 'role "preflight" already exists' in shared.log_path.read_text()
    assert "do-not-log-me" not in shared.log_path.read_text()


def test_it_keeps_rows_and_port_over_a_restart(cluster: Cluster) -> None:
    port = cluster.ensure_running().port
    make_row(cluster)
    assert cluster.stop() is True
    assert not cluster.is_running()
    assert cluster.stop() is False

    assert cluster.start().port == port
    assert ask(cluster, "SELECT n FROM kept") == 42


def test_it_takes_another_port_when_its_own_is_taken(cluster: Cluster) -> None:
    port = cluster.ensure_running().port
    cluster.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()

        assert cluster.start().port != port
        assert ask(cluster, "SELECT 1", host="127.0.0.1") == 1


def test_it_starts_again_after_the_server_was_killed(cluster: Cluster) -> None:
    cluster.ensure_running()
    make_row(cluster)
    pid = cluster.server_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until_dead(pid)
    assert not cluster.is_running()

    cluster.start()

    assert ask(cluster, "SELECT n FROM kept") == 42


def test_it_does_not_take_a_stranger_with_the_recorded_number_for_the_server(cluster: Cluster) -> None:
    cluster.ensure_running()
    cluster.stop()
    account = cluster.home.account
    stranger = subprocess.Popen(["/bin/sleep", "60"], user=account.uid if account else None)
    try:
        # What a crash leaves, with a number that the kernel has given away again, to the same account.
        (cluster.data_dir / "postmaster.pid").write_text(f"{stranger.pid}\n{cluster.data_dir}\n1\n5432\n")
        assert not cluster.is_running()
        assert cluster.stop() is False

        cluster.start()

        assert ask(cluster, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_it_makes_the_cluster_anew_after_initdb_was_interrupted(cluster: Cluster) -> None:
    half = cluster.home.path / "data.part-dead"
    (half / "base").mkdir(parents=True)
    (half / "PG_VERSION").write_text("15\n")
    assert not cluster.exists

    cluster.ensure_running()

    assert not half.exists()
    assert ask(cluster, "SELECT 1") == 1


def test_it_survives_a_kill_in_the_middle_of_making(cluster: Cluster) -> None:
    program = (
        "import sys; from pathlib import Path; from portal.embedded_postgres import Cluster;"
        "Cluster.locate(Path(sys.argv[1])).create()"
    )
    maker = subprocess.Popen([sys.executable, "-c", program, str(cluster.var_dir)])
    deadline = time.monotonic() + 30
    while not list(cluster.home.path.glob("data.part-*/PG_VERSION")) and not cluster.exists:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    maker.kill()
    maker.wait()

    cluster.ensure_running()

    assert ask(cluster, "SELECT 1") == 1
    assert [path.name for path in cluster.home.path.iterdir() if "part" in path.name] == []


def test_it_gives_racing_processes_one_server(cluster: Cluster) -> None:
    program = (
        "import sys; from pathlib import Path; from portal.embedded_postgres import Cluster;"
        "print(Cluster.locate(Path(sys.argv[1])).ensure_running().port)"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", program, str(cluster.var_dir)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    assert {racer.communicate()[0].strip() for racer in racers} == {str(cluster.connection().port)}


def test_it_starts_detached_and_holds_none_of_our_pipes(cluster: Cluster) -> None:
    program = (
        "import sys; from pathlib import Path; from portal.embedded_postgres import Cluster;"
        "Cluster.locate(Path(sys.argv[1])).ensure_running()"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program, str(cluster.var_dir)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = starter.communicate(timeout=60)  # returns only when nobody holds the pipe any more

    assert (output, starter.returncode) == (b"", 0)
    pid = cluster.server_pid()
    assert pid is not None
    assert os.getsid(pid) not in (os.getsid(0), os.getsid(os.getppid()))


@pytest.mark.parametrize("folder", ["deep-" * 16, "it's a, b"])
def test_it_uses_a_short_private_socket_directory_for_a_path_that_does_not_do(
    tmp_path: Path, monkeypatch: Any, folder: str
) -> None:
    if os.geteuid() == 0:
        # Root's clusters have short paths; a home of its own stands for a clone in such a folder.
        monkeypatch.setattr("portal.cluster_home.SYSTEM_HOME", Path("/var/lib/preflight") / folder)
    cluster = Cluster.locate(tmp_path / folder / "var")
    try:
        info = cluster.ensure_running()
        directory = Path(info.host)

        assert len(str(directory)) < 60
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert ask(cluster, "SELECT 1") == 1
        cluster.stop()
        assert Path(cluster.start().host) == directory
    finally:
        cluster.remove()
        if os.geteuid() == 0:
            shutil.rmtree(cluster.home.path.parent)
    assert not directory.exists()


def test_it_refuses_a_socket_directory_that_others_may_enter(tmp_path: Path) -> None:
    home = tmp_path / ("deep-" * 20)
    home.mkdir()
    open_to_all = Path("/tmp") / f"preflight-{os.getpid()}"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    try:
        chosen = cluster_config.prepare_socket_dir(open_to_all, home)
        chosen.rmdir()
        assert chosen != open_to_all
    finally:
        open_to_all.rmdir()


def test_it_says_that_the_keys_are_gone(cluster: Cluster) -> None:
    cluster.ensure_running()
    cluster.stop()
    cluster.password_path.write_text("another password\n")

    with pytest.raises(ClusterError, match=r"keys that are not in .*keys: .*make reset"):
        cluster.start()


def test_it_moves_the_cluster_of_a_deleted_clone_out_of_the_way(cluster: Cluster, caplog: Any) -> None:
    if not cluster.home.is_outside:
        pytest.skip("only root's clusters lie outside the clone")
    cluster.ensure_running()
    cluster.password_path.unlink()

    cluster.ensure_running()

    assert ask(cluster, "SELECT 1") == 1
    (message,) = [record.getMessage() for record in caplog.records if "deleted clone" in record.getMessage()]
    aside = Path(re.search(r"/\S+orphan-\w+", message)[0])  # type: ignore[index]
    assert (aside / "data" / FINGERPRINT_FILE).is_file()
    shutil.rmtree(aside)


def test_it_names_the_package_of_a_cluster_made_by_another_major(cluster: Cluster) -> None:
    cluster.ensure_running()
    cluster.stop()
    (cluster.data_dir / "PG_VERSION").write_text("12\n")

    with pytest.raises(ClusterError, match="postgresql-12"):
        cluster.start()


def test_it_says_what_a_start_without_a_cluster_needs(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match=r"no database in .* yet: run `make run`"):
        cluster.start()


def test_it_tells_a_broken_setting_in_the_server_s_own_words(cluster: Cluster) -> None:
    cluster.ensure_running()
    cluster.stop()
    with (cluster.data_dir / "postgresql.conf").open("a") as config:
        config.write("no_such_setting = 1\n")

    with pytest.raises(ClusterError, match=r"did not start: .*configuration file .* contains errors") as caught:
        cluster.start()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("x\nFATAL:  could not write: No space left on device\n", "The disk that holds /data is full"),
        ("LOG: a\n2026 [1] FATAL:  first thing\n2026 [1] LOG:  shut down\n", "It failed: first thing (see /data)."),
        ("", "It failed: it said nothing (see /data)."),
    ],
)
def test_it_makes_one_sentence_of_what_the_server_said(output: str, sentence: str) -> None:
    assert str(explain_output(output, Path("/data"), "It failed")).startswith(sentence)
