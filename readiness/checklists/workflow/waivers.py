"""Waivers: asked for with reason and risk, approved by a second person, for ninety days at most."""

from __future__ import annotations

from datetime import date

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.utils import timezone

from readiness.checklists.workflow.errors import WorkflowError
from readiness.checklists.workflow.events import append
from readiness.checklists.workflow.items import find_item
from readiness.checklists.workflow.texts import clean_text
from readiness.models import Environment, ItemEvent, Waiver

_GONE = "There is no such waiver."


def request_waiver(
    environment: Environment, key: str, *, reason: str, risk: str, expires_on: date, by: AbstractBaseUser
) -> Waiver:
    """Asks for a waiver of one item until the end of ``expires_on``.

    Raises WorkflowError for an unknown item, a missing reason or risk, a day that has passed or is too far, and while
    another waiver of the item is pending or in force.
    """
    item = find_item(environment, key)
    reason = clean_text(reason, "a reason", is_wanted=True)
    risk = clean_text(risk, "the risk", is_wanted=True)
    _require_days(expires_on)
    try:
        with transaction.atomic():
            _expire_waivers(environment, key)
            waiver = Waiver.objects.create(
                environment=environment,
                key=key,
                reason=reason,
                risk=risk,
                requester_id=by.pk,
                requester_name=by.get_username(),
                requested_at=timezone.now(),
                expires_on=expires_on,
            )
            _append(waiver, ItemEvent.Kind.WAIVER_REQUEST, by, reason)
    except IntegrityError:
        raise WorkflowError(f"“{item.title.en}” has a waiver already: revoke or reject that one first.") from None
    return waiver


def approve_waiver(environment: Environment, pk: int, *, by: AbstractBaseUser, note: str = "") -> Waiver:
    """Puts a pending waiver in force. Raises WorkflowError for the one who asked for it, and when it is not pending."""
    with transaction.atomic():
        waiver = _lock(environment, pk, Waiver.State.PENDING)
        if waiver.requester_id == by.pk or waiver.requester_name == by.get_username():
            raise WorkflowError("Somebody else has to approve the waiver that you asked for.")
        if waiver.is_over(timezone.localdate()):
            raise WorkflowError("The last day of this waiver has passed.")
        return _decide(waiver, Waiver.State.APPROVED, ItemEvent.Kind.WAIVER_APPROVE, by, note)


def reject_waiver(environment: Environment, pk: int, *, by: AbstractBaseUser, note: str = "") -> Waiver:
    """Says no to a pending waiver; whoever asked for it can take it back so. Raises WorkflowError if not pending."""
    with transaction.atomic():
        waiver = _lock(environment, pk, Waiver.State.PENDING)
        return _decide(waiver, Waiver.State.REJECTED, ItemEvent.Kind.WAIVER_REJECT, by, note)


def revoke_waiver(environment: Environment, pk: int, *, by: AbstractBaseUser, note: str = "") -> Waiver:
    """Ends a waiver in force before its day. Raises WorkflowError when it is not in force."""
    with transaction.atomic():
        waiver = _lock(environment, pk, Waiver.State.APPROVED)
        note = clean_text(note, "a note")
        waiver.state, waiver.ended_at = Waiver.State.REVOKED, timezone.now()
        waiver.save()
        _append(waiver, ItemEvent.Kind.WAIVER_REVOKE, by, note)
    return waiver


def expire_waivers(today: date) -> int:
    """Writes down which waivers are over; returns how many."""
    expired = 0
    for pk in Waiver.objects.filter(state__in=Waiver.LIVE, expires_on__lt=today).values_list("pk", flat=True):
        with transaction.atomic():
            waiver = Waiver.objects.select_for_update().filter(pk=pk, state__in=Waiver.LIVE).first()
            if waiver is not None:
                _expire(waiver)
                expired += 1
    return expired


def _expire_waivers(environment: Environment, key: str) -> None:
    over = Waiver.objects.select_for_update().filter(
        environment=environment, key=key, state__in=Waiver.LIVE, expires_on__lt=timezone.localdate()
    )
    for waiver in over:
        _expire(waiver)


def _expire(waiver: Waiver) -> None:
    waiver.state, waiver.ended_at = Waiver.State.EXPIRED, timezone.now()
    waiver.save()
    _append(waiver, ItemEvent.Kind.WAIVER_EXPIRE, None, "")


def _require_days(expires_on: date) -> None:
    today = timezone.localdate()
    if expires_on < today:
        raise WorkflowError("A waiver cannot end in the past.")
    if expires_on > today + Waiver.LONGEST:
        last = (today + Waiver.LONGEST).isoformat()
        raise WorkflowError(f"A waiver lasts {Waiver.LONGEST.days} days at most: until {last}.")


def _lock(environment: Environment, pk: int, state: Waiver.State) -> Waiver:
    waiver = Waiver.objects.select_for_update(of=("self",)).filter(pk=pk, environment=environment).first()
    if waiver is None:
        raise WorkflowError(_GONE)
    if waiver.state != state:
        raise WorkflowError(f"This waiver is {waiver.get_state_display()}, not {state.label}: nothing was changed.")
    return waiver


def _decide(waiver: Waiver, state: Waiver.State, kind: ItemEvent.Kind, by: AbstractBaseUser, note: str) -> Waiver:
    note = clean_text(note, "a note")
    waiver.state, waiver.decided_at = state, timezone.now()
    if state is Waiver.State.APPROVED:
        waiver.approver_id, waiver.approver_name = by.pk, by.get_username()
    waiver.save()
    _append(waiver, kind, by, note)
    return waiver


def _append(waiver: Waiver, kind: ItemEvent.Kind, by: AbstractBaseUser | None, text: str) -> None:
    append(
        waiver.environment,
        waiver.key,
        kind,
        by,
        text=text,
        detail={"waiver": waiver.pk, "risk": waiver.risk, "expires_on": waiver.expires_on.isoformat()},
        about=(waiver.requester_id, waiver.requester_name),
    )
