"""Runs the Procfile's processes under honcho; reads the Procfile, writes one log file per process in <var>/log.

A child dies with its parent even when the parent is killed with -9 (Linux): nothing may go on unseen.
"""

import contextlib
import functools
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import honcho.manager
import honcho.process
from honcho.environ import parse_procfile
from honcho.printer import Message

from portal.parent_death import die_with_parent

KILL_WAIT_SECONDS = 25  # more than the supervisor gives its cluster
LOG_LIMIT_BYTES = 10_000_000
_STATUS_OF_A_REQUEST = (130, 143)  # what honcho notes for SIGINT and SIGTERM


class LogPrinter:
    """honcho's printer, one file per process instead of one stream; a file that is full becomes `.log.1`.

    A signal handler may write in the middle of a write, so nothing is buffered and no descriptor is closed twice.
    """

    width = 0

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._descriptors: dict[str, int] = {}
        log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, message: Message) -> None:
        text = message.data.decode("utf-8", "replace") if isinstance(message.data, bytes) else message.data
        stamp = message.time.strftime("%Y-%m-%d %H:%M:%S")
        lines = "".join(f"{stamp} {line}\n" for line in text.splitlines())
        with contextlib.suppress(OSError):  # a full disk must not take the portal down with it
            os.write(self._open(message.name or "system"), lines.encode("utf-8", "replace"))

    def _open(self, name: str) -> int:
        known = self._descriptors.get(name)
        if known is not None and os.fstat(known).st_size <= LOG_LIMIT_BYTES:
            return known
        path = self._log_dir / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        full = self._descriptors.pop(name, None)
        self._descriptors[name] = opened
        if full is not None:
            os.close(full)
        return opened


class TetheredProcess(honcho.process.Process):  # type: ignore[misc]
    """A Procfile process whose reader and whose command both end when their parent does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._child_ctor = functools.partial(honcho.process.Popen, preexec_fn=die_with_parent)

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        die_with_parent()
        super().run(events, ignore_signals)


class LocalManager(honcho.manager.Manager):  # type: ignore[misc]
    """honcho's manager with logs in files and a call once everything was started.

    One process that ends takes all of them down; what must survive has a supervisor of its own (`manage.py worker`).
    """

    def __init__(self, log_dir: Path, on_started: Callable[["LocalManager"], None]) -> None:
        super().__init__(LogPrinter(log_dir))
        self._process_ctor = TetheredProcess
        self._on_started = on_started
        self.ended_first: tuple[str, int] | None = None
        self._is_stop_due = False
        honcho.manager.KILL_WAIT = KILL_WAIT_SECONDS

    def loop(self) -> None:
        """Run until every process ended; SIGHUP (a closed terminal) ends them as SIGTERM does."""
        signal.signal(signal.SIGHUP, lambda *_: self.terminate())
        super().loop()

    def terminate(self) -> None:
        """Ask every process to stop; the first call notes whether one had ended by itself.

        honcho learns the pids from messages: a request that comes before them waits for the last one.
        """
        if not self.are_all_started:
            self._is_stop_due = True
            return
        if not self._terminating and self.returncode not in _STATUS_OF_A_REQUEST:
            ended = [(name, each["returncode"]) for name, each in self._processes.items() if "returncode" in each]
            self.ended_first = ended[0] if ended else None
        super().terminate()

    def child_pids(self) -> list[int]:
        """Pids of the commands that run so far."""
        return [process["pid"] for process in self._processes.values() if process.get("pid")]

    @property
    def are_all_started(self) -> bool:
        return bool(self._all_started())

    def _system_print(self, data: str) -> None:
        super()._system_print(data)
        if self._is_stop_due and self.are_all_started:
            self._is_stop_due = False
            self.terminate()

    def _start(self) -> None:
        super()._start()
        self._on_started(self)  # after the forks: a thread must not live through them


def read_procfile(path: Path) -> dict[str, str]:
    """Name -> shell command, in the file's order."""
    return dict(parse_procfile(path.read_text(encoding="utf-8")).processes)


def add_processes(manager: LocalManager, commands: Mapping[str, str], env: dict[str, str], cwd: Path) -> None:
    """Add commands; `exec` makes the command itself, not a shell, the process that gets the signals."""
    for name, command in commands.items():
        manager.add_process(name, f"exec {command}", env=env, cwd=str(cwd))
