"""Reads what the system says about a process (alive, when started, its command line); writes nothing, starts only `ps`.

A pid alone names nobody: numbers are reused, in containers within minutes. A process is known by pid and start time.
"""

import os
import subprocess
import sys
from pathlib import Path

PROC = Path("/proc")


def is_alive(pid: int) -> bool:
    """Whether a process with this pid exists and is more than a zombie that nobody has collected."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    fields = _stat_fields(pid)
    return fields is None or fields[0] not in ("Z", "X")


def read_start_time(pid: int) -> str | None:
    """When the process started, in a form that is only compared: clock ticks on Linux, `ps` text elsewhere."""
    fields = _stat_fields(pid)
    if fields is not None:
        return fields[19]
    return _ask_ps(pid, "lstart=") if not _has_proc() else None


def read_command_line(pid: int) -> str:
    """The command line with single spaces between arguments, empty where it cannot be read."""
    if _has_proc():
        try:
            return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""
    return _ask_ps(pid, "command=") or ""


def is_same_process(pid: int, start_time: str | None) -> bool:
    """Whether `pid` is alive and is still the process that was recorded with this start time."""
    return is_alive(pid) and start_time is not None and read_start_time(pid) == start_time


def list_children() -> dict[int, list[int]]:
    """Pids of all processes by the pid of their parent (Linux; empty elsewhere)."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir() if _has_proc() else ():
        if entry.name.isdigit() and (fields := _stat_fields(int(entry.name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    return children


def list_descendants(pid: int) -> list[int]:
    """Pids of the children, grandchildren and so on of `pid` (Linux; empty elsewhere)."""
    children = list_children()
    found: list[int] = []
    waiting = [pid]
    while waiting:
        mine = children.get(waiting.pop(), [])
        found.extend(mine)
        waiting.extend(mine)
    return found


def _has_proc() -> bool:
    return sys.platform == "linux" and (PROC / "self" / "stat").exists()


def _stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, which may itself hold spaces and brackets: state is the first."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _ask_ps(pid: int, column: str) -> str | None:
    command = ["/bin/ps", "-o", column, "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() or None
