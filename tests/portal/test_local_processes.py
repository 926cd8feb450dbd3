"""The Procfile's processes under honcho: their logs, their end, and that a killed parent leaves none of them."""

import datetime
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from honcho.printer import Message

from portal import local_processes, processes
from portal.local_processes import LogPrinter, read_procfile

PROJECT = Path(local_processes.__file__).resolve().parent.parent

MANAGE = """
import sys
from pathlib import Path
from portal.local_processes import LocalManager, add_processes
folder = Path(sys.argv[1])
manager = LocalManager(folder / "log", lambda manager: manager.terminate() if len(sys.argv) > 4 else None)
add_processes(manager, {"a": sys.argv[2], "b": sys.argv[3]}, {"PATH": "/usr/bin:/bin"}, folder)
manager.loop()
print(manager.ended_first)
"""


def start_manager(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MANAGE, str(folder), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )


def read_pid(path: Path) -> int:
    deadline = time.monotonic() + 20
    while not path.is_file() or not path.read_text().endswith("\n"):
        assert time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.02)
    return int(path.read_text())


SLEEP = "sh -c 'echo $$ > {name}; while :; do sleep 0.2; done'"


def wait_until_dead(*pids: int) -> None:
    deadline = time.monotonic() + 20
    while any(processes.is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_leaves_no_process_when_the_parent_is_killed(tmp_path: Path) -> None:
    manager = start_manager(tmp_path, SLEEP.format(name="a.pid"), SLEEP.format(name="b.pid"))
    pids = [read_pid(tmp_path / "a.pid"), read_pid(tmp_path / "b.pid")]

    manager.kill()
    manager.wait()

    wait_until_dead(*pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_every_process_when_asked_to(tmp_path: Path, number: signal.Signals) -> None:
    manager = start_manager(tmp_path, SLEEP.format(name="a.pid"), SLEEP.format(name="b.pid"))
    pids = [read_pid(tmp_path / "a.pid"), read_pid(tmp_path / "b.pid")]

    manager.send_signal(number)

    assert manager.communicate(timeout=20)[0] == "None\n"
    assert not any(processes.is_alive(pid) for pid in pids)


def test_it_takes_a_request_that_comes_before_it_knows_its_processes(tmp_path: Path) -> None:
    manager = start_manager(tmp_path, "sleep 60", "sleep 60", "terminate at once")

    assert manager.communicate(timeout=20)[0] == "None\n"
    assert manager.returncode == 0


def test_it_names_the_process_that_ended_first_and_ends_the_others(tmp_path: Path) -> None:
    manager = start_manager(
        tmp_path, SLEEP.format(name="a.pid"), "sh -c 'echo no such table >&2; while [ ! -s a.pid ]; do :; done; exit 3'"
    )

    assert manager.communicate(timeout=20)[0] == "('b', 3)\n"
    assert not processes.is_alive(read_pid(tmp_path / "a.pid"))
    assert "no such table" in (tmp_path / "log" / "b.log").read_text()


def test_it_gives_each_process_a_private_log_that_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_processes, "LOG_LIMIT_BYTES", 200)
    printer = LogPrinter(tmp_path / "log")
    at = datetime.datetime(2026, 1, 2, 3, 4, 5)
    for number in range(20):
        printer.write(Message("line", f"line {number}\n".encode(), at, "web", None))

    log = tmp_path / "log" / "web.log"
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.read_text().splitlines()[-1] == "2026-01-02 03:04:05 line 19"
    assert log.stat().st_size < 300
    assert log.with_suffix(".log.1").stat().st_size < 300


def test_a_signal_may_write_in_the_middle_of_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """honcho's own handler does: it says which signal it got."""
    monkeypatch.setattr(local_processes, "LOG_LIMIT_BYTES", 10**12)
    printer = LogPrinter(tmp_path / "log")
    at = datetime.datetime(2026, 1, 2, 3, 4, 5)
    written = {"line": 0, "signal": 0}

    def write(kind: str) -> None:
        printer.write(Message("line", f"{kind} {'x' * 200}\n", at, "system", None))
        written[kind] += 1

    before = signal.signal(signal.SIGVTALRM, lambda *_: write("signal"))
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
    try:
        while written["signal"] < 50:
            write("line")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)

    lines = (tmp_path / "log" / "system.log").read_text().splitlines()
    assert {kind: sum(line.split()[2] == kind for line in lines) for kind in written} == written


def test_it_finds_the_three_processes_in_the_procfile() -> None:
    commands = read_procfile(PROJECT / "Procfile")

    assert list(commands) == ["web", "worker", "long"]
    assert commands["web"].startswith("gunicorn portal.wsgi ")
