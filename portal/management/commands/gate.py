"""Whether an environment may go live, for pipelines and people; reads what pages read.

Exit status: 0 GO or CONDITIONAL (with --strict GO alone), 1 not so, 2 usage, 3 could not tell, which prints NO-GO too.
"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from portal.command_exits import BAD_NEWS, COULD_NOT_TELL, database_errors_explained
from portal.gate import describe_gate, describe_unknown, is_open, item_url, judge_gate
from portal.words import word_age
from readiness.checklists.gate import Decision
from readiness.environment_argument import find_environment
from readiness.models import Environment


class Command(BaseCommand):
    help = "Says whether an environment may go live, and what speaks against it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("environment", metavar="ENV", help="its slug")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--strict", action="store_true", help="refuse CONDITIONAL too")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with database_errors_explained(self):
                environment = find_environment(self, options["environment"])
                decision = judge_gate(environment, timezone.now()).decision
        except SystemExit as end:
            if end.code == COULD_NOT_TELL:
                self._print_unknown(options)
            raise
        if options["json"]:
            self.stdout.write(json.dumps(describe_gate(environment, decision)))
        else:
            self._print(environment, decision)
        for sentence in decision.blind_spots:
            self.stderr.write(f"Could not tell: {sentence}")
        if not decision.could_tell:
            raise SystemExit(COULD_NOT_TELL)
        if not is_open(decision, is_strict=options["strict"]):
            raise SystemExit(BAD_NEWS)

    def _print_unknown(self, options: dict[str, Any]) -> None:
        """Not even the database could be asked: that is NO-GO too."""
        unknown = describe_unknown(options["environment"], timezone.now())
        self.stdout.write(json.dumps(unknown) if options["json"] else f"{unknown['environment']}: {unknown['verdict']}")

    def _print(self, environment: Environment, decision: Decision) -> None:
        self.stdout.write(f"{environment.slug}: {decision.verdict}")
        now = decision.evaluated_at or timezone.now()
        for reason in decision.reasons:
            age = f", {word_age(reason.since, now)}" if reason.since else ""
            self.stdout.write(
                f"  {reason.severity} {reason.key}: {reason.state.replace('_', ' ')}, "
                f"{reason.owner or 'no owner'}{age}  {item_url(environment, reason.key)}"
            )
        for waiver in decision.waivers:
            ending = ", ends soon" if waiver.is_ending else ""
            self.stdout.write(f"  waived {waiver.key} until {waiver.expires_on}, approved by {waiver.approver}{ending}")
