"""Whatever a template holds, its text reads as the same template again."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readiness.checklists.template import Template, Text, load_template, parse_draft, parse_template
from readiness.checklists.template_values import (
    ENVIRONMENT_KINDS,
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
)
from readiness.checklists.template_writer import write_template
from tests.readiness.checklists.test_template import BARE, SMALL

# What people write, TOML's own marks among it; the reader strips texts and refuses control characters.
LETTERS = st.characters(exclude_categories=("Cc", "Cs"))
MARKS = st.sampled_from(["\n", "\t", '"', "'", "\\", '"""', "\n[[item]]\n", "\\u0041", "  "])
WORDS = st.lists(LETTERS | MARKS, max_size=30).map(lambda parts: "".join(parts).strip() or "x")
TITLES = WORDS.map(lambda text: text.replace("\n", " "))
KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,8}(\.[a-z][a-z0-9_]{0,8})?", fullmatch=True)


def texts(words: st.SearchStrategy[str] = WORDS) -> st.SearchStrategy[Text]:
    return st.builds(Text, words, words) | words.map(lambda text: Text(text, text))


OPTIONAL_TEXTS = texts() | st.just(Text("", ""))
NUMBERS = st.decimals(0, 10_000, places=2, allow_nan=False, allow_infinity=False)
HOURS = st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)).map(lambda pair: Hours(min(pair), max(pair)))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    columns = tuple(draw(st.lists(texts(), min_size=1, max_size=3)))
    row = st.tuples(*[texts() for _ in columns])
    return Table(draw(texts()), columns, tuple(draw(st.lists(row, max_size=3))))


def sections(key: str) -> st.SearchStrategy[Section]:
    addresses = st.from_regex(r"https://[a-z]{1,9}\.example/[a-z?=&%#]{0,9}", fullmatch=True)
    return st.builds(
        Section,
        key=st.just(key),
        title=texts(TITLES),
        why=OPTIONAL_TEXTS,
        without=st.lists(texts(), max_size=2).map(tuple),
        estimate_hours=HOURS,
        resources=st.lists(st.builds(Resource, WORDS, addresses), max_size=2).map(tuple),
        tables=st.lists(tables(), max_size=1).map(tuple),
    )


@st.composite
def items(draw: st.DrawFn, key: str, section: str, step: str) -> Item:
    kind = draw(st.sampled_from(Kind))
    is_automatic = kind is Kind.AUTOMATIC
    wanted = [one for one in EvidenceKind if kind is Kind.HYBRID or one is not EvidenceKind.PROBE]
    evidence = set() if is_automatic else draw(st.sets(st.sampled_from(wanted)))
    applies_to = draw(st.sets(st.sampled_from(ENVIRONMENT_KINDS)))
    return Item(
        key=key,
        section=section,
        kind=kind,
        severity=draw(st.sampled_from(Severity)),
        rule="" if kind is Kind.MANUAL else draw(st.from_regex(r"[a-z]{1,9}\.[a-z_]{1,9}", fullmatch=True)),
        rule_text=draw(OPTIONAL_TEXTS),
        title=draw(texts(TITLES)),
        why=draw(OPTIONAL_TEXTS),
        how=draw(OPTIONAL_TEXTS),
        estimate_minutes=draw(st.integers(0, 10_000)),
        plan_step=step,
        evidence=tuple(one for one in EvidenceKind if one in evidence),
        approvals=0 if is_automatic else draw(st.integers(0, 2)),
        valid_days=0 if is_automatic else draw(st.integers(0, 4_000)),
        applies_to=tuple(one for one in ENVIRONMENT_KINDS if one in applies_to),
        per_release=not is_automatic and draw(st.booleans()),
    )


def costs(key: str) -> st.SearchStrategy[CostLine]:
    return st.builds(
        CostLine,
        key=st.just(key),
        service=texts(),
        plan=WORDS,
        amount=NUMBERS,
        currency=st.just("EUR"),
        period=st.sampled_from(["month", "year"]),
        severity=st.sampled_from([Severity.MUST, Severity.OPTIONAL]),
        alternative_of=st.just(""),
        note=texts(),
    )


@st.composite
def templates(draw: st.DrawFn) -> Template:
    keys = draw(st.lists(KEYS, unique=True, max_size=3))
    item_keys = draw(st.lists(KEYS, unique=True, max_size=4)) if keys else []
    steps = {key: draw(st.sampled_from(["", "first"])) for key in item_keys}
    step = PlanStep(
        "first", 1, "morning", draw(texts()), draw(HOURS), tuple(key for key in item_keys if steps[key] == "first")
    )
    has_plan = any(steps.values()) or draw(st.booleans())
    rate = AlertRule("rate", draw(texts()), Condition.ERROR_RATE, (), "", 10, 60, draw(texts()))
    seen = AlertRule("seen", draw(texts()), Condition.FIRST_SEEN, (draw(WORDS),), "", 0, 0, draw(texts()))
    return Template(
        key="made",
        version=draw(st.integers(1, 99)),
        title=draw(texts(TITLES)),
        intro=draw(OPTIONAL_TEXTS),
        sections=tuple(draw(sections(key)) for key in keys),
        items=tuple(draw(items(key, draw(st.sampled_from(keys)), steps[key])) for key in item_keys),
        plan=(step,) if has_plan else (),
        costs=tuple(draw(costs(key)) for key in draw(st.lists(KEYS, unique=True, max_size=2))),
        alert_rules=(rate, seen) if draw(st.booleans()) else (),
    )


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(templates())
def test_it_reads_back_what_it_has_written(template: Template) -> None:
    text = write_template(template)

    assert parse_draft(text, "made") == template
    assert write_template(parse_draft(text, "made")) == text


def test_it_reads_a_file_that_an_editor_began_with_a_mark() -> None:
    template = load_template()
    text = write_template(template)

    assert parse_template("\ufeff" + text.replace("\n", "\r\n"), "go-live").items == template.items


def test_it_reads_back_the_shipped_template() -> None:
    assert parse_template(write_template(load_template()), "go-live") == load_template()


def test_it_reads_back_small_ones_without_what_they_do_not_say() -> None:
    assert parse_template(write_template(parse_template(SMALL, "small")), "small") == parse_template(SMALL, "small")
    # Whoever edits the text can add another part below, however short those are that are there.
    assert write_template(parse_template(BARE, "bare")).strip() == BARE.strip()


def test_it_keeps_cents() -> None:
    line = replace(load_template().costs[0], amount=Decimal("7.05"))
    template = replace(load_template(), costs=(line,))

    assert parse_template(write_template(template), "go-live").costs == (line,)
