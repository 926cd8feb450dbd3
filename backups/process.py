"""Starts PostgreSQL's client programs, the only module of backups that starts anything; reads their stderr, redacted.

On Linux a child dies with the *thread* that started it, so children are started by the thread that runs the job. They
stay in the worker's process group: whoever ends the group ends them too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from backups.pg_commands import Command
from portal.processes import read_start_time

LINES_KEPT = 200
_LAUNCHER = Path(__file__).with_name("die_with_parent.py")


class Child:
    """A running program: its pipes, the last lines of its stderr, its exit status."""

    def __init__(
        self,
        command: Command,
        *,
        secrets: Sequence[str] = (),
        reads_stdin: bool = False,
        gives_stdout: bool = False,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.program = command.program
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._secrets = [secret for secret in secrets if secret]
        self._on_line = on_line
        self._process = subprocess.Popen(  # noqa: S603  argv is a list from pg_commands, no shell
            _tied_to_parent(command.argv),
            env=dict(command.env),
            stdin=subprocess.PIPE if reads_stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE if gives_stdout else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.pid = self._process.pid
        self.start_time = read_start_time(self.pid)
        self._listener = threading.Thread(target=self._listen, name=f"{self.program} stderr", daemon=True)
        self._listener.start()

    @property
    def stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101  asked for at start
        return self._process.stdout

    @property
    def stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101  asked for at start
        return self._process.stdin

    @property
    def has_ended(self) -> bool:
        """Whether the program is over."""
        return self._process.poll() is not None

    @property
    def complaint(self) -> str:
        """What it wrote to stderr lately, redacted."""
        return "\n".join(self.lines)

    def wait(self) -> int:
        """The exit status, negative for a signal; from any thread."""
        status = self._process.wait()
        self._listener.join(5)
        return status

    def end(self) -> None:
        """Kill it, collect it, close its pipes; harmless when it has ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._listener.join(5)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    # Unwritten bytes for a reader that is gone.
                    continue

    def kill(self) -> None:
        """Kill it without waiting; its pipes end by that."""
        if self._process.poll() is None:
            self._process.kill()

    def describe(self) -> dict[str, object]:
        """What the reaper needs to find it again: {"pid", "start_time", "program"}."""
        return {"pid": self.pid, "start_time": self.start_time, "program": self.program}

    def _listen(self) -> None:
        assert self._process.stderr is not None  # noqa: S101  always a pipe
        for raw in self._process.stderr:
            line = redact(raw.decode("utf-8", "replace").rstrip("\n"), self._secrets)
            self.lines.append(line)
            if self._on_line is not None:
                self._on_line(line)


def redact(text: str, secrets: Sequence[str]) -> str:
    """``text`` with every secret replaced by ***."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _tied_to_parent(argv: Sequence[str]) -> list[str]:
    if sys.platform != "linux":
        return list(argv)
    return [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), *argv]
