"""The only writer of checklist state: starts a checklist, ticks, unticks, comments; writes ItemState and ItemEvent."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from readiness.checklists.assigned_template import template_of
from readiness.checklists.template_values import Kind
from readiness.models import Environment, ItemEvent, ItemState

COMMENT_LENGTH = 4_000


class WorkflowError(Exception):
    """What was asked for is not possible; the message is one sentence for the person who asked."""


def start_checklist(environment: Environment) -> None:
    """Gives ``environment`` its own copy of the state of every item; what is there already stays."""
    ItemState.objects.bulk_create(
        [ItemState(environment=environment, key=item.key) for item in template_of(environment).items],
        ignore_conflicts=True,
    )


def set_ticked(environment: Environment, key: str, *, is_ticked: bool, by: AbstractBaseUser) -> ItemState:
    """Ticks or unticks one item and remembers who and when. Asking for what already holds changes nothing.

    Raises WorkflowError for an unknown item and for one that only facts can verify.
    """
    try:
        item = template_of(environment).item(key)
    except KeyError:
        raise WorkflowError(f"There is no checklist item {key}.") from None
    if item.kind is Kind.AUTOMATIC:
        raise WorkflowError(f"“{item.title.en}” is verified by probes and cannot be ticked by hand.")
    with transaction.atomic():
        ItemState.objects.get_or_create(environment=environment, key=key)
        state = ItemState.objects.select_for_update().get(environment=environment, key=key)
        if state.is_ticked == is_ticked:
            return state
        state.is_ticked, state.changed_at, state.changed_by_id = is_ticked, timezone.now(), by.pk
        state.save()
        _append(environment, key, ItemEvent.Kind.TICK if is_ticked else ItemEvent.Kind.UNTICK, by)
    return state


def comment(environment: Environment, key: str, text: str, *, by: AbstractBaseUser) -> ItemEvent:
    """Appends a comment to one item. Raises WorkflowError for an unknown item, an empty or an overlong text."""
    if key not in {item.key for item in template_of(environment).items}:
        raise WorkflowError(f"There is no checklist item {key}.")
    text = text.replace("\x00", "").strip()
    if not text:
        raise WorkflowError("Write something before you send the comment.")
    if len(text) > COMMENT_LENGTH:
        raise WorkflowError(f"A comment has at most {COMMENT_LENGTH} characters; this one has {len(text)}.")
    return _append(environment, key, ItemEvent.Kind.COMMENT, by, text)


def _append(environment: Environment, key: str, kind: str, by: AbstractBaseUser, text: str = "") -> ItemEvent:
    return ItemEvent.objects.create(
        environment=environment,
        key=key,
        kind=kind,
        text=text,
        actor_id=by.pk,
        actor_name=by.get_username(),
        at=timezone.now(),
    )
