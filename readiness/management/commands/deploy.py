"""Records that a release went out: it shows on time lines, and what was claimed about the one before goes stale.

Exit status: 0 fine, 2 usage, 3 no database.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from portal import audit
from portal.command_exits import USAGE, database_errors_explained, refuse
from readiness import tasks
from readiness.environment_argument import find_environment
from readiness.outside import OutsideError, record_deploy


class Command(BaseCommand):
    help = "Records a deploy of an environment."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        record = actions.add_parser("record", help="say that a release went out just now")
        record.add_argument("environment", metavar="ENV", help="its slug")
        record.add_argument("--release", required=True, metavar="R", help="its name, for example a tag or a commit")

    def handle(self, *args: Any, **options: Any) -> None:
        with database_errors_explained(self):
            environment = find_environment(self, options["environment"])
            try:
                deploy, aged = record_deploy(environment, options["release"], by=audit.COMMAND_LINE, now=timezone.now())
            except OutsideError as error:
                refuse(self, str(error), USAGE)
            tasks.request_probes(environment)
        stale = "1 item is stale" if aged == 1 else f"{aged} items are stale"
        self.stdout.write(f"{environment.slug}: {deploy.release} recorded, {stale} now")
