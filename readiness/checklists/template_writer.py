"""Spells a template as TOML that reads as the same template again; writes nothing."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import tomli_w

from readiness.checklists.template_values import (
    AlertRule,
    CostLine,
    Hours,
    Item,
    PlanStep,
    Section,
    Table,
    Template,
    Text,
)


def write_template(template: Template) -> str:
    """The canonical text of ``template``: what has not been said is left out."""
    head: dict[str, Any] = {"key": template.key, "version": template.version}
    head |= _spell_texts(title=template.title, intro=template.intro)
    parts = [
        *(("section", _spell_section(section)) for section in template.sections),
        *(("item", _spell_item(item)) for item in template.items),
        *(("plan", _spell_step(step)) for step in template.plan),
        *(("cost", _spell_cost(line)) for line in template.costs),
        *(("alert_rule", _spell_alert_rule(rule)) for rule in template.alert_rules),
    ]
    return "\n".join([_dump("template", head), *(_dump_one_of_many(name, part) for name, part in parts)])


def _dump(name: str, table: Mapping[str, Any]) -> str:
    return tomli_w.dumps({name: table}, multiline_strings=True)


def _dump_one_of_many(name: str, table: Mapping[str, Any]) -> str:
    """A part under a head of its own, however small: whoever edits the text adds another one below."""
    return _dump(name, table).replace(f"[{name}]", f"[[{name}]]", 1)


def _spell_section(section: Section) -> dict[str, Any]:
    spelled: dict[str, Any] = {"key": section.key}
    if section.estimate_hours != Hours(0, 0):
        spelled["estimate_hours"] = _spell_hours(section.estimate_hours)
    spelled |= _spell_texts(title=section.title, why=section.why)
    spelled["without"] = _spell_list(section.without)
    spelled["resources"] = [{"title": one.title, "url": one.url} for one in section.resources]
    spelled["table"] = [_spell_table(table) for table in section.tables]
    return {name: value for name, value in spelled.items() if value != []}


def _spell_table(table: Table) -> dict[str, Any]:
    return {
        "title": _spell_text(table.title),
        "columns": _spell_list(table.columns),
        "rows": [_spell_list(row) for row in table.rows],
    }


def _spell_item(item: Item) -> dict[str, Any]:
    spelled: dict[str, Any] = {
        "key": item.key,
        "section": item.section,
        "kind": item.kind.value,
        "severity": item.severity.value,
    }
    if item.rule:
        spelled["rule"] = item.rule
    asked = {
        "evidence": [wanted.value for wanted in item.evidence],
        "approvals": item.approvals,
        "valid_days": item.valid_days,
        "per_release": item.per_release,
        "applies_to": list(item.applies_to),
        "estimate_minutes": item.estimate_minutes,
    }
    spelled |= {name: value for name, value in asked.items() if value}
    return spelled | _spell_texts(title=item.title, rule_text=item.rule_text, why=item.why, how=item.how)


def _spell_step(step: PlanStep) -> dict[str, Any]:
    return {
        "key": step.key,
        "day": step.day,
        "half": step.half,
        "title": _spell_text(step.title),
        "hours": _spell_hours(step.hours),
        "items": list(step.items),
    }


def _spell_cost(line: CostLine) -> dict[str, Any]:
    spelled: dict[str, Any] = {
        "key": line.key,
        "plan": line.plan,
        "amount": _spell_number(line.amount),
        "currency": line.currency,
        "period": line.period,
        "severity": line.severity.value,
    }
    if line.alternative_of:
        spelled["alternative_of"] = line.alternative_of
    return spelled | _spell_texts(service=line.service, note=line.note)


def _spell_alert_rule(rule: AlertRule) -> dict[str, Any]:
    spelled: dict[str, Any] = {"key": rule.key, "condition": rule.condition.value}
    if rule.levels:
        spelled["levels"] = list(rule.levels)
    if rule.value:
        spelled["value"] = rule.value
    if rule.threshold:
        spelled["threshold"] = rule.threshold
    if rule.interval_seconds:
        spelled["interval_seconds"] = rule.interval_seconds
    return spelled | _spell_texts(title=rule.title, how=rule.how)


def _spell_text(text: Text) -> str | dict[str, str]:
    return text.en if text.en == text.de else {"en": text.en, "de": text.de}


def _spell_texts(**texts: Text) -> dict[str, Any]:
    return {name: _spell_text(text) for name, text in texts.items() if text != Text("", "")}


def _spell_list(texts: Iterable[Text]) -> list[str | dict[str, str]]:
    return [_spell_text(text) for text in texts]


def _spell_hours(hours: Hours) -> dict[str, int | float]:
    return {"low": _spell_number(hours.low), "high": _spell_number(hours.high)}


def _spell_number(number: Decimal | float) -> Any:
    return int(number) if number == int(number) else number
