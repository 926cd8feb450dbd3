"""`manage.py run` as a person meets it: real processes, a real cluster, Ctrl-C, kill -9, a taken port."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from portal import local_run, processes, roles, run_state
from portal.embedded_postgres import Cluster

PROJECT = Path(local_run.__file__).resolve().parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Portal:
    """A portal of its own: a var directory, a port, and the commands that act on it."""

    var_dir: Path
    port: int

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        return {**kept, "PORTAL_VAR": str(self.var_dir), "PORT": str(self.port), "DEMO": "0", "LOCAL_MODE": "1"}

    @property
    def cluster(self) -> Cluster:
        return Cluster.locate(self.var_dir)

    def start(self) -> "subprocess.Popen[str]":
        """Start it and wait for the line with the URL; the lines so far are kept in `told`."""
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run"],
            cwd=PROJECT,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        self.told: list[str] = []
        for line in process.stdout:
            self.told.append(line.rstrip("\n"))
            if line.startswith("Preflight is ready"):
                return process
        raise AssertionError(f"the portal did not start: {self.told}")

    def call(self, *arguments: str, answer: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *arguments], cwd=PROJECT, env=self.env, input=answer, capture_output=True, text=True
        )

    def run_id(self) -> str:
        record = run_state.read_run(self.var_dir)
        assert record is not None
        return record.run_id


def wait_until_empty(run_id: str) -> None:
    deadline = time.monotonic() + 20
    while run_state.find_processes(run_id):
        assert time.monotonic() < deadline, "processes of the run live on"
        time.sleep(0.1)


def wait_until_ready(portal: Portal) -> None:
    """Until /readyz says 200 after it had said something else, or nothing."""
    deadline, was_down = time.monotonic() + 60, False
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{portal.port}/readyz", timeout=5) as answer:
                if was_down and answer.status == 200:
                    return
        except OSError:
            was_down = True
        time.sleep(0.1)
    raise AssertionError("the portal was not ready again within a minute")


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One var directory for the whole story, so that the cluster is made once."""
    portal = Portal(tmp_path_factory.mktemp("run") / "var", free_port())
    yield portal
    run_state.stop_run(portal.var_dir)
    portal.cluster.remove()


def test_it_starts_from_nothing_and_stops_with_ctrl_c(portal: Portal) -> None:
    process = portal.start()
    try:
        said = "\n".join(portal.told)
        assert portal.told[-1] == f"Preflight is ready: http://127.0.0.1:{portal.port}/ (Ctrl-C stops it)"
        assert re.search(r"Sign in as admin with the password \S{20,} \(shown once", said)
        with urllib.request.urlopen(f"http://127.0.0.1:{portal.port}/healthz", timeout=10) as answer:
            assert answer.status == 200
        run_id = portal.run_id()

        second = portal.call("manage.py", "run")
        assert second.returncode == 1
        assert second.stderr == (
            f"The portal runs already at http://127.0.0.1:{portal.port}/ (pid {process.pid}): `make stop` ends it.\n"
        )

        process.send_signal(signal.SIGINT)

        assert process.wait(timeout=60) == 0
        assert not run_state.find_processes(run_id)
        assert not portal.cluster.is_running()
        assert run_state.read_run(portal.var_dir) is None
    finally:
        process.kill()
        process.wait()


def test_it_leaves_nothing_after_kill_9_and_starts_again_with_every_row(portal: Portal) -> None:
    process = portal.start()
    assert not any("password" in line for line in portal.told)
    with psycopg.connect(**portal.cluster.connection().as_kwargs()) as database:
        assert database.execute("SELECT array_agg(username) FROM auth_user").fetchone() == (["admin"],)
    run_id, server_pid = portal.run_id(), portal.cluster.server_pid()
    assert len(run_state.find_processes(run_id)) >= 3

    process.kill()
    process.wait()

    wait_until_empty(run_id)
    assert portal.cluster.server_pid() == server_pid  # adopted by the next start
    process = portal.start()
    try:
        assert portal.cluster.server_pid() == server_pid
        stopped = portal.call("-m", "portal.teardown", "stop")
        assert (stopped.stdout, stopped.returncode) == ("Stopped.\n", 0)
        assert process.wait(timeout=10) == 0
        assert not portal.cluster.is_running()
    finally:
        process.kill()
        process.wait()


def test_it_names_a_port_that_is_taken_and_touches_nothing_else(portal: Portal) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = Portal(portal.var_dir, port).call("manage.py", "run")

    assert refused.returncode == 1
    assert refused.stderr == (
        f"Port {port} on 127.0.0.1 is taken by another program: choose another (make run PORT={port + 1}).\n"
    )
    assert run_state.read_run(portal.var_dir) is None


