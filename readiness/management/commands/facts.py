"""Posts, lists and forgets facts that only a pipeline knows: which settings are set, how long secrets are, no values.

Exit status: 0 fine, 2 usage or a fact that is not taken, 3 no database.
"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from portal import audit
from portal.command_exits import USAGE, database_errors_explained, refuse
from readiness.environment_argument import find_environment
from readiness.models import PostedFact
from readiness.outside import OutsideError, forget_facts, post_facts


class Command(BaseCommand):
    help = "Posts, lists and forgets facts: setting.NAME=set, secret_bits.NAME=256, schema_provider=postgresql."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        post = actions.add_parser("post", help="keep facts, each in the place of what was known")
        post.add_argument("environment", metavar="ENV", help="its slug")
        post.add_argument("facts", nargs="+", metavar="NAME=VALUE")

        listed = actions.add_parser("list", help="list what was posted, and when")
        listed.add_argument("environment", metavar="ENV", help="its slug")
        listed.add_argument("--json", action="store_true", help="print JSON, one object a line")
        forget = actions.add_parser("forget", help="forget facts about settings that there are no more")
        forget.add_argument("environment", metavar="ENV", help="its slug")
        forget.add_argument("names", nargs="+", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        actions = {"post": self._post, "list": self._list, "forget": self._forget}
        actions[options["action"]](options)

    def _list(self, options: dict[str, Any]) -> None:
        with database_errors_explained(self):
            environment = find_environment(self, options["environment"])
            for fact in PostedFact.objects.filter(environment=environment).order_by("name"):
                at = fact.posted_at.isoformat(timespec="seconds")
                known = {"name": fact.name, "value": fact.value, "posted_at": at, "posted_by": fact.posted_by}
                words = f"{fact.name}={_word(fact.value)}  {at} by {fact.posted_by}"
                self.stdout.write(json.dumps(known) if options["json"] else words)

    def _forget(self, options: dict[str, Any]) -> None:
        with database_errors_explained(self):
            environment = find_environment(self, options["environment"])
            try:
                count = forget_facts(environment, options["names"], by=audit.COMMAND_LINE)
            except OutsideError as error:
                refuse(self, str(error), USAGE)
        self.stdout.write(f"{environment.slug}: {_count(count)} forgotten")

    def _post(self, options: dict[str, Any]) -> None:
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
        self.stdout.write(f"{environment.slug}: {_count(len(kept))} kept")


def _count(number: int) -> str:
    return "1 fact" if number == 1 else f"{number} facts"


def _word(value: object) -> object:
    """A value as it is posted."""
    return {True: "set", False: "missing"}.get(value) if isinstance(value, bool) else value
