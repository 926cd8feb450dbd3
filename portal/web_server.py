"""gunicorn's configuration; reads BIND, PORT and WEB_CONCURRENCY.

Sync workers: they had the best tail latency with persistent database connections, see docs/explanation/architecture.md.
"""

import os
from typing import Any

from django.db import connections

from portal.parent_death import die_with_parent

# A host that gives PORT expects every interface; on one machine `make run` says 127.0.0.1.
bind = f"{os.environ.get('BIND') or '0.0.0.0'}:{os.environ.get('PORT') or '8000'}"  # noqa: S104
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
worker_class = "sync"
timeout = 60
graceful_timeout = 10
max_requests = 5000
max_requests_jitter = 500
control_socket_disable = True
preload_app = True  # the application is loaded once, so the first page is there sooner


def pre_fork(server: Any, worker: Any) -> None:
    """A database connection shared by two processes garbles both."""
    connections.close_all()


def post_fork(server: Any, worker: Any) -> None:
    """An idle worker notices only after half of `timeout` that its master was killed, and keeps the port until then."""
    die_with_parent(server.pid)
