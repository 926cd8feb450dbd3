"""Which portal runs from a var directory, and what becomes of the processes of a run that was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portal import processes, run_state

URL = "http://127.0.0.1:8000/"


def start_sleeper(run_id: str = "") -> subprocess.Popen[bytes]:
    environment = {**os.environ, run_state.RUN_ID_VARIABLE: run_id} if run_id else dict(os.environ)
    return subprocess.Popen(["/bin/sleep", "60"], env=environment)


def claim_elsewhere(var_dir: Path, then: str) -> subprocess.Popen[str]:
    """A run claimed by another process, which prints a line once it has it."""
    program = (
        "import sys, time; from pathlib import Path; from portal import run_state\n"
        f"record = run_state.claim_run(Path(sys.argv[1]), {URL!r}); print(record.run_id, flush=True)\n{then}"
    )
    return subprocess.Popen([sys.executable, "-c", program, str(var_dir)], stdout=subprocess.PIPE, text=True)


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_it_refuses_a_second_run_in_one_sentence(tmp_path: Path) -> None:
    first = claim_elsewhere(tmp_path, "time.sleep(60)")
    try:
        read_line(first)
        with pytest.raises(run_state.RunError, match=f"runs already at {URL} .pid {first.pid}.: `make stop` ends it"):
            run_state.claim_run(tmp_path, URL)
    finally:
        first.kill()
        first.wait()


def test_it_lets_one_of_two_racing_runs_win(tmp_path: Path) -> None:
    racers = [claim_elsewhere(tmp_path, "time.sleep(60)") for _ in range(3)]
    try:
        deadline = time.monotonic() + 20
        while sum(racer.poll() is None for racer in racers) > 1:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert sum(bool(read_line(racer)) for racer in racers) == 1
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()


def test_it_ends_what_a_killed_run_left(tmp_path: Path) -> None:
    first = claim_elsewhere(tmp_path, "time.sleep(60)")
    run_id = read_line(first)
    first.kill()
    first.wait()
    left, foreign = start_sleeper(run_id), start_sleeper()
    try:
        record = run_state.claim_run(tmp_path, URL)

        assert left.wait(timeout=5) == -signal.SIGTERM
        assert foreign.poll() is None
        run_state.release_run(tmp_path, record)
        assert run_state.read_run(tmp_path) is None
    finally:
        for process in (left, foreign):
            process.kill()
            process.wait()


def test_it_leaves_a_stranger_alone_that_got_a_recorded_number(tmp_path: Path) -> None:
    stranger = start_sleeper()
    try:
        record = run_state.RunRecord(stranger.pid, "another start time", "a" * 32, URL, [(stranger.pid, "earlier")])
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "portal.json").write_text(json.dumps(record.__dict__))

        assert not record.is_alive
        run_state.claim_run(tmp_path, URL)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_it_kills_what_ignores_the_first_request(tmp_path: Path) -> None:
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    stubborn = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    read_line(stubborn)

    run_state.end_processes({stubborn.pid}, grace_seconds=0.3)

    assert stubborn.wait(timeout=5) == -signal.SIGKILL


def test_it_stops_a_run_and_forgets_it(tmp_path: Path) -> None:
    run = claim_elsewhere(tmp_path, "time.sleep(60)")
    read_line(run)

    assert run_state.stop_run(tmp_path) is True
    assert run.wait(timeout=5) == -signal.SIGTERM
    assert run_state.read_run(tmp_path) is None
    assert run_state.stop_run(tmp_path) is False


def test_it_takes_a_damaged_record_for_none(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for text in ("", "[]", '{"pid": 1}', "{", '{"children": 3}'):
        (tmp_path / "run" / "portal.json").write_text(text)
        assert run_state.read_run(tmp_path) is None


def test_it_knows_a_process_by_its_start_time() -> None:
    process = start_sleeper()
    try:
        start_time = processes.read_start_time(process.pid)
        assert processes.is_same_process(process.pid, start_time)
        assert not processes.is_same_process(process.pid, "1")
        assert "pytest" in processes.read_command_line(os.getpid())
    finally:
        process.kill()
    time.sleep(0.1)
    assert not processes.is_alive(process.pid)  # a zombie that nobody has collected yet
    process.wait()
    assert processes.read_start_time(process.pid) is None
