"""Reasons of a verdict in the order in which they are read: by section, what blocks apart from what is a condition."""

from __future__ import annotations

from portal.reasons import FOLDED_FROM, group_reasons
from readiness.checklists.gate import Reason
from readiness.checklists.life import State
from readiness.checklists.template import Severity, load_template

TEMPLATE = load_template()
ITEMS = TEMPLATE.items


def open_items(count: int, severity: Severity = Severity.MUST) -> list[Reason]:
    return [Reason(item.key, item.section, item.title, State.TODO, severity) for item in ITEMS[:count]]


def test_it_keeps_blockers_and_conditions_apart() -> None:
    grouped = group_reasons([*open_items(2), *open_items(3, Severity.SHOULD)], TEMPLATE)

    assert (grouped.blocker_count, grouped.condition_count) == (2, 3)


def test_it_groups_by_section_and_leaves_out_sections_that_are_done() -> None:
    first, last = ITEMS[0], ITEMS[-1]
    reasons = [Reason(item.key, item.section, item.title, State.TODO, Severity.MUST) for item in (last, first)]

    grouped = group_reasons(reasons, TEMPLATE)

    assert [(section.key, [one.key for one in found]) for section, found in grouped.blockers] == [
        (first.section, [first.key]),
        (last.section, [last.key]),
    ]


def test_it_puts_what_is_wrong_before_what_is_open() -> None:
    item = ITEMS[5]
    failing = Reason(item.key, item.section, item.title, State.FAILING, Severity.MUST)

    grouped = group_reasons([*open_items(2), failing], TEMPLATE)

    assert (grouped.urgent, grouped.blocker_count) == ((failing,), 2)


def test_it_calls_a_list_long_from_thirteen_blockers_on() -> None:
    assert not group_reasons(open_items(FOLDED_FROM - 1), TEMPLATE).is_long
    assert group_reasons(open_items(FOLDED_FROM), TEMPLATE).is_long
