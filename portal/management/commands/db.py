"""`manage.py db`: starts the private cluster detached; writes <var>."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from portal.embedded_postgres import Cluster, ClusterError
from portal.keys import KeyFileError


class Command(BaseCommand):
    help = "Starts the private database and returns when it answers; `make stop` stops it."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.DATABASE_URL:
            self.stdout.write("DATABASE_URL is set, so there is no private database to start.")
            return
        cluster = Cluster.locate(settings.VAR_DIR)
        try:
            info = cluster.ensure_running()
        except (ClusterError, KeyFileError) as error:
            self.stderr.write(str(error))
            sys.exit(1)
        self.stdout.write(f"The database runs on 127.0.0.1:{info.port} and in {info.host} (log: {cluster.log_path}).")
