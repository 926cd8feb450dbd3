"""The ground every benchmark stands on: a private cluster of its own, migrated, gone afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def portal_on_scratch_cluster() -> Iterator[None]:
    """Inside, Django is set up on an empty, migrated database that nobody else uses."""
    var_dir = Path(tempfile.mkdtemp(prefix="preflight-bench-"))
    os.environ.update(PORTAL_VAR=str(var_dir), DJANGO_SETTINGS_MODULE="portal.settings", LOG_LEVEL="WARNING")
    for name in ("DATABASE_URL", "LOCAL_MODE"):
        os.environ.pop(name, None)
    from portal.embedded_postgres import Cluster

    cluster = Cluster.locate(var_dir)
    cluster.ensure_running()
    try:
        import django
        from django.core.management import call_command
        from django.db import connections

        django.setup()
        call_command("migrate", verbosity=0)
        yield
        connections.close_all()
    finally:
        cluster.remove()
        shutil.rmtree(var_dir, ignore_errors=True)