def test_it_starts_the_database_alone_and_sets_a_password(portal: Portal) -> None:
    started = portal.call("manage.py", "db")  # returns although the server lives on: nobody holds the pipe
    assert started.returncode == 0, started.stderr
    assert portal.cluster.is_running()

    told = portal.call("manage.py", "password")

    assert told.returncode == 0, told.stderr
    assert re.fullmatch(r"Sign in as admin with the password \S{20,} \(shown once\)\.\n", told.stdout)
    assert portal.call("-m", "portal.teardown", "stop").stdout == "Stopped.\n"
    assert portal.call("-m", "portal.teardown", "stop").stdout == "Nothing was running.\n"


def test_it_starts_a_killed_database_server_again_and_goes_on(portal: Portal) -> None:
    process = portal.start()
    try:
        server_pid = portal.cluster.server_pid()
        assert server_pid is not None
        with psycopg.connect(**portal.cluster.connection().as_kwargs()) as database:
            database.execute("UPDATE auth_user SET first_name = 'Ada'")

        os.kill(server_pid, signal.SIGKILL)

        wait_until_ready(portal)
        assert portal.cluster.server_pid() not in {None, server_pid}
        assert process.poll() is None
        with psycopg.connect(**portal.cluster.connection().as_kwargs()) as database:
            assert database.execute("SELECT first_name FROM auth_user").fetchone() == ("Ada",)

        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert not portal.cluster.is_running()
    finally:
        process.kill()
        process.wait()


def test_it_says_which_process_ended_and_where_to_look(portal: Portal) -> None:
    process = portal.start()
    record = run_state.read_run(portal.var_dir)
    assert record is not None
    (web,) = [pid for pid, _ in record.children if "gunicorn" in processes.read_command_line(pid)]

    os.kill(web, signal.SIGKILL)

    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output == (
        f"The portal stopped because its process web ended (status -9): see {portal.var_dir}/log/web.log.\n"
    )
    assert not run_state.find_processes(record.run_id)
    assert not portal.cluster.is_running()


def test_it_deletes_everything_only_after_a_typed_yes(tmp_path: Path) -> None:
    portal = Portal(tmp_path / "var", free_port())
    portal.cluster.ensure_running()
    (portal.var_dir / "mine.txt").write_text("not made by the portal")
    home = portal.cluster.home.path

    declined = portal.call("-m", "portal.teardown", "reset", answer="y\n")
    assert declined.stdout.endswith("Nothing was deleted.\n")
    assert portal.cluster.is_running()

    portal.call("-m", "portal.teardown", "reset", answer="yes\n")
    assert not home.exists()
    assert [path.name for path in portal.var_dir.iterdir()] == ["mine.txt"]


def test_it_refuses_an_unknown_request_to_take_down(tmp_path: Path) -> None:
    assert Portal(tmp_path / "var", 8000).call("-m", "portal.teardown", "destroy").returncode == 2


@pytest.mark.django_db
def test_it_makes_the_first_administrator_once() -> None:
    password = local_run.create_first_administrator()
    assert password is not None
    admin = User.objects.get(username="admin")

    assert admin.check_password(password)
    assert (admin.is_active, admin.is_staff, admin.is_superuser) == (True, True, True)
    assert list(admin.groups.values_list("name", flat=True)) == [roles.ADMINISTRATOR]
    assert local_run.create_first_administrator() is None
    assert admin.check_password(password)


@pytest.mark.django_db
def test_it_sets_a_new_password_each_time_it_is_asked() -> None:
    first, second = local_run.set_admin_password(), local_run.set_admin_password()

    assert first != second
    assert User.objects.get(username="admin").check_password(second)


def test_it_notices_a_changed_static_file(tmp_path: Path, settings: Settings) -> None:
    settings.STATICFILES_DIRS = [tmp_path]
    (tmp_path / "a.css").write_text("a {}")
    before = local_run.fingerprint_static()
    assert local_run.fingerprint_static() == before

    (tmp_path / "a.css").write_text("a { color: red }")

    assert local_run.fingerprint_static() != before


@pytest.mark.parametrize(
    ("bind", "url"),
    [("127.0.0.1", "http://127.0.0.1:8000/"), ("0.0.0.0", "http://127.0.0.1:8000/"), ("::1", "http://[::1]:8000/")],
)
def test_it_shows_an_address_that_a_browser_here_can_open(bind: str, url: str) -> None:
    assert local_run.Address(bind, 8000).url == url
