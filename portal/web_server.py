"""gunicorn's configuration; reads BIND, PORT and WEB_CONCURRENCY.

Threaded workers: a sync worker gives no sign of life while it sends, so that gunicorn ended every download of a backup
after `timeout` seconds; see docs/decisions/0005-threaded-web-workers.md.
"""

import os
from typing import Any

from django.db import connections

from portal.parent_death import die_with_parent

# A host that gives PORT expects every interface; on one machine `make run` says 127.0.0.1.
bind = f"{os.environ.get('BIND') or '0.0.0.0'}:{os.environ.get('PORT') or '8000'}"  # noqa: S104
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
worker_class = "gthread"
threads = 4
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
