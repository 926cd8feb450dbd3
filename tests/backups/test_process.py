"""Programs that the portal starts: what it hears, what it hides, and that none outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backups.pg_commands import Command
from backups.process import Child, redact
from portal.processes import is_same_process

SHELL = "/bin/sh"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")


def shell(script: str) -> Command:
    return Command((SHELL, "-c", script), {"PATH": "/usr/bin:/bin"})


def wait_until(is_true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_it_gives_output_status_and_complaint() -> None:
    child = Child(shell("echo out; echo 'bad news' >&2; exit 7"), gives_stdout=True)
    assert child.stdout.read() == b"out\n"
    assert child.wait() == 7
    assert child.complaint == "bad news"
    child.end()


def test_it_hears_every_line_with_secrets_replaced() -> None:
    heard: list[str] = []
    child = Child(shell("echo 'user app password s3cret' >&2"), secrets=["s3cret", ""], on_line=heard.append)
    child.wait()
    assert heard == ["user app password ***"]
    assert "s3cret" not in child.complaint
    child.end()


def test_it_keeps_only_the_last_lines() -> None:
    child = Child(shell("i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo line $i >&2; done"))
    child.wait()
    assert len(child.lines) == 200
    assert child.lines[-1] == "line 1000"
    child.end()


def test_it_kills_what_does_not_end() -> None:
    child = Child(Command(("/bin/sleep", "600"), {}))
    child.end()
    assert not is_same_process(child.pid, child.start_time)


def test_it_says_when_a_program_cannot_be_started() -> None:
    child = Child(Command(("/nonexistent/pg_dump",), {}))
    assert child.wait() != 0
    assert "pg_dump" in child.complaint
    child.end()


def test_it_passes_nothing_of_its_own_environment_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:s3cret@db/shop")
    child = Child(Command(("/usr/bin/env",), {"LC_ALL": "C"}), gives_stdout=True)
    assert b"s3cret" not in child.stdout.read()
    child.end()


@linux_only
def test_it_leaves_no_child_behind_when_it_is_killed() -> None:
    program = (
        "import sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from backups.pg_commands import Command\n"
        "from backups.process import Child\n"
        "child = Child(Command(('/bin/sleep', '600'), {}))\n"
        "print(child.pid, child.start_time, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, start_time = parent.stdout.readline().split()
    wait_until(lambda: Path(f"/proc/{pid}/comm").read_text().strip() == "sleep")
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not is_same_process(int(pid), start_time))


@linux_only
def test_it_does_not_start_for_a_parent_that_is_gone() -> None:
    launcher = Path(__file__).parents[2] / "backups" / "die_with_parent.py"
    never_my_parent = "1" if os.getpid() != 1 else "2"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", str(launcher), never_my_parent, "/bin/echo", "started"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert ended.stdout == ""


def test_it_redacts_every_occurrence() -> None:
    assert redact("a b a", ["a"]) == "*** b ***"
