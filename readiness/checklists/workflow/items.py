"""Moves checklist items through their life: who may take which step, and what a step demands."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from urllib.parse import urlsplit

from django.contrib.auth.models import AbstractBaseUser, User
from django.db import transaction
from django.utils import timezone

from readiness.checklists.assessment import assess
from readiness.checklists.assigned_template import template_of
from readiness.checklists.evidence import EvidenceState
from readiness.checklists.life import Action, State, is_possible
from readiness.checklists.template_values import EvidenceKind, Item, Kind
from readiness.checklists.verification import ItemStanding
from readiness.checklists.workflow.errors import ConflictError, WorkflowError
from readiness.checklists.workflow.events import append
from readiness.checklists.workflow.texts import clean_text
from readiness.models import Attachment, Environment, ItemApproval, ItemEvent, ItemState

URL_LENGTH = 500
_NEEDS_NOTE = {
    Action.REJECT: "what is missing",
    Action.BLOCK: "what blocks it",
    Action.ASK_NOT_APPLICABLE: "why it does not apply",
}
_TARGETS = {Action.START: State.IN_PROGRESS, Action.REJECT: State.IN_PROGRESS, Action.BLOCK: State.BLOCKED}
_EVIDENCE_WORDS = {EvidenceKind.URL: "a link", EvidenceKind.FILE: "a file", EvidenceKind.NOTE: "a note"}


@dataclass(frozen=True)
class Exhibit:
    """What somebody shows with a submission; ``attachment_id`` is of a file that is attached to the same item."""

    url: str = ""
    note: str = ""
    attachment_id: int | None = None


def start_checklist(environment: Environment) -> None:
    """Gives ``environment`` its own copy of the state of every item; what is there already stays."""
    ItemState.objects.bulk_create(
        [ItemState(environment=environment, key=item.key) for item in template_of(environment).items],
        ignore_conflicts=True,
    )


def find_item(environment: Environment, key: str) -> Item:
    """The template's item. Raises WorkflowError for one that this environment has not."""
    found = next((item for item in template_of(environment).items_for(environment.kind) if item.key == key), None)
    if found is None:
        raise WorkflowError(f"There is no checklist item {key}.")
    return found


def list_actions(item: Item, state: ItemState, person: AbstractBaseUser) -> list[Action]:
    """What ``person``, who may work on checklists at all, can do with the item now, in the order of its life."""
    return [action for action in Action if _refusal(item, state, action, person) is None]


def move(
    environment: Environment,
    key: str,
    action: Action,
    *,
    by: AbstractBaseUser,
    version: int,
    note: str = "",
    evidence: Exhibit | None = None,
) -> ItemState:
    """Takes one step with one item.

    Raises WorkflowError when the step is not possible, not this person's, or lacks what the item demands, and
    ConflictError when the item is no longer at ``version``. Nothing is written then.
    """
    item = find_item(environment, key)
    note = clean_text(note, _NEEDS_NOTE.get(action, "a note"), is_wanted=action in _NEEDS_NOTE)
    with transaction.atomic():
        state = lock(environment, key, version)
        if (refusal := _refusal(item, state, action, by)) is not None:
            raise WorkflowError(refusal)
        before = state.state
        step = _Step(environment, item, state, by, note, timezone.now())
        if action is Action.SUBMIT:
            step.submit(evidence or Exhibit())
        elif action is Action.ASK_NOT_APPLICABLE:
            step.ask_not_applicable()
        elif action is Action.APPROVE:
            step.approve()
        else:
            step.put_back(_TARGETS.get(action, State.TODO))
        return step.store(action, before)


def assign(environment: Environment, key: str, owner: User | None, *, by: AbstractBaseUser, version: int) -> ItemState:
    """Gives the item an owner, or none. Raises WorkflowError and ConflictError as ``move`` does."""
    find_item(environment, key)
    if owner is not None and not owner.is_active:
        raise WorkflowError(f"{owner.username} is locked out.")
    with transaction.atomic():
        state = lock(environment, key, version)
        if state.owner_id == (owner.pk if owner else None):
            return state
        state.owner, state.version = owner, state.version + 1
        state.save()
        about = (owner.pk, owner.username) if owner else (None, "")
        text = f"to {owner.username}" if owner else "to nobody"
        append(environment, key, ItemEvent.Kind.ASSIGN, by, version=state.version, text=text, about=about)
    return state


