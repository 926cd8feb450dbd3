"""Sorts the reasons of a NO-GO for reading: probes and backups first, then open items by section; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from readiness.checklists.gate import Reason
from readiness.checklists.template import load_template
from readiness.checklists.template_values import Item, Section

FOLDED_FROM = 13


@dataclass(frozen=True)
class GroupedReasons:
    """``urgent`` are probes and backups, which machines watch; ``sections`` hold the must items that are open."""

    urgent: tuple[Reason, ...]
    sections: tuple[tuple[Section, tuple[Item, ...]], ...]

    @property
    def item_count(self) -> int:
        return sum(len(items) for _, items in self.sections)

    @property
    def is_long(self) -> bool:
        """Whether the items are better folded."""
        return len(self.urgent) + self.item_count >= FOLDED_FROM


def group_reasons(reasons: Sequence[Reason]) -> GroupedReasons:
    """The reasons in the order in which they are best read; both groups keep their own order."""
    open_keys = {reason.key for reason in reasons if reason.kind == "item"}
    grouped = [
        (section, tuple(item for item in items if item.key in open_keys))
        for section, items in load_template().items_by_section()
    ]
    return GroupedReasons(
        urgent=tuple(reason for reason in reasons if reason.kind != "item"),
        sections=tuple((section, items) for section, items in grouped if items),
    )
