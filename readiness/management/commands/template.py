"""Lists, exports, imports and checks checklist templates; writes through the template store.

stdout holds the answer, stderr sentences. Exit status: 0 fine, 1 a template that is wrong, 2 usage, 3 no database.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Count, Q
from django.utils.text import slugify

from portal.command_exits import BAD_NEWS, USAGE, database_errors_explained, refuse
from readiness.checklists import template_store
from readiness.checklists.assigned_template import read_version
from readiness.checklists.template import Template, TemplateError, list_shipped, load_template, parse_draft
from readiness.checklists.template_check import find_problems
from readiness.checklists.template_store import CONTENT_LENGTH, TemplateChangeError
from readiness.checklists.template_tasks import TaskListError, read_task_list, write_task_list
from readiness.checklists.template_writer import write_template
from readiness.models import ChecklistTemplate, Environment, TemplateVersion


class Command(BaseCommand):
    help = "Lists, exports, imports and checks checklist templates."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listed = actions.add_parser("list", help="list templates and their versions")
        listed.add_argument("--json", action="store_true", help="print JSON, one object a line")
        export = actions.add_parser("export", help="print a template")
        export.add_argument("key", metavar="KEY")
        export.add_argument("--number", type=int, metavar="N", help="which version; the newest published when left out")
        export.add_argument("--format", choices=["toml", "markdown"], default="toml")
        export.add_argument("--language", choices=["en", "de"], default="en", help="of Markdown")
        taken = actions.add_parser("import", help="make a draft of a file")
        taken.add_argument("--publish", action="store_true", help="publish it at once")
        checked = actions.add_parser("check", help="say whether a file can be published; stores nothing")
        for each in (taken, checked):
            each.add_argument("file", metavar="FILE", help="TOML, or Markdown with a task list; - reads stdin")
            each.add_argument("--format", choices=["toml", "markdown"], help="told by the name when left out")
            each.add_argument("--key", default="", help="its key here; its own, or made from the name, when left out")
            each.add_argument("--name", default="", help="what people call it; Markdown needs one")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "check":
            content = self._read(options)
            self._refuse_unfinished(content)
            self.stdout.write(f"{content.key}: {_count(content)}, nothing is wrong with it")
            return
        with database_errors_explained(self):
            if options["action"] == "list":
                self._list(is_json=options["json"])
            elif options["action"] == "export":
                self._export(options)
            else:
                self._import(options)

    def _list(self, *, is_json: bool) -> None:
        shipped = Environment.objects.active().filter(template_version__isnull=True).count()
        for key in list_shipped():
            content = load_template(key)
            self._answer(is_json, key, content.title.en, content.version, "shipped", shipped)
        is_active = Q(environments__retired_at__isnull=True)
        versions = TemplateVersion.objects.defer("content").select_related("template")
        for version in versions.annotate(follower_count=Count("environments", is_active)).order_by(
            "template__key", "number"
        ):
            template = version.template
            self._answer(is_json, template.key, template.name_en, version.number, version.state, version.follower_count)

    def _answer(self, is_json: bool, key: str, name: str, number: int, state: str, followers: int) -> None:
        if is_json:
            described = {"key": key, "name": name, "number": number, "state": state, "environments": followers}
            self.stdout.write(json.dumps(described, ensure_ascii=False))
        else:
            self.stdout.write(f"{key} {number}: {state}, followed by {followers}, {name}")

    def _export(self, options: dict[str, Any]) -> None:
        content = self._find(options["key"], options["number"])
        if options["format"] == "markdown":
            self.stdout.write(write_task_list(content, options["language"]), ending="")
        else:
            self.stdout.write(write_template(content), ending="")

    def _find(self, key: str, number: int | None) -> Template:
        if key in list_shipped() and number in {None, load_template(key).version}:
            return load_template(key)
        versions = TemplateVersion.objects.select_related("template").filter(template__key=key)
        wanted = versions.filter(number=number) if number is not None else versions.filter(state="published")
        version = wanted.order_by("-number").first()
        if version is None:
            known = ", ".join(
                [*list_shipped(), *ChecklistTemplate.objects.order_by("key").values_list("key", flat=True)]
            )
            what = f"template {key!r}" if number is None else f"version {number} of a template {key!r}"
            refuse(self, f"There is no published {what}; there are: {known}.", USAGE)
        return read_version(version)

    def _import(self, options: dict[str, Any]) -> None:
        content = self._read(options)
        if options["publish"]:
            self._refuse_unfinished(content)
        template = ChecklistTemplate.objects.filter(key=content.key).first()
        try:
            if template is None:
                version = template_store.create_template(content, by=None)
            else:
                version = template_store.start_draft(template, content=content, by=None)
            if options["publish"]:
                template_store.publish_draft(version, revision=version.revision, by=None)
        except TemplateChangeError as error:
            refuse(self, str(error), USAGE)
        state = "published" if options["publish"] else "a draft"
        self.stdout.write(f"{version.template.key}: {_count(content)}, version {version.number} is {state}")

    def _read(self, options: dict[str, Any]) -> Template:
        """The template in the file; whatever is wrong with it ends the command with one sentence."""
        name, text = options["file"], self._read_text(options["file"])
        is_markdown = options["format"] == "markdown" or (
            options["format"] is None and name.lower().endswith((".md", ".markdown"))
        )
        try:
            if not is_markdown:
                found = parse_draft(text)
                found = replace(found, key=options["key"] or found.key)
            else:
                if not options["name"]:
                    refuse(self, "Give a checklist that is made of Markdown a name: --name NAME.", USAGE)
                found = read_task_list(
                    text, options["key"] or slugify(options["name"])[:60].strip("-"), options["name"]
                )
        except (TemplateError, TaskListError) as error:
            refuse(self, f"{name}: {error}", BAD_NEWS)
        if not found.key:
            refuse(self, "Give a key: the name holds no letter that could make one.", USAGE)
        if options["name"]:
            found = replace(found, title=replace(found.title, en=options["name"], de=options["name"]))
        return found

    def _read_text(self, name: str) -> str:
        try:
            text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        except OSError as error:
            refuse(self, f"The file {name} cannot be read: {error.strerror}.", USAGE)
        except UnicodeDecodeError:
            refuse(self, f"The file {name} is no text in UTF-8.", USAGE)
        if len(text) > CONTENT_LENGTH:
            refuse(self, f"The file {name} is longer than {CONTENT_LENGTH:,} characters.", BAD_NEWS)
        return text

    def _refuse_unfinished(self, content: Template) -> None:
        if problems := find_problems(content):
            refuse(self, "\n".join(problems), BAD_NEWS)


def _count(content: Template) -> str:
    return f"{_plural(len(content.items), 'item')} in {_plural(len(content.sections), 'section')}"


def _plural(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
