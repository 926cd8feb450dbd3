"""Loads a shipped checklist template (go-live is templates/go_live.toml) and adds up its costs; writes nothing."""

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from readiness.checklists.template_reader import read_template
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
    "CostTotals",
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
    "cost_totals",
    "load_template",
    "parse_template",
]

_FOLDER = Path(__file__).parent / "templates"
_FILE_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class TemplateError(Exception):
    """A template is missing or wrong; the text is one sentence that names the place."""


@dataclass(frozen=True)
class CostTotals:
    """Money per month. Minimal: what must be paid, with the cheapest and the dearest of the alternatives.

    Recommended: the first choices of what must be paid, without and with the optional lines.
    """

    currency: str
    minimal_low: Decimal
    minimal_high: Decimal
    recommended_low: Decimal
    recommended_high: Decimal


@lru_cache
def load_template(key: str = "go-live") -> Template:
    """The shipped template of this key, read once per process; TemplateError when it is missing or wrong."""
    path = _FOLDER / f"{key.replace('-', '_')}.toml"
    if not _FILE_KEY.fullmatch(key) or not path.is_file():
        known = ", ".join(sorted(found.stem.replace("_", "-") for found in _FOLDER.glob("*.toml")))
        raise TemplateError(f'There is no checklist template "{key}"; there is: {known}.')
    return parse_template(path.read_text(encoding="utf-8"), key)


def parse_template(source: str, key: str) -> Template:
    """The template that this TOML text spells; TemplateError names the first thing that is wrong."""
    try:
        return read_template(tomllib.loads(source, parse_float=Decimal), key)
    except tomllib.TOMLDecodeError as error:
        raise TemplateError(f'Template "{key}" is not valid TOML: {error}.') from None
    except RowError as error:
        raise TemplateError(f'Template "{key}": {error}.') from None


def cost_totals(template: Template) -> CostTotals:
    """Totals per month; of lines that are alternatives of one another exactly one counts."""
    choices = [
        [line, *(other for other in template.costs if other.alternative_of == line.key)]
        for line in template.costs
        if not line.alternative_of
    ]
    must = [[line.monthly for line in group] for group in choices if group[0].severity is Severity.MUST]
    optional = [group[0].monthly for group in choices if group[0].severity is not Severity.MUST]
    recommended = sum((group[0] for group in must), Decimal(0))
    return CostTotals(
        currency=template.costs[0].currency if template.costs else "",
        minimal_low=sum((min(group) for group in must), Decimal(0)),
        minimal_high=sum((max(group) for group in must), Decimal(0)),
        recommended_low=recommended,
        recommended_high=recommended + sum(optional, Decimal(0)),
    )
