"""How far the plan of a template has come: steps by half-day, what is late, what is next; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from readiness.checklists.template_values import Hours, PlanStep, Template
from readiness.checklists.verification import ItemStanding


@dataclass(frozen=True)
class Step:
    """One step with the items that it is about; ``due_on`` is None without a target date.

    A step is done when all of its items are. One without items in this environment is about nothing here.
    """

    step: PlanStep
    standings: tuple[ItemStanding, ...]
    due_on: date | None
    is_late: bool

    @property
    def is_done(self) -> bool:
        return bool(self.standings) and all(standing.is_done for standing in self.standings)

    @property
    def done_count(self) -> int:
        return sum(standing.is_done for standing in self.standings)


@dataclass(frozen=True)
class HalfDay:
    """The steps of one morning or afternoon and the hours that they take together."""

    day: int
    half: str
    due_on: date | None
    hours: Hours
    steps: tuple[Step, ...]

    @property
    def is_done(self) -> bool:
        return all(step.is_done for step in self.steps)


@dataclass(frozen=True)
class Plan:
    """The whole plan. ``hours_left`` are those of the steps that are not done."""

    half_days: tuple[HalfDay, ...]
    hours_left: Hours

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for half in self.half_days for step in half.steps)

    @property
    def late_steps(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.is_late)

    @property
    def next_step(self) -> Step | None:
        """The first step that is not done."""
        return next((step for step in self.steps if not step.is_done), None)

    @property
    def done_count(self) -> int:
        return sum(step.is_done for step in self.steps)


def make_plan(template: Template, standings: Sequence[ItemStanding], target: date | None, today: date) -> Plan:
    """The template's plan as the items stand. The last day of it is the target date, those before are working days.

    Steps whose items are all of another kind of environment are left out.
    """
    by_key = {standing.item.key: standing for standing in standings}
    last_day = max((step.day for step in template.plan), default=0)
    steps = []
    for step in template.plan:
        linked = tuple(by_key[key] for key in step.items if key in by_key)
        if not linked:
            continue
        due_on = None if target is None else _go_back(target, last_day - step.day)
        is_late = due_on is not None and due_on < today and not all(standing.is_done for standing in linked)
        steps.append(Step(step, linked, due_on, is_late))
    halves = dict.fromkeys((step.step.day, step.step.half) for step in steps)
    return Plan(
        half_days=tuple(
            _make_half(day, half, [step for step in steps if (step.step.day, step.step.half) == (day, half)])
            for day, half in halves
        ),
        hours_left=_add_hours([step for step in steps if not step.is_done]),
    )


def _make_half(day: int, half: str, steps: Sequence[Step]) -> HalfDay:
    return HalfDay(day, half, steps[0].due_on, _add_hours(steps), tuple(steps))


def _add_hours(steps: Sequence[Step]) -> Hours:
    return Hours(sum(step.step.hours.low for step in steps), sum(step.step.hours.high for step in steps))


def _go_back(day: date, working_days: int) -> date:
    while working_days:
        day -= timedelta(days=1)
        working_days -= day.weekday() < 5
    return day
