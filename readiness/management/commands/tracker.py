"""Connects, tests, syncs and lists error trackers for scripts; writes Tracker rows and what sync writes.

stdout holds the answer, stderr sentences. Exit status: 0 fine, 1 bad news from the tracker, 2 usage, 3 could not tell.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils import timezone

from portal import audit
from portal.command_exits import BAD_NEWS, COULD_NOT_TELL, USAGE, database_errors_explained, refuse
from portal.secrets import SecretError, is_reference
from readiness.models import Environment, Tracker, TrackerProject
from readiness.trackers.base import TrackerError, TrackerErrorReason
from readiness.trackers.listing import describe_issue, list_issues
from readiness.trackers.setup import Tested, test_tracker
from readiness.trackers.sync import CLAIM_SECONDS, claim, make_adapter, sync_tracker
from readiness.trackers.trial_event import send_test_event

COMMAND_SECONDS = 600
COMMAND_BUDGET = 20_000
# A claim ends by itself, also that of a worker that died.
CLAIM_PATIENCE_SECONDS = CLAIM_SECONDS + 5
# The tracker answered, and the answer is no: a person must change something.
_REFUSED = {
    TrackerErrorReason.UNAUTHORIZED,
    TrackerErrorReason.SCOPE_MISSING,
    TrackerErrorReason.NOT_FOUND,
    TrackerErrorReason.REDIRECT,
}


class Command(BaseCommand):
    help = "Connects an environment's error tracker, tests it, reads it and lists its issues."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        add = actions.add_parser("add", help="connect an environment's tracker")
        add.add_argument("environment", metavar="ENV")
        add.add_argument("--provider", required=True, choices=Tracker.Provider.values)
        add.add_argument("--url", required=True)
        add.add_argument("--organization", default="", metavar="O")
        add.add_argument("--project", action="append", required=True, metavar="[ROLE=]P", help="repeatable")
        add.add_argument("--token", required=True, metavar="env:VAR|file:PATH")
        add.add_argument("--tracker-environment", default="", metavar="NAME")
        add.add_argument("--allow-http", action="store_true", help="allow plain HTTP, loopback and private addresses")
        test = actions.add_parser("test", help="try URL, token and scopes")
        sync = actions.add_parser("sync", help="read everything now")
        issues = actions.add_parser("issues", help="list what the last sync read")
        issues.add_argument("--limit", type=int, metavar="N")
        issues.add_argument("--tracker-environment", metavar="NAME", help="only what that environment of it counts")
        test_event = actions.add_parser("test-event", help="send an event to each project's DSN and wait for it")
        for each in (test, sync, issues, test_event):
            each.add_argument("environment", metavar="ENV")
        for each in (add, test, sync, issues, test_event):
            each.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        actions = {
            "add": self._add,
            "test": self._test,
            "sync": self._sync,
            "issues": self._issues,
            "test-event": self._test_event,
        }
        with database_errors_explained(self):
            status = actions[options["action"]](options)
        if status:
            raise SystemExit(status)

    def _add(self, options: dict[str, Any]) -> int:
        environment = self._find_environment(options["environment"])
        if Tracker.objects.filter(environment=environment).exists():
            refuse(self, f"{environment.slug} has a tracker already; change it in the browser.", USAGE)
        if not is_reference(options["token"]):
            # Whatever was typed may be the token, and argv is for everyone to see: it is not repeated.
            refuse(self, "--token takes env:VAR or file:PATH, never the token itself.", USAGE)
        projects = _read_projects(self, options["project"])
        tracker = Tracker(
            environment=environment,
            provider=options["provider"],
            url=options["url"].rstrip("/"),
            organization=options["organization"],
            token=options["token"],
            tracker_environment=options["tracker_environment"],
            allow_http=options["allow_http"],
            allow_loopback=options["allow_http"],
        )
        if not tracker.organization and tracker.provider != Tracker.Provider.BUGSINK:
            refuse(self, f"{tracker.get_provider_display()} needs --organization.", USAGE)
        if tracker.url.startswith("http:") and not tracker.allow_http:
            refuse(self, "The URL is plain HTTP, which sends the token unencrypted: use https, or --allow-http.", USAGE)
        try:
            with transaction.atomic():
                tracker.full_clean()
                tracker.save()
                for role, name in projects:
                    project = TrackerProject(tracker=tracker, name=name, role=role)
                    project.full_clean()
                    project.save()
        except ValidationError as error:
            field, found = next(iter(error.message_dict.items()))
            refuse(self, found[0] if field == "__all__" else f"{field}: {found[0]}", USAGE)
        audit.record(
            "connected the error tracker",
            actor_name=audit.COMMAND_LINE,
            environment=environment,
            subject=f"{tracker.get_provider_display()} at {tracker.url}",
        )
        described = {
            "environment": environment.slug,
            "provider": tracker.provider,
            "url": tracker.url,
            "organization": tracker.organization or None,
            "projects": [{"role": role, "name": name} for role, name in projects],
            "tracker_environment": tracker.tracker_environment or None,
        }
        try:
            tracker.read_token()
        except SecretError as error:
            # Not refused: only where workers run must it be there.
            self.stderr.write(str(error))
        names = ", ".join(name for _, name in projects)
        self._answer(options, described, f"{environment.slug}: {tracker.provider} at {tracker.url}, {names}")
        return 0

    def _test(self, options: dict[str, Any]) -> int:
        tracker = self._find_tracker(options["environment"])
        tested = test_tracker(tracker)
        described = {
            "environment": tracker.environment.slug,
            "provider": tracker.provider,
            "ok": tested.is_good,
            "error": tested.error or None,
            "checks": [{"what": what, "ok": not why, "error": why or None} for what, why in tested.checks],
            "missing_scopes": list(tested.missing_scopes),
            "organizations": list(tested.organizations),
            "projects": [project.slug or project.name for project in tested.projects],
        }
        lines = [f"{what}: {why or 'fine'}" for what, why in tested.checks]
        is_said = any(why == tested.error for _, why in tested.checks)
        self._answer(options, described, "\n".join([*lines, *([] if is_said or not tested.error else [tested.error])]))
        return _status_of(tested)

    def _sync(self, options: dict[str, Any]) -> int:
        tracker = self._find_tracker(options["environment"])
        now = _claim_patiently(tracker)
        if now is None:
            refuse(self, "This tracker is being read at this moment; try again in a minute.", COULD_NOT_TELL)
        try:
            adapter = make_adapter(tracker, budget=COMMAND_BUDGET, total_seconds=COMMAND_SECONDS)
        except (TrackerError, SecretError):
            adapter = None  # sync itself says why, and keeps it
        synced = sync_tracker(tracker, now, adapter=adapter, issues_read=None)
        tracker.refresh_from_db()
        described = {
            "environment": tracker.environment.slug,
            "ok": not synced.error,
            "issues": tracker.issues.count(),
            "synced_at": tracker.synced_at.isoformat() if tracker.synced_at else None,
            "error": synced.error or None,
            "warning": synced.warning or None,
        }
        self._answer(options, described, synced.error or f"{tracker.environment.slug}: {described['issues']} issues")
        return COULD_NOT_TELL if synced.error else 0

    def _issues(self, options: dict[str, Any]) -> int:
        if options["limit"] is not None and options["limit"] < 1:
            refuse(self, "--limit takes a number of at least 1.", USAGE)
        tracker = self._find_tracker(options["environment"])
        wanted = options["tracker_environment"]
        issues = list_issues(tracker)
        if wanted is not None and wanted != tracker.tracker_environment:
            issues = issues.filter(events__tags__environment=wanted).distinct()
        rows = [describe_issue(issue) for issue in issues[: options["limit"]]]
        synced_at = tracker.synced_at.isoformat() if tracker.synced_at else None
        words = "\n".join(map(_describe, rows)) or "No issue."
        self._answer(options, {"synced_at": synced_at, "issues": rows}, words)
        if tracker.error:
            self.stderr.write(f"No data since {synced_at or 'ever'}: {tracker.error}")
        return 0 if tracker.synced_at is not None else COULD_NOT_TELL

    def _test_event(self, options: dict[str, Any]) -> int:
        tracker = self._find_tracker(options["environment"])
        sent = [send_test_event(row) for row in tracker.projects.select_related("tracker__environment")]
        described = {
            "environment": tracker.environment.slug,
            "projects": [
                {
                    "project": one.project,
                    "role": one.role,
                    "arrived_after_seconds": one.arrived_after_seconds,
                    "error": one.error or None,
                }
                for one in sent
            ],
        }
        lines = [
            f"{one.project}: {one.error or f'arrived after {one.arrived_after_seconds:.1f} seconds'}" for one in sent
        ]
        self._answer(options, described, "\n".join(lines))
        return BAD_NEWS if any(one.error for one in sent) else 0

    def _find_environment(self, slug: str) -> Environment:
        environment = Environment.objects.filter(slug=slug).first()
        if environment is None:
            refuse(self, f"There is no environment {slug!r}.", USAGE)
        return environment

    def _find_tracker(self, slug: str) -> Tracker:
        environment = self._find_environment(slug)
        tracker = Tracker.objects.select_related("environment").filter(environment=environment).first()
        if tracker is None:
            refuse(self, f"{slug} has no error tracker: `manage.py tracker add {slug}` connects one.", USAGE)
        return tracker

    def _answer(self, options: dict[str, Any], described: dict[str, Any], words: str) -> None:
        self.stdout.write(json.dumps(described) if options["json"] else words)


def _claim_patiently(tracker: Tracker) -> datetime | None:
    """When it was claimed; a worker that reads it at this moment is waited for. None when that takes too long."""
    ends = time.monotonic() + CLAIM_PATIENCE_SECONDS
    while not claim(tracker.pk, now := timezone.now(), COMMAND_SECONDS):
        if time.monotonic() >= ends:
            return None
        time.sleep(0.5)
    return now


def _status_of(tested: Tested) -> int:
    if tested.is_good:
        return 0
    return BAD_NEWS if tested.reasons <= _REFUSED else COULD_NOT_TELL


def _read_projects(command: BaseCommand, texts: list[str]) -> list[tuple[str, str]]:
    """(role, name) of each ``[ROLE=]P``; a usage error for one that is not clear."""
    found: list[tuple[str, str]] = []
    for text in texts:
        role, separator, name = text.rpartition("=")
        if separator and role not in TrackerProject.Role.values:
            refuse(command, f"--project {text}: a role is {' or '.join(TrackerProject.Role.values)}.", USAGE)
        if not name:
            refuse(command, f"--project {text}: name the project after the role.", USAGE)
        if name in (named for _, named in found):
            refuse(command, f"--project {name} is given twice; a project has one role.", USAGE)
        found.append((role or TrackerProject.Role.BACKEND.value, name))
    return found


def _describe(issue: dict[str, Any]) -> str:
    """One line without control characters, which would speak to the terminal."""
    count = "unknown" if issue["count_24h"] is None else str(issue["count_24h"])
    title = "".join(character if character.isprintable() else " " for character in issue["title"])
    return f"{issue['level'] or '?'}: {title} ({count} in 24 h)"
