"""Go/no-go meetings from opening to the sealed snapshot, and going live.

The only writer of RequiredRole, Meeting, Signature and DecisionSnapshot rows, and of Environment.live_since.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import transaction

from portal import keys
from portal.keys import KeyFileError
from readiness.checklists import record, snapshots
from readiness.checklists.assessment import Assessment
from readiness.checklists.gate import Verdict
from readiness.checklists.judging import judge
from readiness.models import DecisionSnapshot, Environment, Meeting, RequiredRole, Signature

TEXT_LENGTH = 4_000
_RANKS = {Verdict.GO: 0, Verdict.CONDITIONAL: 1, Verdict.NO_GO: 2}
# What the verdict must be at least, for a meeting that lets an environment go live.
_NEEDS = {Meeting.Outcome.GO: Verdict.GO, Meeting.Outcome.CONDITIONAL: Verdict.CONDITIONAL}


class DecisionError(Exception):
    """What was asked for is not possible; the message is one sentence for the person who asked."""


@dataclass(frozen=True)
class RoleStanding:
    """A role that must sign: its signature, if there is one, and why that does not count, if it does not."""

    role: RequiredRole
    signature: Signature | None
    objection: str = ""

    @property
    def is_signed(self) -> bool:
        return self.signature is not None and not self.objection


def add_role(environment: Environment, name: str, *, person: User | None, group: Group | None) -> RequiredRole:
    """Adds a role that must sign. Raises DecisionError for a name that is taken and for a person who has a role."""
    name = _clean(name)
    if not name:
        raise DecisionError("Give the role a name.")
    if (person is None) == (group is None):
        raise DecisionError("Choose either a person or a group.")
    with transaction.atomic():
        _lock(environment)
        for role in environment.required_roles.all():
            if role.name.casefold() == name.casefold():
                raise DecisionError(f"There is already a role {role.name}.")
            if person is not None and role.person_id == person.pk:
                raise DecisionError(f"{person} signs as {role.name} already: each role wants another person.")
        return RequiredRole.objects.create(environment=environment, name=name, person=person, group=group)


def remove_role(role: RequiredRole) -> None:
    """Lets a role go. Raises DecisionError while a meeting is open: what it asks for is not made less meanwhile."""
    with transaction.atomic():
        environment = _lock(role.environment)
        if environment.meetings.filter(frozen_at__isnull=True).exists():
            raise DecisionError(f"A meeting is open: postpone it, or decide, before {role.name} is removed.")
        role.delete()


def open_meeting(
    environment: Environment, *, planned_for: datetime | None, agenda: str, by: User, now: datetime
) -> Meeting:
    """Opens the next meeting. Raises DecisionError while another one is open, and for a retired environment."""
    if environment.retired_at is not None:
        raise DecisionError(f"{environment} is retired: bring it back first.")
    with transaction.atomic():
        _lock(environment)
        if environment.meetings.filter(frozen_at__isnull=True).exists():
            raise DecisionError("A meeting is open already: decide and freeze that one first.")
        return Meeting.objects.create(
            environment=environment,
            planned_for=planned_for,
            agenda=_clean(agenda),
            opened_at=now,
            opened_by_name=by.get_username(),
        )


def change_agenda(meeting: Meeting, *, planned_for: datetime | None, agenda: str) -> None:
    """Changes when an open meeting is, and what about. Raises DecisionError for a frozen one."""
    with transaction.atomic():
        meeting = _lock_open(meeting)
        meeting.planned_for, meeting.agenda = planned_for, _clean(agenda)
        meeting.save(update_fields=["planned_for", "agenda"])


def may_sign(role: RequiredRole, user: User, group_ids: Collection[int]) -> bool:
    """Whether ``user``, who belongs to the groups with ``group_ids``, holds ``role``."""
    return role.person_id == user.pk if role.person_id is not None else role.group_id in group_ids


def sign(meeting: Meeting, role: RequiredRole, *, by: User, now: datetime) -> Signature:
    """Signs for ``role`` at what is known now; what is known later must not be worse, or it does not count.

    Raises DecisionError for whoever does not hold the role or signed for another, and for a frozen meeting.
    """
    with transaction.atomic():
        meeting = _lock_open(meeting)
        if role.environment_id != meeting.environment_id:
            raise DecisionError("This role is of another environment.")
        if not may_sign(role, by, set(by.groups.values_list("pk", flat=True))):
            raise DecisionError(f"{by} cannot sign as {role.name}: that is for {role.holder}.")
        assessment = judge([meeting.environment], now)[meeting.environment_id]
        valid = meeting.signatures.filter(withdrawn_at__isnull=True)
        other = valid.filter(person_name=by.get_username()).exclude(role=role.name).first()
        if other is not None:
            raise DecisionError(f"{by} signed as {other.role} already: each role wants another person.")
        present = valid.filter(role=role.name).first()
        if present is not None:
            if present.person_name != by.get_username() and may_still_sign(role, present):
                raise DecisionError(f"{present.person_name} signed as {role.name} already.")
            # Signing again is signing for what is known now.
            valid.filter(pk=present.pk).update(withdrawn_at=now)
        return Signature.objects.create(
            meeting=meeting,
            role=role.name,
            person=by,
            person_name=by.get_username(),
            verdict=str(assessment.decision.verdict),
            seen=sorted(_list_conditions(assessment)),
            signed_at=now,
        )


def withdraw(meeting: Meeting, role_name: str, *, by: User, now: datetime) -> None:
    """Takes one's own signature back. Raises DecisionError when there is none and for a frozen meeting."""
    with transaction.atomic():
        meeting = _lock_open(meeting)
        own = meeting.signatures.filter(role=role_name, person_name=by.get_username(), withdrawn_at__isnull=True)
        if not own.update(withdrawn_at=now):
            raise DecisionError(f"{by} has not signed as {role_name}.")


