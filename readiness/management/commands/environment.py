"""Adds and lists environments for scripts; writes Environment, Endpoint and Database rows.

stdout holds the answer, stderr sentences. Exit status: 0 fine, 2 usage or a slug that is taken, 3 no database.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils import timezone

from portal import audit
from portal.command_exits import USAGE, database_errors_explained, refuse
from portal.secrets import is_reference
from readiness import claims
from readiness.checklists import workflow
from readiness.models import Database, Endpoint, Environment


class Command(BaseCommand):
    help = "Adds an environment, or lists those there are."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        add = actions.add_parser("add", help="add an environment with its URLs and databases")
        add.add_argument("slug", metavar="SLUG")
        add.add_argument("--kind", required=True, choices=Environment.Kind.values)
        add.add_argument("--name", help="what people read; made from the slug when left out")
        add.add_argument("--url", action="append", default=[], help="a frontend URL; repeatable")
        add.add_argument("--api-url", action="append", default=[], metavar="URL", help="an API's URL; repeatable")
        add.add_argument("--alias-url", action="append", default=[], metavar="URL", help="an alias such as www")
        add.add_argument("--health-path", default="", metavar="PATH", help="of the APIs, for example /health")
        add.add_argument("--ca-file", type=Path, metavar="F", help="PEM certificates of a private authority")
        add.add_argument(
            "--database",
            action="append",
            default=[],
            metavar="NAME=env:VAR|file:PATH",
            help="a database by reference; repeatable",
        )
        add.add_argument(
            "--prove-on-own-server",
            action="store_true",
            help="choose to prove backups by a scratch restore on the databases' own server",
        )
        listed = actions.add_parser("list", help="list environments")
        for each in (add, listed):
            each.add_argument("--json", action="store_true", help="print JSON, one object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        with database_errors_explained(self):
            if options["action"] == "list":
                for environment in Environment.objects.active().prefetch_related("endpoints", "databases"):
                    self._answer(environment, is_json=options["json"])
            else:
                self._answer(self._add(options), is_json=options["json"])

    def _add(self, options: dict[str, Any]) -> Environment:
        slug = options["slug"]
        if Environment.objects.filter(slug=slug).exists():
            refuse(self, f"There is already an environment {slug!r}.", USAGE)
        name = options["name"] or slug.replace("-", " ").replace("_", " ").capitalize()
        environment = Environment(slug=slug, name=name, kind=options["kind"], ca_bundle=self._read(options["ca_file"]))
        with transaction.atomic():
            try:
                environment.full_clean()
                environment.save()
                for role, urls in (
                    (Endpoint.Role.FRONTEND, options["url"]),
                    (Endpoint.Role.API, options["api_url"]),
                    (Endpoint.Role.ALIAS, options["alias_url"]),
                ):
                    for url in urls:
                        path = options["health_path"] if role is Endpoint.Role.API else ""
                        _save(Endpoint(environment=environment, role=role, url=url, health_path=path))
                for text in options["database"]:
                    self._add_database(environment, text, options["prove_on_own_server"])
            except ValidationError as error:
                refuse(self, _first_sentence(error), USAGE)
            workflow.start_checklist(environment)
            claims.sync_schedules(timezone.now(), [environment])
            subject = str(environment)
            audit.record("added", actor_name=audit.COMMAND_LINE, environment=environment, subject=subject)
        return environment

    def _add_database(self, environment: Environment, text: str, prove_on_own_server: bool) -> None:
        name, separator, reference = text.partition("=")
        if not separator or not is_reference(reference):
            # Whatever was typed may hold a password, and argv is for everyone to see: it is not repeated.
            refuse(self, "--database takes NAME=env:VAR or NAME=file:PATH, never the connection itself.", USAGE)
        _save(Database(environment=environment, name=name, dsn=reference, prove_on_own_server=prove_on_own_server))

    def _read(self, path: Path | None) -> str:
        if path is None:
            return ""
        try:
            return path.read_text(encoding="ascii")
        except OSError as error:
            refuse(self, f"The file {path} cannot be read: {error.strerror}.", USAGE)
        except UnicodeDecodeError:
            refuse(self, f"The file {path} holds no PEM certificates.", USAGE)

    def _answer(self, environment: Environment, *, is_json: bool) -> None:
        urls = [endpoint.url for endpoint in environment.endpoints.all()]
        databases = [database.name for database in environment.databases.all()]
        if is_json:
            described = {"slug": environment.slug, "name": environment.name, "kind": environment.kind}
            self.stdout.write(json.dumps({**described, "urls": urls, "databases": databases}))
        else:
            self.stdout.write(f"{environment.slug}: {environment.kind}, {', '.join([*urls, *databases]) or 'empty'}")


def _save(row: Endpoint | Database) -> None:
    row.full_clean()
    row.save()


def _first_sentence(error: ValidationError) -> str:
    field, messages = next(iter(error.message_dict.items()))
    return messages[0] if field == "__all__" else f"{field}: {messages[0]}"
