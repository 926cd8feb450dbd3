"""Reasons of a NO-GO in the order in which they are read: what machines watch, then open items by section."""

from __future__ import annotations

from portal.reasons import FOLDED_FROM, group_reasons
from readiness.checklists.gate import Reason
from readiness.checklists.template import load_template

ITEMS = load_template().items


def open_items(count: int) -> list[Reason]:
    return [Reason("item", item.key, item.title.en) for item in ITEMS[:count]]


def test_it_puts_probes_and_backups_first_whatever_came_first() -> None:
    probe, backup = Reason("probe", "tls", "TLS: expired"), Reason("backup", "backup", "none")

    grouped = group_reasons([*open_items(2), probe, backup])

    assert grouped.urgent == (probe, backup)
    assert grouped.item_count == 2


def test_it_groups_open_items_by_section_and_leaves_out_sections_that_are_done() -> None:
    first, last = ITEMS[0], ITEMS[-1]

    grouped = group_reasons([Reason("item", last.key, ""), Reason("item", first.key, "")])

    assert [(section.key, items) for section, items in grouped.sections] == [
        (first.section, (first,)),
        (last.section, (last,)),
    ]


def test_it_calls_a_list_long_from_thirteen_reasons_on() -> None:
    probe = Reason("probe", "tls", "TLS: expired")

    assert not group_reasons([probe, *open_items(FOLDED_FROM - 2)]).is_long
    assert group_reasons([probe, *open_items(FOLDED_FROM - 1)]).is_long