def may_still_sign(role: RequiredRole, signature: Signature) -> bool:
    """Whether whoever signed still holds the role and may still come in."""
    person = signature.person
    if person is None or not person.is_active:
        return False
    return may_sign(role, person, {group.pk for group in person.groups.all()})


def list_roles(environment: Environment, meeting: Meeting | None, assessment: Assessment) -> list[RoleStanding]:
    """Every role that must sign with its signature in ``meeting``; five queries, however many there are."""
    signatures = {}
    if meeting is not None:
        valid = meeting.signatures.filter(withdrawn_at__isnull=True).select_related("person")
        signatures = {one.role: one for one in valid.prefetch_related("person__groups")}
    return [
        RoleStanding(role, signature, "" if signature is None else _find_objection(role, signature, assessment))
        for role in environment.required_roles.select_related("person", "group")
        for signature in [signatures.get(role.name)]
    ]


def find_obstacle(outcome: str, roles: Collection[RoleStanding], assessment: Assessment) -> str:
    """Why a meeting cannot decide on ``outcome`` now, in one sentence; empty when it can.

    The portal works out what is known, the meeting decides: it may be stricter than the verdict, never more lenient.
    """
    if outcome not in Meeting.Outcome.values:
        return "Choose one of the decisions."
    needed = _NEEDS.get(Meeting.Outcome(outcome))
    if needed is None:
        return ""
    verdict = assessment.decision.verdict
    if _RANKS[verdict] > _RANKS[needed]:
        return f"The verdict is {verdict}: a meeting can be stricter than the verdict, not more lenient."
    if not roles:
        return "Nobody has to sign yet: add the roles that must."
    missing = [standing.role.name for standing in roles if not standing.is_signed]
    return f"Not signed yet: {', '.join(missing)}." if missing else ""


def freeze(meeting: Meeting, *, outcome: str, note: str, by: User, now: datetime) -> DecisionSnapshot:
    """Decides, seals what is known at this moment as the next snapshot of the chain, and closes the meeting.

    Raises DecisionError with the obstacle, for a frozen meeting, and when the signing key cannot be used.
    """
    note = _clean(note)
    with transaction.atomic():
        meeting = _lock_open(meeting)
        environment = meeting.environment
        assessment = judge([environment], now)[environment.pk]
        roles = list_roles(environment, meeting, assessment)
        if obstacle := find_obstacle(outcome, roles, assessment):
            raise DecisionError(obstacle)
        meeting.outcome, meeting.note, meeting.frozen_at = outcome, note, now
        meeting.decided_by_name = by.get_username()
        snapshot = _seal(meeting, roles, assessment)
        meeting.snapshot = snapshot
        meeting.save()
    return snapshot


def find_last_decision(environment: Environment) -> Meeting | None:
    """The last meeting that decided; one that was postponed did not."""
    frozen = environment.meetings.filter(frozen_at__isnull=False)
    return frozen.exclude(outcome=Meeting.Outcome.POSTPONED).order_by("-frozen_at").first()


def go_live(environment: Environment, at: datetime, now: datetime) -> None:
    """Records that ``environment`` is live since ``at``. Raises DecisionError unless the last decision let it go."""
    with transaction.atomic():
        locked = _lock(environment)
        last = find_last_decision(locked)
        if last is None or last.outcome not in _NEEDS:
            raise DecisionError("The last decision did not let it go live: hold a meeting that decides so.")
        if at > now + timedelta(minutes=1):
            raise DecisionError("This is in the future: record it once it is live.")
        assert last.frozen_at is not None  # noqa: S101  the filter has seen to it
        if at < last.frozen_at - timedelta(minutes=1):
            raise DecisionError(f"This is before the decision of {last.frozen_at:%Y-%m-%d %H:%M} UTC.")
        Environment.objects.filter(pk=locked.pk).update(live_since=at)


