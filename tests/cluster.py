"""A pytest plugin that must load before pytest-django: starts PostgreSQL and points the settings at it.

Loaded by ``-p tests.cluster`` in pyproject.toml, because pytest-django reads the settings before any conftest.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from portal import processes
from portal.embedded_postgres import Cluster, ClusterError

_PREFIX = "preflight-tests-"


def _sweep_killed_runs() -> None:
    """A run that was killed leaves its cluster running; the folder's name says whose it was."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid, _, start_time = folder.name.removeprefix(_PREFIX).rpartition("-")[0].partition("-")
        if pid.isdigit() and not processes.is_same_process(int(pid), start_time):
            with contextlib.suppress(ClusterError):
                Cluster.locate(folder).remove()
            shutil.rmtree(folder, ignore_errors=True)


_sweep_killed_runs()
VAR_DIR = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-{processes.read_start_time(os.getpid())}-"))
CLUSTER = Cluster.locate(VAR_DIR)

os.environ["PORTAL_VAR"] = str(VAR_DIR)
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
# What is probed must not depend on what the machine has installed; tests of the browser probe switch it on.
os.environ["BROWSER_PROBE"] = "0"
# Playwright keeps an event loop on the thread that Django's ORM is used from.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
for _name in ("DATABASE_URL", "LOCAL_MODE", "PROOF_DATABASE_URL", "BACKUP_STORE", "BIND", "PORT", "DEMO"):
    os.environ.pop(_name, None)
    os.environ.pop(f"{_name}_FILE", None)

CLUSTER.ensure_running()


def pytest_unconfigure() -> None:
    CLUSTER.remove()
    shutil.rmtree(VAR_DIR, ignore_errors=True)
