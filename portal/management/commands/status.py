"""How every environment stands, for scripts and people; reads what pages read.

Exit status: 0 everything is GO or CONDITIONAL and the workers live, 1 something is NO-GO, 3 a worker is silent or the
database is.
"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from backups.leases import read_lease_end
from portal.command_exits import BAD_NEWS, COULD_NOT_TELL, USAGE, database_errors_explained, refuse
from portal.gate import list_blind_spots
from portal.jobs import Pulse, read_pulses
from portal.words import word_age
from readiness.checklists.assessment import Assessment, assess
from readiness.checklists.facts import ProbeFact
from readiness.models import Environment


class Command(BaseCommand):
    help = "Shows the verdict, the probes and the newest proven backup of every environment."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("environments", nargs="*", metavar="ENV", help="slugs; all when left out")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        with database_errors_explained(self):
            status = self._show(options["environments"], is_json=options["json"])
        if status:
            raise SystemExit(status)

    def _show(self, slugs: list[str], *, is_json: bool) -> int:
        environments = list(Environment.objects.active().order_by("slug"))
        known = {environment.slug for environment in environments}
        for slug in slugs:
            if slug not in known:
                names = ", ".join(sorted(known)) or "none yet"
                refuse(self, f"There is no environment {slug!r}; there are: {names}.", USAGE)
        if slugs:
            environments = [environment for environment in environments if environment.slug in slugs]
        now = timezone.now()
        pulses = read_pulses(now, read_lease_end())
        assessments = assess(environments, now, list_blind_spots(pulses))
        if is_json:
            self.stdout.write(json.dumps(_describe(list(assessments.values()), pulses)))
        else:
            self._print(list(assessments.values()), pulses)
        if not all(pulse.alive for pulse in pulses.values()):
            return COULD_NOT_TELL
        return 0 if all(one.decision.verdict.may_go_live for one in assessments.values()) else BAD_NEWS

    def _print(self, assessments: list[Assessment], pulses: dict[str, Pulse]) -> None:
        if not assessments:
            self.stdout.write("No environment yet: `manage.py environment add SLUG --kind KIND --url URL` adds one.")
        for one in assessments:
            probes = ", ".join(f"{kind} {_word(fact)}" for kind, fact in one.facts.probes.items()) or "nothing to probe"
            self.stdout.write(f"{one.environment.slug}: {one.decision.verdict}, {len(one.decision.reasons)} reasons")
            self.stdout.write(f"  {probes}")
            proven_at = one.facts.backups.newest_proven_at
            self.stdout.write(f"  newest proven backup: {word_age(proven_at, one.facts.now)}")
        for name, pulse in pulses.items():
            seen = "never seen" if pulse.last_seen_seconds is None else f"seen {pulse.last_seen_seconds} s ago"
            self.stdout.write(f"worker {name}: {'alive' if pulse.alive else 'silent'}, {seen}")


def _describe(assessments: list[Assessment], pulses: dict[str, Pulse]) -> dict[str, Any]:
    return {
        "environments": [_describe_environment(one) for one in assessments],
        "workers": {
            name: {"alive": pulse.alive, "last_seen_seconds": pulse.last_seen_seconds} for name, pulse in pulses.items()
        },
    }


def _describe_environment(one: Assessment) -> dict[str, Any]:
    facts = one.facts
    proven_at = facts.backups.newest_proven_at
    return {
        "slug": one.environment.slug,
        "verdict": one.decision.verdict.value,
        "probes": {
            kind: {
                "status": "stale" if fact.is_stale else fact.status,
                "age_seconds": None
                if fact.observed_at is None
                else max(0, int((facts.now - fact.observed_at).total_seconds())),
            }
            for kind, fact in facts.probes.items()
        },
        "last_proven_backup_age_seconds": None
        if proven_at is None
        else max(0, int((facts.now - proven_at).total_seconds())),
    }


def _word(fact: ProbeFact) -> str:
    if fact.status is None:
        return "no result yet"
    return f"stale (was {fact.status})" if fact.is_stale else fact.status
