"""Starts the browser's child process and ends it; the only module of readiness that starts one.

Reads the child's report from a pipe. Everything the child starts carries the name of a home directory made for it, and
by that name it is found and killed, whoever its parent has become.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from readiness.probes.browser_plan import BrowserReport, Plan

_PROJECT = Path(__file__).resolve().parents[2]
_PROC = Path("/proc")
# What a browser needs to start. Nothing else of the portal's environment, which is full of secrets, reaches it.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "PLAYWRIGHT_BROWSERS_PATH", "FONTCONFIG_PATH")


def run_browser(plan: Plan, timeout_seconds: float) -> BrowserReport:
    """Let a child process open the page of `plan`; after `timeout_seconds` it is killed, the browser with it.

    A child that ends without a whole report gives a report with the problem "timeout" or "browser_failed".
    """
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(  # noqa: S603  our own interpreter and module, no shell
            [sys.executable, "-m", "readiness.probes.browser_child", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_PROJECT,
            env=_make_environment(home),
            start_new_session=True,
        )
        try:
            written, _ = process.communicate(plan.to_json().encode(), timeout_seconds)
            return BrowserReport.from_json(written)
        except subprocess.TimeoutExpired:
            return BrowserReport(problem="timeout", problem_text="The browser did not finish in time.")
        except ValueError:
            return BrowserReport(problem="browser_failed", problem_text="The browser process broke off.")
        finally:
            end_family(process, home)


def _make_environment(home: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**kept, "HOME": home, "TMPDIR": home, "PYTHONPATH": str(_PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}


def end_family(process: "subprocess.Popen[bytes]", home: str) -> None:
    """Kill the child and everything that it started and that still lives."""
    if process.poll() is None:
        process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()
    for _ in range(20):  # a process may start another while it is being looked for
        relatives = find_family(home)
        for pid in relatives:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not relatives:
            return
        time.sleep(0.05)


def find_family(home: str) -> list[int]:
    """Return the pids of the processes whose HOME is `home` (Linux; elsewhere none, and they end with their pipes)."""
    mark = f"HOME={home}".encode()
    found = []
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found
