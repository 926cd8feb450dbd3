"""The plan follows the items: what is done, late and next, counted back from the target date."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from readiness.checklists.life import State
from readiness.checklists.plan import Plan, make_plan
from readiness.checklists.template import Hours, load_template
from readiness.checklists.template_values import Item, Kind
from readiness.checklists.verification import Claim, ItemStanding

TEMPLATE = load_template()
# A Friday, so that the first two of three days are the days before.
TARGET = date(2026, 11, 27)


def make(*done: str, today: date = date(2026, 11, 20), target: date | None = TARGET, without: str = "") -> Plan:
    """The shipped plan with ``done`` items verified, ``without`` the items of that prefix."""
    standings = [
        ItemStanding(item if item.key not in done else _manual(item), Claim(_state(item.key in done)), None)
        for item in TEMPLATE.items
        if not without or not item.key.startswith(without)
    ]
    return make_plan(TEMPLATE, standings, target, today)


def _state(is_done: bool) -> State:
    return State.VERIFIED if is_done else State.TODO


def _manual(item: Item) -> Item:
    return replace(item, kind=Kind.MANUAL)


def test_it_has_the_steps_and_hours_of_the_source() -> None:
    plan = make()

    assert len(plan.steps) == len(TEMPLATE.plan)
    assert [(half.day, half.half) for half in plan.half_days[:3]] == [(1, "morning"), (1, "afternoon"), (2, "morning")]
    assert plan.half_days[0].hours == Hours(2, 3)
    assert plan.done_count == 0
    assert not plan.late_steps


def test_it_is_done_with_its_items() -> None:
    keys = TEMPLATE.plan[0].items
    plan = make(*keys)

    assert plan.steps[0].is_done
    assert plan.next_step == plan.steps[1]
    assert plan.hours_left.low == make().hours_left.low - TEMPLATE.plan[0].hours.low
    several = next(step for step in TEMPLATE.plan if len(step.items) > 1)
    partly = next(step for step in make(several.items[0]).steps if step.step == several)
    assert (partly.is_done, partly.done_count) == (False, 1)


def test_it_counts_working_days_back_from_the_target() -> None:
    assert [half.due_on for half in make().half_days][::2] == [date(2026, 11, 25), date(2026, 11, 26), TARGET]
    over_a_weekend = make(target=date(2026, 11, 23))
    assert [half.due_on for half in over_a_weekend.half_days][::2] == [
        date(2026, 11, 19),
        date(2026, 11, 20),
        date(2026, 11, 23),
    ]


def test_it_is_late_once_its_day_has_passed() -> None:
    assert not make(today=date(2026, 11, 25)).late_steps
    late = make(*TEMPLATE.plan[0].items, today=date(2026, 11, 26)).late_steps
    assert {step.step.day for step in late} == {1}
    assert TEMPLATE.plan[0] not in {step.step for step in late}
    assert not make(today=date(2030, 1, 1), target=None).late_steps


def test_it_leaves_out_what_this_environment_does_not_have() -> None:
    plan = make(without="errors.")

    assert not any(key.startswith("errors.") for step in plan.steps for key in [s.item.key for s in step.standings])
    assert len(plan.steps) < len(TEMPLATE.plan)
    assert make_plan(TEMPLATE, [], TARGET, TARGET).next_step is None
