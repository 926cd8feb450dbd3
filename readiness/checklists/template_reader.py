"""Turns a parsed TOML document into a Template and checks that its parts fit together; writes nothing."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

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
from readiness.checklists.toml_rows import Row, RowError

_RULE = re.compile(r"[a-z]+\.[a-z_]+")
# The kinds of environment that there are.
ENVIRONMENT_KINDS = ("production", "staging", "test", "development")
_LANGUAGES = ("en", "de")
_TOP = ("template", "section", "item", "plan", "cost", "alert_rule")
_TEMPLATE = ("key", "version", "title", "intro")
_SECTION = ("key", "title", "why", "without", "estimate_hours", "resources", "table")
_TABLE = ("title", "columns", "rows")
_ITEM = (
    *("key", "section", "kind", "severity", "rule", "rule_text", "title", "why", "how", "estimate_minutes"),
    *("evidence", "approvals", "valid_days", "applies_to", "per_release"),
)
MOST_APPROVALS = 2
_PLAN = ("key", "day", "half", "title", "hours", "items")
_COST = ("key", "service", "plan", "amount", "currency", "period", "severity", "alternative_of", "note")
_ALERT = ("key", "title", "condition", "levels", "value", "threshold", "interval_seconds", "how")
_NEEDED_BY_CONDITION = {
    Condition.FIRST_SEEN: {"levels"},
    Condition.ERROR_RATE: {"threshold", "interval_seconds"},
    Condition.MESSAGE_CONTAINS: {"value"},
    Condition.TAGGED: {"value"},
}


def read_template(document: Mapping[str, object], key: str) -> Template:
    """The template in this document; RowError names the first thing that is wrong."""
    top = Row(document, "", _TOP)
    head = top.row("template", _TEMPLATE)
    if (own_key := head.string("key")) != key:
        raise RowError(f'[template] says that its key is "{own_key}"')
    plan = tuple(_read_step(row) for row in top.rows("plan", _PLAN, "plan step"))
    step_of_item = {item: step.key for step in plan for item in step.items}
    template = Template(
        key=key,
        version=head.integer("version"),
        title=_read_text(head, "title"),
        intro=_read_text(head, "intro"),
        sections=tuple(_read_section(row) for row in top.rows("section", _SECTION, "section")),
        items=tuple(_read_item(row, step_of_item) for row in top.rows("item", _ITEM, "item")),
        plan=plan,
        costs=tuple(_read_cost(row) for row in top.rows("cost", _COST, "cost")),
        alert_rules=tuple(_read_alert_rule(row) for row in top.rows("alert_rule", _ALERT, "alert rule")),
    )
    _check_keys(template)
    _check_items(template)
    _check_plan(template)
    _check_costs(template)
    return template


def _read_text(row: Row, name: str) -> Text:
    texts = row.row(name, _LANGUAGES)
    return Text(en=texts.string("en"), de=texts.string("de"))


def _read_texts(row: Row, name: str) -> tuple[Text, ...]:
    texts = row.rows(name, _LANGUAGES, f'"{name}"')
    return tuple(Text(en=text.string("en"), de=text.string("de")) for text in texts)


def _read_hours(row: Row, name: str) -> Hours:
    hours = row.row(name, ("low", "high"))
    low, high = float(hours.amount("low")), float(hours.amount("high"))
    if low > high:
        raise RowError(f"{hours.where}: low is above high")
    return Hours(low, high)


def _read_section(row: Row) -> Section:
    resources = row.rows("resources", ("title", "url"), "resource")
    return Section(
        key=row.key(),
        title=_read_text(row, "title"),
        why=_read_text(row, "why"),
        without=_read_texts(row, "without"),
        estimate_hours=_read_hours(row, "estimate_hours"),
        resources=tuple(Resource(resource.string("title"), _read_url(resource)) for resource in resources),
        tables=tuple(_read_table(table) for table in row.rows("table", _TABLE, "table")),
    )


def _read_url(row: Row) -> str:
    if not (url := row.string("url")).startswith("https://"):
        raise RowError(f'{row.where}: "{url}" is not an https address')
    return url


def _read_table(row: Row) -> Table:
    columns = _read_texts(row, "columns")
    rows = tuple(
        tuple(_read_cell(cell, f"row {number} of {row.where}") for cell in cells)
        for number, cells in enumerate(row.value_lists("rows"), start=1)
    )
    if any(len(cells) != len(columns) for cells in rows):
        raise RowError(f"{row.where}: every row needs {len(columns)} cells")
    return Table(title=_read_text(row, "title"), columns=columns, rows=rows)


def _read_cell(cell: object, where: str) -> Text:
    """A cell that reads the same in both languages (a header, a number) is a bare text."""
    if isinstance(cell, str) and cell.strip():
        return Text(en=cell, de=cell)
    texts = Row(cell, where, _LANGUAGES)
    return Text(en=texts.string("en"), de=texts.string("de"))


def _read_item(row: Row, step_of_item: Mapping[str, str]) -> Item:
    kind = Kind(row.choice("kind", Kind))
    if kind is Kind.MANUAL and row.has("rule"):
        raise RowError(f"{row.where} is manual and must not have a rule")
    rule = "" if kind is Kind.MANUAL else row.string("rule")
    if rule and not _RULE.fullmatch(rule):
        raise RowError(f'{row.where}: "{rule}" is not a rule such as "postgres.answers"')
    return Item(
        key=row.key(),
        section=row.key("section"),
        kind=kind,
        severity=Severity(row.choice("severity", Severity)),
        rule=rule,
        rule_text=_read_text(row, "rule_text"),
        title=_read_text(row, "title"),
        why=_read_text(row, "why"),
        how=_read_text(row, "how"),
        estimate_minutes=row.integer("estimate_minutes"),
        plan_step=step_of_item.get(row.key(), ""),
        evidence=tuple(EvidenceKind(kind) for kind in _read_choices(row, "evidence", EvidenceKind)),
        approvals=_read_approvals(row),
        valid_days=row.integer("valid_days") if row.has("valid_days") else 0,
        applies_to=_read_choices(row, "applies_to", ENVIRONMENT_KINDS),
        per_release=row.has("per_release") and row.choice_of_two("per_release"),
    )


def _read_choices(row: Row, name: str, allowed: Iterable[str]) -> tuple[str, ...]:
    names = list(allowed)
    if unknown := sorted(set(row.strings(name)) - set(names)):
        raise RowError(f'{row.where}: {name} "{unknown[0]}" is not one of {", ".join(names)}')
    return row.strings(name)


def _read_approvals(row: Row) -> int:
    count = row.amount("approvals") if row.has("approvals") else 0
    if count not in range(MOST_APPROVALS + 1):
        raise RowError(f"{row.where}: approvals must be 0, 1 or {MOST_APPROVALS}")
    return int(count)


def _read_step(row: Row) -> PlanStep:
    return PlanStep(
        key=row.key(),
        day=row.integer("day"),
        half=row.choice("half", ("morning", "afternoon")),
        title=_read_text(row, "title"),
        hours=_read_hours(row, "hours"),
        items=row.strings("items"),
    )


def _read_cost(row: Row) -> CostLine:
    return CostLine(
        key=row.key(),
        service=_read_text(row, "service"),
        plan=row.string("plan"),
        amount=row.amount("amount"),
        currency=row.string("currency"),
        period=row.choice("period", ("month", "year")),
        severity=Severity(row.choice("severity", (Severity.MUST, Severity.OPTIONAL))),
        alternative_of=row.key("alternative_of") if row.has("alternative_of") else "",
        note=_read_text(row, "note"),
    )


def _read_alert_rule(row: Row) -> AlertRule:
    condition = Condition(row.choice("condition", Condition))
    needed = _NEEDED_BY_CONDITION[condition]
    for name in ("levels", "value", "threshold", "interval_seconds"):
        if row.has(name) != (name in needed):
            verb = "needs" if name in needed else "must not have"
            raise RowError(f'{row.where} with the condition {condition} {verb} "{name}"')
    return AlertRule(
        key=row.key(),
        title=_read_text(row, "title"),
        condition=condition,
        levels=row.strings("levels"),
        value=row.string("value") if "value" in needed else "",
        threshold=row.integer("threshold") if "threshold" in needed else 0,
        interval_seconds=row.integer("interval_seconds") if "interval_seconds" in needed else 0,
        how=_read_text(row, "how"),
    )


def _check_keys(template: Template) -> None:
    for label, keys in (
        ("section", [section.key for section in template.sections]),
        ("item", [item.key for item in template.items]),
        ("plan step", [step.key for step in template.plan]),
        ("cost", [line.key for line in template.costs]),
        ("alert rule", [rule.key for rule in template.alert_rules]),
    ):
        if twice := _find_duplicate(keys):
            raise RowError(f'the {label} key "{twice}" is used twice')


def _check_items(template: Template) -> None:
    sections = {section.key for section in template.sections}
    for item in template.items:
        if item.section not in sections:
            raise RowError(f'item "{item.key}" is in the unknown section "{item.section}"')
    if empty := sections - {item.section for item in template.items}:
        raise RowError(f'section "{min(empty)}" has no items')


def _check_plan(template: Template) -> None:
    items = {item.key for item in template.items}
    for step in template.plan:
        if unknown := sorted(set(step.items) - items):
            raise RowError(f'plan step "{step.key}" links the unknown item "{unknown[0]}"')
    if twice := _find_duplicate(item for step in template.plan for item in step.items):
        raise RowError(f'item "{twice}" is linked by more than one plan step')


def _check_costs(template: Template) -> None:
    lines = {line.key: line for line in template.costs}
    if len({line.currency for line in template.costs}) > 1:
        raise RowError("the costs are in more than one currency, so they have no total")
    for line in template.costs:
        if not line.alternative_of:
            continue
        first_choice = lines.get(line.alternative_of)
        if first_choice is None or first_choice is line or first_choice.alternative_of:
            raise RowError(f'cost "{line.key}" is an alternative of "{line.alternative_of}", which is no first choice')
        if first_choice.severity is not line.severity:
            raise RowError(f'cost "{line.key}" and its first choice "{first_choice.key}" differ in severity')


def _find_duplicate(keys: Iterable[str]) -> str | None:
    return next((key for key, count in Counter(keys).items() if count > 1), None)
