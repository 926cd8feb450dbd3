"""What to connect next, and how many checklist items that will verify by itself; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from readiness.checklists.evidence import Need
from readiness.checklists.template_values import Item
from readiness.checklists.verification import RULES, is_verified_by_facts

if TYPE_CHECKING:
    from readiness.checklists.assessment import Assessment


@dataclass(frozen=True)
class NextStep:
    """One thing to do: what, and how many automatic items wait for it."""

    need: Need
    text: str
    item_count: int


_TEXTS = {
    Need.FRONTEND: "Add the frontend’s URL",
    Need.API: "Add the API’s URL with its health path",
    Need.DATABASE: "Connect the database",
    Need.BACKUP: "Back up the database, and let a restore prove it",
    Need.SCENARIO: "Add the scenarios of what your users do",
    Need.TRACKER: "Connect the error tracker",
    Need.ALERT: "Give alerts a channel, and acknowledge the first that arrives",
    Need.CI: "Let CI post which settings are set",
}


def suggest_next_steps(assessment: Assessment) -> list[NextStep]:
    """What ``assessment`` lacks, in the order in which it is best done."""
    facts = assessment.facts
    is_met = {
        Need.FRONTEND: bool(facts.roles - {"api"}),
        Need.API: "api" in facts.roles,
        Need.DATABASE: bool(assessment.databases),
        Need.BACKUP: facts.is_backup_proven,
        Need.SCENARIO: "scenario" in facts.probes,
        Need.TRACKER: facts.tracker is not None,
        Need.ALERT: facts.alert_acknowledged_at is not None,
        Need.CI: bool(facts.posted),
    }
    items = [standing.item for standing in assessment.standings]
    return [NextStep(need, _TEXTS[need], _count_items(items, need)) for need in Need if not is_met[need]]


def _count_items(items: Sequence[Item], need: Need) -> int:
    return sum(1 for item in items if is_verified_by_facts(item) and RULES[item.rule].need is need)