def take_back_live(environment: Environment) -> None:
    """Records that ``environment`` is not live, or not any more."""
    Environment.objects.filter(pk=environment.pk).update(live_since=None)


def _seal(meeting: Meeting, roles: Collection[RoleStanding], assessment: Assessment) -> DecisionSnapshot:
    environment = meeting.environment
    last = environment.snapshots.order_by("-number").first()
    content = {
        **record.describe(assessment, _read_submissions(environment)),
        "made_at": record.stamp(meeting.frozen_at),
        "decision": {
            "outcome": meeting.outcome,
            "note": meeting.note,
            "agenda": meeting.agenda,
            "decided_by": meeting.decided_by_name,
            "planned_for": record.stamp(meeting.planned_for),
            "opened_by": meeting.opened_by_name,
        },
        "roles": [
            {"role": one.role.name, "holder": one.role.holder, "is_signed": one.is_signed, "objection": one.objection}
            for one in roles
        ],
        "signatures": [
            {
                "role": signature.role,
                "person": signature.person_name,
                "verdict": signature.verdict,
                "signed_at": record.stamp(signature.signed_at),
                "withdrawn_at": record.stamp(signature.withdrawn_at),
            }
            for signature in meeting.signatures.all()
        ],
    }
    try:
        key = keys.snapshot_signing_key(settings.VAR_DIR)
    except KeyFileError as error:
        raise DecisionError(str(error)) from None
    sealed = snapshots.seal(
        content, number=last.number + 1 if last else 1, previous=last.hash if last else None, key=key
    )
    assert meeting.frozen_at is not None  # noqa: S101  set by freeze
    return DecisionSnapshot.objects.create(
        environment=environment,
        environment_slug=environment.slug,
        environment_name=environment.name,
        number=sealed.number,
        made_at=meeting.frozen_at,
        decision=meeting.outcome,
        verdict=str(assessment.decision.verdict),
        decided_by_name=meeting.decided_by_name,
        hash=sealed.hash,
        text=sealed.raw.decode(),
    )


def _read_submissions(environment: Environment) -> dict[str, record.Record]:
    """What people showed as evidence and who approved it, by item key; of items that nobody submitted nothing."""
    states = environment.item_states.filter(submitted_at__isnull=False).select_related("evidence_file")
    return {
        state.key: {
            "submitted_by": state.submitter_name,
            "submitted_at": record.stamp(state.submitted_at),
            "url": state.evidence_url,
            "note": state.evidence_note,
            "file": None
            if state.evidence_file is None
            else {"name": state.evidence_file.name, "sha256": state.evidence_file.sha256},
            "approved_by": [approval.person_name for approval in state.approvals.all()],
        }
        for state in states.prefetch_related("approvals")
    }


def _find_objection(role: RequiredRole, signature: Signature, assessment: Assessment) -> str:
    if not may_still_sign(role, signature):
        return f"{signature.person_name} does not hold this role any more."
    if _RANKS[assessment.decision.verdict] > _RANKS[Verdict(signature.verdict)]:
        return f"Signed when the verdict was {signature.verdict}: sign again."
    came = _list_conditions(assessment) - set(signature.seen)
    if came:
        noun = "item has" if len(came) == 1 else "items have"
        return f"{len(came)} {noun} come open since: sign again."
    return ""


def _list_conditions(assessment: Assessment) -> set[str]:
    """What a signature accepts: the keys of all items that weigh and are open, waived ones among them."""
    decision = assessment.decision
    return {reason.key for reason in decision.reasons} | {waiver.key for waiver in decision.waivers}


def _lock(environment: Environment) -> Environment:
    return Environment.objects.select_for_update().get(pk=environment.pk)


def _lock_open(meeting: Meeting) -> Meeting:
    """The meeting as it is now, with its environment locked: one thing at a time happens to its decisions."""
    environment = Environment.objects.select_for_update().get(pk=meeting.environment_id)
    locked = Meeting.objects.get(pk=meeting.pk)
    locked.environment = environment
    if locked.frozen_at is not None:
        raise DecisionError("This meeting is frozen: open another one.")
    return locked


def _clean(text: str) -> str:
    text = text.replace("\x00", "").strip()
    if len(text) > TEXT_LENGTH:
        raise DecisionError(f"A text has at most {TEXT_LENGTH} characters; this one has {len(text)}.")
    return text