def plan(environment: Environment, key: str, due_on: date | None, *, by: AbstractBaseUser, version: int) -> ItemState:
    """Gives the item a due date, or none. Raises WorkflowError and ConflictError as ``move`` does."""
    find_item(environment, key)
    with transaction.atomic():
        state = lock(environment, key, version)
        if state.due_on == due_on:
            return state
        state.due_on, state.version = due_on, state.version + 1
        state.save()
        text = due_on.isoformat() if due_on else "none"
        owner = (state.owner_id, state.owner.get_username()) if state.owner else (None, "")
        append(environment, key, ItemEvent.Kind.PLAN, by, version=state.version, text=text, about=owner)
    return state


def lock(environment: Environment, key: str, version: int | None) -> ItemState:
    """The item's row, locked until the transaction ends. Raises ConflictError when it is not at ``version``."""
    ItemState.objects.get_or_create(environment=environment, key=key)
    state = ItemState.objects.select_for_update(of=("self",)).get(environment=environment, key=key)
    if version is not None and state.version != version:
        raise ConflictError(state, version)
    return state


def digest_demands(item: Item) -> str:
    """What the item demands, as a digest: when the template changes it, an agreement to the old one is worth nothing.

    Texts that only explain do not count.
    """
    parts = [item.kind, item.severity, item.rule, item.title.en, *sorted(item.evidence), str(item.approvals)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def read_standing(environment: Environment, key: str, now: datetime) -> ItemStanding:
    """Where the item stands now, facts included."""
    standings = assess([environment], now)[environment.pk].standings
    return next(standing for standing in standings if standing.item.key == key)


def _refusal(item: Item, state: ItemState, action: Action, by: AbstractBaseUser) -> str | None:
    """Why this person cannot take this step now; None when they can."""
    if action in {Action.VERIFY, Action.AGE}:
        return "Only facts and time do that."
    if item.kind is Kind.AUTOMATIC and not _is_about_applying(state, action):
        return f"“{item.title.en}” is verified by facts alone and cannot be moved by hand."
    if not is_possible(action, State(state.state)):
        return f"“{item.title.en}” is {state.get_state_display()}, so this is not possible now."
    if action is Action.REOPEN and state.state == State.SUBMITTED and state.submitter_id != by.pk:
        return "Only whoever submitted it can take it back; everybody else can send it back."
    if action is Action.APPROVE:
        if state.submitter_id == by.pk or (state.submitter_id is None and state.submitter_name == by.get_username()):
            return "Somebody else has to approve what you submitted."
        if state.pk and state.approvals.filter(person_id=by.pk).exists():
            return "You have approved it already; somebody else has to approve it as well."
    return None


def _is_about_applying(state: ItemState, action: Action) -> bool:
    """Whether the step is about the item not applying, the only thing that people say about automatic items."""
    if action is Action.ASK_NOT_APPLICABLE:
        return True
    is_asked = state.state == State.NOT_APPLICABLE or (state.state == State.SUBMITTED and state.asks_not_applicable)
    return is_asked and action in {Action.APPROVE, Action.REJECT, Action.REOPEN}


@dataclass
class _Step:
    """One step that is being taken, with the item locked."""

    environment: Environment
    item: Item
    state: ItemState
    by: AbstractBaseUser
    note: str
    now: datetime

    def submit(self, evidence: Exhibit) -> None:
        url, note = _clean_url(evidence.url), clean_text(evidence.note, "a note")
        attachment = self._find_attachment(evidence.attachment_id)
        given = {EvidenceKind.URL: bool(url), EvidenceKind.FILE: attachment is not None, EvidenceKind.NOTE: bool(note)}
        wanted = [kind for kind in self.item.evidence if kind in given]
        if wanted and not any(given[kind] for kind in wanted):
            words = " or ".join(_EVIDENCE_WORDS[kind] for kind in wanted)
            raise WorkflowError(f"“{self.item.title.en}” wants {words} as evidence.")
        self._sign()
        self.state.asks_not_applicable = False
        self.state.evidence_url, self.state.evidence_note, self.state.evidence_file = url, note, attachment
        self.state.state = State.SUBMITTED
        if self.item.approvals == 0:
            self._verify()

    def ask_not_applicable(self) -> None:
        self._sign()
        self.state.asks_not_applicable = True
        self.state.state = State.SUBMITTED

    def approve(self) -> None:
        ItemApproval.objects.create(
            item=self.state, person_id=self.by.pk, person_name=self.by.get_username(), at=self.now
        )
        count = self.state.approvals.count()
        if self.state.asks_not_applicable:
            # That an item does not apply always takes a second person.
            if count >= max(1, self.item.approvals):
                self.state.state = State.NOT_APPLICABLE
        elif count >= self.item.approvals:
            self._verify()

    def put_back(self, target: State) -> None:
        self.state.approvals.all().delete()
        self.state.asks_not_applicable = False
        # An automatic item is nobody's work.
        self.state.state = State.TODO if self.item.kind is Kind.AUTOMATIC else target

    def store(self, action: Action, before: str) -> ItemState:
        self.state.version += 1
        self.state.note, self.state.changed_by_id = self.note, self.by.pk
        if self.state.state != before:
            self.state.changed_at = self.now
        self.state.save()
        append(
            self.environment,
            self.item.key,
            ItemEvent.Kind(action.value),
            self.by,
            states=(before, self.state.state),
            version=self.state.version,
            text=self.note,
            detail=self._describe(action),
            about=(self.state.submitter_id, self.state.submitter_name),
        )
        return self.state

    def _sign(self) -> None:
        self.state.approvals.all().delete()
        self.state.submitter_id, self.state.submitter_name = self.by.pk, self.by.get_username()
        self.state.submitted_at, self.state.demands = self.now, digest_demands(self.item)
        self.state.evidence_url, self.state.evidence_note, self.state.evidence_file = "", "", None
        self.state.evidence_probe = {}

    def _verify(self) -> None:
        """The last step: of a hybrid item the facts have to agree, and what they say is kept."""
        if self.item.kind is Kind.HYBRID:
            found = read_standing(self.environment, self.item.key, self.now).evidence
            if found is None or found.state is not EvidenceState.VERIFIED:
                says = "No fact is known yet." if found is None else found.text
                raise WorkflowError(f"The facts do not agree that “{self.item.title.en}” is done: {says}")
            observed = found.observed_at.isoformat() if found.observed_at else None
            self.state.evidence_probe = {"text": found.text, "observed_at": observed}
        self.state.state = State.VERIFIED

    def _find_attachment(self, attachment_id: int | None) -> Attachment | None:
        if attachment_id is None:
            return None
        found = Attachment.objects.filter(pk=attachment_id, environment=self.environment, key=self.item.key).first()
        if found is None:
            raise WorkflowError("That file is not attached to this item.")
        return found

    def _describe(self, action: Action) -> dict[str, object]:
        if action is not Action.SUBMIT:
            return {"approvals": self.state.approvals.count()} if action is Action.APPROVE else {}
        file = self.state.evidence_file
        shown = {
            "url": self.state.evidence_url,
            "note": self.state.evidence_note,
            "file": {"name": file.name, "sha256": file.sha256} if file else None,
            "probe": self.state.evidence_probe or None,
        }
        return {name: value for name, value in shown.items() if value}


def _clean_url(url: str) -> str:
    url = url.strip()
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_good, parts = False, urlsplit("")
    if not is_good or len(url) > URL_LENGTH or any(character.isspace() for character in url):
        raise WorkflowError(f"A link starts with https:// and has at most {URL_LENGTH} characters, without blanks.")
    if "@" in parts.netloc:
        raise WorkflowError("Leave user name and password out of the link: it is shown on pages.")
    return url
