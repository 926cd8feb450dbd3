"""What a go/no-go meeting has to talk about, as things stand; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from readiness.checklists.decisions import RoleStanding
    from readiness.checklists.gate import Decision
    from readiness.checklists.plan import Plan


def list_points(decision: Decision, roles: Sequence[RoleStanding], plan: Plan) -> list[str]:
    """One sentence a point, in the order in which they are best talked about."""
    blockers, conditions, waivers = len(decision.blockers), len(decision.conditions), decision.waivers
    points = list(decision.blind_spots)
    if blockers:
        points.append(f"{_count(blockers, 'must item')} open and without a waiver: do, waive or postpone.")
    if conditions:
        points.append(f"{_count(conditions, 'should item')} open: accept them, or wait.")
    if waivers:
        first = min(waiver.expires_on for waiver in waivers)
        points.append(f"{_count(len(waivers), 'waiver')} in force, of which the first ends on {first:%-d %B %Y}.")
    if plan.late_steps:
        points.append(f"{_count(len(plan.late_steps), 'step')} of the plan late.")
    missing = [standing.role.name for standing in roles if not standing.is_signed]
    if not roles:
        points.append("Nobody has to sign yet: agree on the roles that must.")
    elif missing:
        points.append(f"To sign: {', '.join(missing)}.")
    return points


def _count(count: int, noun: str) -> str:
    return f"{count} {noun} is" if count == 1 else f"{count} {noun}s are"
