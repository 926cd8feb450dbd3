"""Loads a shipped checklist template (go-live is templates/go_live.toml); writes nothing."""

import re
import tomllib
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from readiness.checklists.template_reader import check_is_finished, read_template
from readiness.checklists.template_values import (
    AlertRule,
    Condition,
    CostLine,
    EvidenceKind,
    Hours,
    Item,
    Kind,
    PlanStep,
    Resource,
    Section,
    Severity,
    Table,
    Template,
    Text,
)
from readiness.checklists.toml_rows import RowError

__all__ = [
    "AlertRule",
    "Condition",
    "CostLine",
    "EvidenceKind",
    "Hours",
    "Item",
    "Kind",
    "PlanStep",
    "Resource",
    "Section",
    "Severity",
    "Table",
    "Template",
    "TemplateError",
    "Text",
    "list_shipped",
    "load_template",
    "parse_draft",
    "parse_template",
]

_FOLDER = Path(__file__).parent / "templates"
# The standard parser takes quadratic time for a key of many parts, which is what a line of many dots may be.
_MOST_DOTS = 500
_FILE_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class TemplateError(Exception):
    """A template is missing or wrong; the text is one sentence that names the place."""


def list_shipped() -> tuple[str, ...]:
    """The keys of the templates that the portal brings with it."""
    return tuple(sorted(found.stem.replace("_", "-") for found in _FOLDER.glob("*.toml")))


@lru_cache
def load_template(key: str = "go-live") -> Template:
    """The shipped template of this key, read once per process; TemplateError when it is missing or wrong."""
    path = _FOLDER / f"{key.replace('-', '_')}.toml"
    if not _FILE_KEY.fullmatch(key) or not path.is_file():
        raise TemplateError(f'There is no checklist template "{key}"; there is: {", ".join(list_shipped())}.')
    return parse_template(path.read_text(encoding="utf-8"), key)


def parse_template(source: str, key: str) -> Template:
    """The template that this TOML text spells; TemplateError names the first thing that is wrong."""
    template = parse_draft(source, key)
    try:
        check_is_finished(template)
    except RowError as error:
        raise TemplateError(f'Template "{key}": {error}.') from None
    return template


def parse_draft(source: str, key: str = "") -> Template:
    """Like parse_template, for a template that may have no items yet; without ``key`` it has the one that it names."""
    name = f'Template "{key}"' if key else "The template"
    for number, line in enumerate(source.split("\n"), start=1):
        if line.count(".") > _MOST_DOTS:
            raise TemplateError(f"{name} has more than {_MOST_DOTS} dots in line {number}.")
    try:
        # Editors on Windows begin a file with a byte order mark, which is nothing that anybody wrote.
        return read_template(tomllib.loads(source.removeprefix("\ufeff"), parse_float=Decimal), key)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise TemplateError(f"{name} is not valid TOML: {error}.") from None
    except RowError as error:
        raise TemplateError(f"{name}: {error}.") from None
