"""Says who a process is and whether it still lives; ends programs and sweeps files that a dead process left behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from portal.processes import is_same_process, read_start_time

_MARK = re.compile(r"^(?P<namespace>\d+)-(?P<pid>\d+)-(?P<start>\d+)-")
_FOREIGN_FILE_SECONDS = 24 * 60 * 60


def describe_self() -> dict[str, Any]:
    """Who this process is: {"host", "boot_id", "pid_namespace", "pid", "start_time", "children": []}."""
    return {**_describe_machine(), "pid": os.getpid(), "start_time": read_start_time(os.getpid()), "children": []}


def is_dead(worker: Mapping[str, Any]) -> bool:
    """Whether the process that ``describe_self`` described is certainly gone; False where that cannot be seen."""
    if not _is_here(worker):
        # After a reboot of the same machine nothing of before is left.
        return bool(worker.get("boot_id")) and _same_host(worker) and worker["boot_id"] != _read_boot_id()
    return not is_same_process(int(worker["pid"]), worker.get("start_time"))


def end_children(worker: Mapping[str, Any]) -> list[str]:
    """Kill what is left of the programs the process had started, here; the names of those that were killed."""
    if not _is_here(worker):
        return []
    return [
        str(child["program"])
        for child in worker.get("children", [])
        if end_process(int(child["pid"]), child.get("start_time"))
    ]


def end_process(pid: int, start_time: str | None) -> bool:
    """Kill the process if it is still the one that started then; True when there was one to kill."""
    if not hasattr(os, "pidfd_open"):
        if not is_same_process(pid, start_time):
            return False
        os.kill(pid, signal.SIGKILL)
        return True
    try:
        # The descriptor pins the process, so that the number cannot be someone else's by the time of the signal.
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not is_same_process(pid, start_time):
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def owner_mark() -> str:
    """The start of a temporary file's name that tells whose it is."""
    return f"{_read_pid_namespace()}-{os.getpid()}-{read_start_time(os.getpid()) or 0}"


def sweep_files(directory: Path) -> int:
    """Remove temporary files and directories whose owner is dead; how many."""
    swept = 0
    for path in directory.glob("*-*-*-*"):
        mark = _MARK.match(path.name)
        if mark and _is_ownerless(path, mark):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            swept += 1
    return swept


def _is_ownerless(path: Path, mark: re.Match[str]) -> bool:
    if int(mark["namespace"]) == _read_pid_namespace() and mark["start"] != "0":
        return not is_same_process(int(mark["pid"]), mark["start"])
    try:
        return time.time() - path.stat().st_mtime > _FOREIGN_FILE_SECONDS
    except FileNotFoundError:
        return False


def _describe_machine() -> dict[str, Any]:
    return {"host": socket.gethostname(), "boot_id": _read_boot_id(), "pid_namespace": _read_pid_namespace()}


def _is_here(worker: Mapping[str, Any]) -> bool:
    """Whether the process numbers in ``worker`` mean something on this machine, in this boot and this container."""
    known = bool(worker.get("pid")) and bool(worker.get("start_time"))
    return known and all(worker.get(key) == value for key, value in _describe_machine().items())


def _same_host(worker: Mapping[str, Any]) -> bool:
    return worker.get("host") == socket.gethostname()


def _read_boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _read_pid_namespace() -> int:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0
