"""Sorts the reasons of a verdict for reading: what stands in the way, then what is a condition, by section; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from readiness.checklists.gate import Reason
from readiness.checklists.template_values import Section, Template

FOLDED_FROM = 13
SectionReasons = tuple[tuple[Section, tuple[Reason, ...]], ...]


@dataclass(frozen=True)
class GroupedReasons:
    """What is wrong about must items first, then ``blockers`` that are merely open, then ``conditions``, by section."""

    urgent: tuple[Reason, ...]
    blockers: SectionReasons
    conditions: SectionReasons

    @property
    def blocker_count(self) -> int:
        return sum(len(reasons) for _, reasons in self.blockers)

    @property
    def condition_count(self) -> int:
        return sum(len(reasons) for _, reasons in self.conditions)

    @property
    def is_long(self) -> bool:
        """Whether the items are better folded."""
        return len(self.urgent) + self.blocker_count >= FOLDED_FROM


def group_reasons(reasons: Sequence[Reason], template: Template) -> GroupedReasons:
    """The reasons in the order in which they are best read; each section keeps the order it is given."""
    return GroupedReasons(
        urgent=tuple(reason for reason in reasons if reason.is_blocker and reason.is_urgent),
        blockers=_by_section([one for one in reasons if one.is_blocker and not one.is_urgent], template),
        conditions=_by_section([reason for reason in reasons if not reason.is_blocker], template),
    )


def _by_section(reasons: Sequence[Reason], template: Template) -> SectionReasons:
    grouped = ((section, tuple(one for one in reasons if one.section == section.key)) for section in template.sections)
    return tuple((section, found) for section, found in grouped if found)
