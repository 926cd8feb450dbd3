"""A pytest plugin that must load before pytest-django: starts PostgreSQL and points the settings at it.

Loaded by ``-p tests.cluster`` in pyproject.toml, because pytest-django reads the settings before any conftest.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from portal.embedded_postgres import Cluster

VAR_DIR = Path(tempfile.mkdtemp(prefix="preflight-tests-"))
CLUSTER = Cluster.locate(VAR_DIR)

os.environ["PORTAL_VAR"] = str(VAR_DIR)
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
# Playwright keeps an event loop on the thread that Django's ORM is used from.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
for _name in ("DATABASE_URL", "LOCAL_MODE", "PROOF_DATABASE_URL", "BACKUP_STORE", "BIND", "PORT", "DEMO"):
    os.environ.pop(_name, None)
    os.environ.pop(f"{_name}_FILE", None)

CLUSTER.ensure_running()


def pytest_unconfigure() -> None:
    CLUSTER.remove()
    shutil.rmtree(VAR_DIR, ignore_errors=True)
