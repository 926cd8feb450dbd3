"""What happens to items by itself: facts verify automatic ones, and what has aged, failed or changed goes stale."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from readiness.checklists.assessment import assess
from readiness.checklists.assigned_template import template_of
from readiness.checklists.evidence import EvidenceState
from readiness.checklists.life import Action, State
from readiness.checklists.template_values import Item, Kind
from readiness.checklists.verification import ItemStanding
from readiness.checklists.workflow.events import append
from readiness.checklists.workflow.items import digest_demands, lock
from readiness.checklists.workflow.waivers import expire_waivers
from readiness.models import Environment, ItemEvent, ItemState

_AGEING = (State.SUBMITTED.value, State.VERIFIED.value)


def settle(now: datetime) -> int:
    """Brings what is stored about items in line with facts and time; returns how many items it moved.

    Runs in the tick. The verdict does not wait for it: that reads the facts themselves.
    """
    moved = expire_waivers(timezone.localdate(now))
    environments = list(Environment.objects.active())
    assessments = assess(environments, now)
    touched = ItemState.objects.filter(environment_id__in=list(assessments)).exclude(version=0, state=State.TODO)
    rows = {(row.environment_id, row.key): row for row in touched}
    for environment in environments:
        for standing in assessments[environment.pk].standings:
            row = rows.get((environment.pk, standing.item.key)) or ItemState(key=standing.item.key)
            change = find_change(standing, row, now)
            if change is not None:
                moved += _move(environment, row, *change)
    return moved


def age_for_deploy(environment: Environment, release: str) -> int:
    """Turns stale what people claimed about the release before this one; returns how many items that were."""
    keys = [item.key for item in template_of(environment).items_for(environment.kind) if item.per_release]
    rows = ItemState.objects.filter(environment=environment, key__in=keys, state__in=_AGEING)
    return sum(_move(environment, row, Action.AGE, f"The release {release} was deployed.") for row in rows)


def find_change(standing: ItemStanding, row: ItemState, now: datetime) -> tuple[Action, str] | None:
    """What moves the item now, and why in one sentence; None when it stays."""
    item, state = standing.item, State(row.state)
    if _has_changed(item, row, state):
        return Action.AGE, "The template demands something else than was agreed to."
    if item.kind is Kind.AUTOMATIC:
        return _follow_facts(standing, state)
    if state is not State.VERIFIED:
        return None
    if standing.evidence is not None and standing.evidence.state is EvidenceState.FAILING:
        return Action.AGE, standing.evidence.text
    if item.valid_days and row.changed_at is not None and now - row.changed_at > timedelta(days=item.valid_days):
        return Action.AGE, f"It was verified more than {item.valid_days} days ago."
    return None


def _has_changed(item: Item, row: ItemState, state: State) -> bool:
    if state not in {State.SUBMITTED, State.VERIFIED, State.NOT_APPLICABLE} or not row.demands:
        return False
    return row.demands != digest_demands(item)


def _follow_facts(standing: ItemStanding, state: State) -> tuple[Action, str] | None:
    if state in {State.SUBMITTED, State.NOT_APPLICABLE}:
        return None
    text = "" if standing.evidence is None else standing.evidence.text
    is_verified = standing.state is State.VERIFIED
    if is_verified and state is not State.VERIFIED:
        return Action.VERIFY, text
    if not is_verified and state is State.VERIFIED:
        return Action.AGE, text
    return None


def _move(environment: Environment, row: ItemState, action: Action, text: str) -> bool:
    """Moves one item, unless somebody else has changed it since it was read: the next tick looks again."""
    with transaction.atomic():
        state = lock(environment, row.key, None)
        if state.version != row.version:
            return False
        before, state.state = state.state, State.VERIFIED if action is Action.VERIFY else State.STALE
        state.version, state.changed_at, state.changed_by, state.note = state.version + 1, timezone.now(), None, text
        if action is Action.AGE:
            state.approvals.all().delete()
            state.asks_not_applicable, state.demands = False, ""
        state.save()
        append(
            environment,
            row.key,
            ItemEvent.Kind(action.value),
            None,
            states=(before, state.state),
            version=state.version,
            text=text,
            about=(state.owner_id, state.owner.get_username() if state.owner else ""),
        )
    return True
