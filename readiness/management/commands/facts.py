"""Posts facts that only a pipeline knows: which settings are set, how long secrets are. Never values.

Exit status: 0 fine, 2 usage or a fact that is not taken, 3 no database.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from portal import audit
from portal.command_exits import USAGE, database_errors_explained, refuse
from readiness.environment_argument import find_environment
from readiness.outside import OutsideError, post_facts


class Command(BaseCommand):
    help = "Posts facts about an environment: setting.NAME=set, secret_bits.NAME=256, schema_provider=postgresql."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        post = actions.add_parser("post", help="keep facts, each in the place of what was known")
        post.add_argument("environment", metavar="ENV", help="its slug")
        post.add_argument("facts", nargs="+", metavar="NAME=VALUE")

    def handle(self, *args: Any, **options: Any) -> None:
        facts = {}
        for each in options["facts"]:
            name, separator, value = each.partition("=")
            if not separator:
                refuse(self, "A fact is written NAME=VALUE, for example setting.DATABASE_URL=set.", USAGE)
            facts[name] = value
        with database_errors_explained(self):
            environment = find_environment(self, options["environment"])
            try:
                kept = post_facts(environment, facts, by=audit.COMMAND_LINE, now=timezone.now())
            except OutsideError as error:
                refuse(self, str(error), USAGE)
        self.stdout.write(f"{environment.slug}: {len(kept)} facts kept")
