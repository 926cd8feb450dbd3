"""`manage.py run`: starts the whole portal on this machine; writes <var>."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal.embedded_postgres import ClusterError
from portal.keys import KeyFileError
from portal.local_run import prepare_portal, run_portal
from portal.run_state import RunError


class Command(BaseCommand):
    help = "Starts the portal with its database, web server and workers until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--prepare-only", action="store_true", help="make and migrate the database, then return")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            status = self._prepare() if options["prepare_only"] else run_portal(self._say)
        except (RunError, ClusterError, KeyFileError) as error:
            self.stderr.write(str(error))
            sys.exit(1)
        except KeyboardInterrupt:
            sys.exit(130)
        sys.exit(status)

    def _prepare(self) -> int:
        prepare_portal(self._say)
        self._say("The database is ready: `make run` starts the portal.")
        return 0

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
