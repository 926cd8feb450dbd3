"""One change at a time to a template, and what it means for claims that were made before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from readiness.checklists.template import Kind, Severity, Text, load_template, parse_draft
from readiness.checklists.template_changes import compare_templates
from readiness.checklists.template_edits import (
    add_item,
    add_section,
    change_item,
    change_section,
    make_item_key,
    make_section_key,
    move_item,
    move_section,
    remove_item,
    remove_section,
)
from readiness.checklists.template_values import EvidenceKind, Template
from readiness.checklists.template_writer import write_template

GO_LIVE = load_template()


def keys(template: Template, section: str) -> list[str]:
    return [item.key for item in template.items if item.section == section]


def is_readable(template: Template) -> bool:
    return parse_draft(write_template(template), template.key) == template


def test_it_adds_changes_and_removes_a_section() -> None:
    added = add_section(GO_LIVE, Text("Data & law", "Daten"), Text("", ""))
    assert added.sections[-1].key == "data_law"
    assert is_readable(added)

    changed = change_section(added, "data_law", Text("Law", "Law"), Text("Because", "Darum"))
    assert (changed.sections[-1].title.en, changed.sections[-1].why.de) == ("Law", "Darum")

    assert remove_section(changed, "data_law") == GO_LIVE


def test_it_removes_a_section_with_its_items_and_the_steps_to_them() -> None:
    without = remove_section(GO_LIVE, "postgresql")

    assert keys(without, "postgresql") == []
    assert not any(key.startswith("postgresql.") for step in without.plan for key in step.items)
    assert len(without.items) == len(GO_LIVE.items) - 7
    assert is_readable(without)


def test_it_adds_changes_and_removes_an_item() -> None:
    item = replace(GO_LIVE.item("documentation"), key="https.docs", section="https", plan_step="")

    added = add_item(GO_LIVE, item)
    assert keys(added, "https")[-1] == "https.docs"
    assert change_item(added, replace(item, approvals=2)).item("https.docs").approvals == 2
    assert remove_item(added, "https.docs") == GO_LIVE


def test_it_moves_items_within_their_section_only() -> None:
    first, second, *_, last = keys(GO_LIVE, "https")

    assert keys(move_item(GO_LIVE, first, 1), "https")[:2] == [second, first]
    assert move_item(move_item(GO_LIVE, first, 1), first, -1) == GO_LIVE
    assert move_item(GO_LIVE, first, -1) == GO_LIVE
    assert move_item(GO_LIVE, last, 1) == GO_LIVE


def test_it_moves_sections() -> None:
    moved = move_section(GO_LIVE, "https", -1)

    assert [section.key for section in moved.sections][:2] == ["https", "postgresql"]
    assert move_section(moved, "https", -1) == moved


@pytest.mark.parametrize(
    "edit",
    [
        lambda template: change_section(template, "gone", Text("x", "x"), Text("", "")),
        lambda template: remove_section(template, "gone"),
        lambda template: move_section(template, "gone", 1),
        lambda template: change_item(template, replace(template.items[0], key="gone")),
        lambda template: remove_item(template, "gone"),
        lambda template: move_item(template, "gone", 1),
    ],
)
def test_it_changes_nothing_that_is_not_there(edit: Callable[[Template], Template]) -> None:
    with pytest.raises(KeyError, match="gone"):
        edit(GO_LIVE)


@pytest.mark.parametrize(
    ("title", "taken", "key"),
    [
        ("Ölwechsel für Straße", set(), "people.oelwechsel_fuer_strasse"),
        ("Ask", {"people.ask", "people.ask_2"}, "people.ask_3"),
        ("2 keys", set(), "people.item_2_keys"),
        ("🚨", set(), "people.item"),
    ],
)
def test_it_makes_keys_that_people_can_read(title: str, taken: set[str], key: str) -> None:
    assert make_item_key("people", title, taken) == key


def test_it_makes_keys_that_fit() -> None:
    section = make_section_key("x" * 200, set())
    assert len(make_item_key(section, "y" * 200, set())) <= 80
    assert make_item_key("a.b", "Name", set()) == "name"


@pytest.mark.parametrize(
    ("fields", "is_other_demand"),
    [
        ({"how": Text("Otherwise", "Anders")}, True),
        ({"title": Text("Another", "Ein anderer")}, True),
        ({"approvals": 2}, True),
        ({"evidence": (EvidenceKind.NOTE,)}, True),
        ({"kind": Kind.HYBRID, "rule": "postgres.answers"}, True),
        ({"severity": Severity.OPTIONAL}, True),
        ({"estimate_minutes": 500}, False),
        ({"section": "https"}, False),
        ({"applies_to": ("staging",)}, False),
    ],
)
def test_it_tells_a_changed_demand_from_the_rest(fields: dict[str, Any], is_other_demand: bool) -> None:
    new = change_item(GO_LIVE, replace(GO_LIVE.item("documentation"), **fields))

    (change,) = compare_templates(GO_LIVE, new).changed

    assert change.fields == tuple(sorted(fields, key=list(fields).index))
    assert compare_templates(GO_LIVE, new).other_demands == (("documentation",) if is_other_demand else ())


def test_it_says_what_was_added_and_removed() -> None:
    other = remove_item(
        add_item(GO_LIVE, replace(GO_LIVE.item("documentation"), key="https.docs", section="https")), "pwa"
    )

    changes = compare_templates(GO_LIVE, other)

    assert ([item.key for item in changes.added], [item.key for item in changes.removed]) == (["https.docs"], ["pwa"])
    assert changes.changed == ()
    assert changes
    assert not compare_templates(GO_LIVE, move_item(GO_LIVE, "pwa", -1))
