"""Knows which portal runs from a var directory; reads and writes <var>/run/portal.json, ends what a killed run left.

Every process of a run carries the run's id in its environment, so that children of a parent that was killed with -9 are
found whatever became of their pids, groups and parents.
"""

import fcntl
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from portal import processes

RUN_ID_VARIABLE = "PREFLIGHT_RUN_ID"
GRACE_SECONDS = 10.0


class RunError(Exception):
    """The portal cannot be started or stopped; the text is one sentence."""


@dataclass(frozen=True)
class RunRecord:
    """One run of the portal: its main process by pid and start time, its id, its address, its children."""

    pid: int
    start_time: str
    run_id: str
    url: str
    children: list[tuple[int, str]] = field(default_factory=list)

    @property
    def is_alive(self) -> bool:
        return processes.is_same_process(self.pid, self.start_time)


def claim_run(var_dir: Path, url: str) -> RunRecord:
    """Become the one run of this var directory; first end what an earlier one left behind.

    Raises:
        RunError: another run is alive.
    """
    with _locked(var_dir):
        earlier = read_run(var_dir)
        if earlier is not None and earlier.is_alive:
            raise RunError(f"The portal runs already at {earlier.url} (pid {earlier.pid}): `make stop` ends it.")
        if earlier is not None:
            end_leftovers(earlier)
        record = RunRecord(os.getpid(), processes.read_start_time(os.getpid()) or "", secrets.token_hex(16), url)
        _write(var_dir, record)
        return record


def record_children(var_dir: Path, record: RunRecord, pids: list[int]) -> None:
    """Add the processes that the run started, for systems that do not show a process's environment."""
    children = [(pid, processes.read_start_time(pid) or "") for pid in pids]
    _write(var_dir, replace(record, children=children))


def release_run(var_dir: Path, record: RunRecord) -> None:
    """Forget the run, if it is still the recorded one."""
    with _locked(var_dir):
        present = read_run(var_dir)
        if present is not None and present.run_id == record.run_id:
            _path(var_dir).unlink(missing_ok=True)


def read_run(var_dir: Path) -> RunRecord | None:
    """The recorded run, alive or not; None when there is none or the file is not ours."""
    try:
        values: dict[str, Any] = json.loads(_path(var_dir).read_text(encoding="utf-8"))
        children = [(int(pid), str(start_time)) for pid, start_time in values.pop("children", [])]
        return RunRecord(**values, children=children)
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def end_leftovers(record: RunRecord, grace_seconds: float = GRACE_SECONDS) -> int:
    """End the processes of a run whose main process is gone; how many there were."""
    pids = find_processes(record.run_id)
    pids |= {pid for pid, start_time in record.children if processes.is_same_process(pid, start_time)}
    end_processes(pids, grace_seconds)
    return len(pids)


def find_processes(run_id: str) -> set[int]:
    """Pids of living processes that carry this run's id (Linux; empty elsewhere), never our own."""
    mark = f"{RUN_ID_VARIABLE}={run_id}".encode()
    found: set[int] = set()
    if sys.platform != "linux":
        return found
    for entry in processes.PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):  # gone meanwhile, or another account's
            if mark in (entry / "environ").read_bytes().split(b"\0") and processes.is_alive(int(entry.name)):
                found.add(int(entry.name))
    return found


def end_processes(pids: set[int], grace_seconds: float) -> None:
    """SIGTERM, then SIGKILL after the grace, each to the process alone; returns when all of them are gone."""
    for number, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
        alive = {pid for pid in pids if processes.is_alive(pid)}
        for pid in alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while any(processes.is_alive(pid) for pid in alive) and time.monotonic() < deadline:
            time.sleep(0.05)


def stop_run(var_dir: Path, seconds: float = 90) -> bool:
    """Ask the running portal to stop and wait for it; False when none ran. Ends leftovers in any case.

    Raises:
        RunError: it did not stop in time, or belongs to another account.
    """
    record = read_run(var_dir)
    if record is None:
        return False
    was_alive = record.is_alive
    if was_alive:
        try:
            os.kill(record.pid, signal.SIGTERM)
        except PermissionError:
            raise RunError(f"The portal (pid {record.pid}) belongs to another account: stop it there.") from None
        deadline = time.monotonic() + seconds
        while record.is_alive:
            if time.monotonic() > deadline:
                raise RunError(f"The portal (pid {record.pid}) did not stop within {seconds:.0f} s: end it by hand.")
            time.sleep(0.1)
    leftovers = end_leftovers(read_run(var_dir) or record)
    release_run(var_dir, record)
    return was_alive or leftovers > 0


def _path(var_dir: Path) -> Path:
    return var_dir / "run" / "portal.json"


def _write(var_dir: Path, record: RunRecord) -> None:
    path = _path(var_dir)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")
    part.replace(path)


@contextmanager
def _locked(var_dir: Path) -> Iterator[None]:
    path = _path(var_dir).with_suffix(".lock")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
