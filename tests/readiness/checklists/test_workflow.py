"""The life of an item: every step with who may take it, what it demands, and the event that it leaves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from readiness.checklists import workflow
from readiness.checklists.life import Action, State
from readiness.checklists.template import load_template
from readiness.checklists.workflow import COMMENT_LENGTH, ConflictError, Exhibit, WorkflowError
from readiness.checklists.workflow.comments import list_mentioned
from readiness.models import Environment, ItemEvent, ItemState
from tests.readiness.factories import connect, make_environment, make_state

# Wants a link or a file, and one approval.
APPROVED = "backup_strategy"
# Wants nothing but a person's word.
PLAIN = "local_run"
HYBRID = "postgresql.migration_done"
AUTOMATIC = "https.certificates"
LINK = Exhibit(url="https://wiki.example.org/backups")


@pytest.fixture
def shop(db: None) -> Environment:
    return make_environment()


def read(environment: Environment, key: str = APPROVED) -> ItemState:
    return ItemState.objects.get(environment=environment, key=key)


def take(environment: Environment, action: Action, by: User, key: str = APPROVED, **fields: Any) -> ItemState:
    """One step at the version that is there."""
    return workflow.move(environment, key, action, by=by, **{"version": read(environment, key).version, **fields})


def list_events(environment: Environment) -> list[tuple[str, str, str, str]]:
    events = ItemEvent.objects.filter(environment=environment).order_by("pk")
    return list(events.values_list("actor_name", "kind", "from_state", "to_state"))


def test_it_gives_an_environment_its_own_copy_of_every_item(shop: Environment) -> None:
    keys = set(ItemState.objects.filter(environment=shop).values_list("key", flat=True))

    assert keys == {item.key for item in load_template().items}


def test_starting_again_keeps_what_is_there(shop: Environment, lea: User) -> None:
    take(shop, Action.SUBMIT, lea, PLAIN)

    workflow.start_checklist(shop)

    assert read(shop, PLAIN).state == State.VERIFIED


def test_an_item_goes_from_todo_to_verified(shop: Environment, lea: User, ada: User) -> None:
    take(shop, Action.START, lea)
    submitted = take(shop, Action.SUBMIT, lea, evidence=LINK)
    assert (submitted.state, submitted.submitter, submitted.evidence_url) == (State.SUBMITTED, lea, LINK.url)

    verified = take(shop, Action.APPROVE, ada, note="Read it.")

    assert (verified.state, verified.version, verified.changed_by) == (State.VERIFIED, 3, ada)
    assert list_events(shop) == [
        ("lea", "start", "todo", "in_progress"),
        ("lea", "submit", "in_progress", "submitted"),
        ("ada", "approve", "submitted", "verified"),
    ]
    event = ItemEvent.objects.get(kind="submit")
    assert (event.detail, event.subject, event.environment_slug, event.version) == ({"url": LINK.url}, lea, "shop", 2)


def test_an_item_without_approvals_is_verified_by_its_submission(shop: Environment, lea: User) -> None:
    assert take(shop, Action.SUBMIT, lea, PLAIN).state == State.VERIFIED


def test_whoever_submitted_cannot_approve(shop: Environment, lea: User) -> None:
    take(shop, Action.SUBMIT, lea, evidence=LINK)

    with pytest.raises(WorkflowError, match="Somebody else has to approve"):
        take(shop, Action.APPROVE, lea)

    assert read(shop).state == State.SUBMITTED


def test_only_the_submitter_takes_a_submission_back(shop: Environment, lea: User, ada: User) -> None:
    take(shop, Action.SUBMIT, lea, evidence=LINK)

    with pytest.raises(WorkflowError, match="Only whoever submitted it can take it back"):
        take(shop, Action.REOPEN, ada)
    assert take(shop, Action.REOPEN, lea).state == State.TODO


def test_two_approvals_take_two_other_people(
    shop: Environment, lea: User, ada: User, otto: User, two_approvals: None
) -> None:
    take(shop, Action.SUBMIT, lea, evidence=LINK)

    assert take(shop, Action.APPROVE, ada).state == State.SUBMITTED
    with pytest.raises(WorkflowError, match="You have approved it already"):
        take(shop, Action.APPROVE, ada)
    assert take(shop, Action.APPROVE, otto).state == State.VERIFIED


def test_approvals_do_not_survive_a_rejection(
    shop: Environment, lea: User, ada: User, otto: User, two_approvals: None
) -> None:
    take(shop, Action.SUBMIT, lea, evidence=LINK)
    take(shop, Action.APPROVE, ada)
    rejected = take(shop, Action.REJECT, otto, note="The page is empty.")
    assert (rejected.state, rejected.note, rejected.approvals.count()) == (State.IN_PROGRESS, "The page is empty.", 0)

    take(shop, Action.SUBMIT, lea, evidence=LINK)

    assert take(shop, Action.APPROVE, otto).state == State.SUBMITTED


@pytest.fixture
def two_approvals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The template as if it wanted two approvals everywhere."""
    from dataclasses import replace

    shipped = load_template()
    wanted = replace(shipped, items=tuple(replace(item, approvals=2) for item in shipped.items))
    monkeypatch.setattr("readiness.checklists.assigned_template.load_template", lambda: wanted)


@pytest.mark.parametrize("evidence", [Exhibit(), Exhibit(note="It is somewhere.")])
def test_it_wants_the_evidence_that_the_item_wants(shop: Environment, lea: User, evidence: Exhibit) -> None:
    with pytest.raises(WorkflowError, match="wants a link or a file as evidence"):
        take(shop, Action.SUBMIT, lea, evidence=evidence)

    assert (read(shop).state, list_events(shop)) == (State.TODO, [])


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "ftp://example.org/x", "https://", "https://a b/", "https://[x", "https://x/" + "y" * 500],
)
def test_it_refuses_what_is_no_link(shop: Environment, lea: User, url: str) -> None:
    with pytest.raises(WorkflowError, match="A link starts with https://"):
        take(shop, Action.SUBMIT, lea, evidence=Exhibit(url=url))


def test_it_takes_no_password_in_a_link(shop: Environment, lea: User) -> None:
    with pytest.raises(WorkflowError, match="user name and password"):
        take(shop, Action.SUBMIT, lea, evidence=Exhibit(url="https://lea:secret@example.org/"))


def test_a_file_of_another_item_is_no_evidence(shop: Environment, lea: User) -> None:
    with pytest.raises(WorkflowError, match="not attached to this item"):
        take(shop, Action.SUBMIT, lea, evidence=Exhibit(attachment_id=4711))


@pytest.mark.parametrize("action", [Action.START, Action.SUBMIT, Action.APPROVE, Action.BLOCK, Action.REOPEN])
def test_nobody_moves_an_automatic_item(shop: Environment, lea: User, action: Action) -> None:
    with pytest.raises(WorkflowError, match="verified by facts alone"):
        take(shop, action, lea, AUTOMATIC, note="please")

    assert read(shop, AUTOMATIC).state == State.TODO


@pytest.mark.parametrize("key", [AUTOMATIC, APPROVED, HYBRID, PLAIN])
def test_not_applicable_takes_a_reason_and_a_second_person(shop: Environment, lea: User, ada: User, key: str) -> None:
    with pytest.raises(WorkflowError, match="why it does not apply"):
        take(shop, Action.ASK_NOT_APPLICABLE, lea, key, note="  ")
    assert take(shop, Action.ASK_NOT_APPLICABLE, lea, key, note="There are no users.").state == State.SUBMITTED
    with pytest.raises(WorkflowError, match="Somebody else"):
        take(shop, Action.APPROVE, lea, key)

    assert take(shop, Action.APPROVE, ada, key).state == State.NOT_APPLICABLE
    assert take(shop, Action.REOPEN, lea, key).state == State.TODO


def test_a_refused_wish_leaves_an_automatic_item_to_the_facts(shop: Environment, lea: User, ada: User) -> None:
    take(shop, Action.ASK_NOT_APPLICABLE, lea, AUTOMATIC, note="No TLS here.")

    assert take(shop, Action.REJECT, ada, AUTOMATIC, note="There is.").state == State.TODO


def test_a_blocked_item_says_by_what(shop: Environment, lea: User) -> None:
    with pytest.raises(WorkflowError, match="what blocks it"):
        take(shop, Action.BLOCK, lea)
    blocked = take(shop, Action.BLOCK, lea, note="The provider is silent.")
    assert (blocked.state, blocked.note) == (State.BLOCKED, "The provider is silent.")

    assert take(shop, Action.START, lea).state == State.IN_PROGRESS


def test_a_hybrid_item_is_not_verified_against_the_facts(shop: Environment, lea: User, ada: User) -> None:
    take(shop, Action.SUBMIT, lea, HYBRID)
    with pytest.raises(WorkflowError, match=r"The facts do not agree .* Connect a database"):
        take(shop, Action.APPROVE, ada, HYBRID)
    assert (read(shop, HYBRID).state, read(shop, HYBRID).approvals.count()) == (State.SUBMITTED, 0)

    connect(shop)
    make_state(shop, "postgres")
    verified = take(shop, Action.APPROVE, ada, HYBRID)

    assert verified.state == State.VERIFIED
    assert verified.evidence_probe["text"] == "There are 12 tables; no migration report."


@pytest.mark.parametrize(
    ("action", "key"),
    [(Action.APPROVE, APPROVED), (Action.REJECT, APPROVED), (Action.REOPEN, APPROVED)],
)
def test_it_refuses_steps_that_are_not_possible_now(shop: Environment, lea: User, action: Action, key: str) -> None:
    with pytest.raises(WorkflowError, match="is todo, so this is not possible now"):
        take(shop, action, lea, key, note="x")


@pytest.mark.parametrize("action", [Action.VERIFY, Action.AGE])
@pytest.mark.parametrize("key", [APPROVED, HYBRID, PLAIN, AUTOMATIC])
def test_nobody_takes_the_steps_that_facts_take(shop: Environment, lea: User, action: Action, key: str) -> None:
    with pytest.raises(WorkflowError):
        take(shop, action, lea, key)

    assert read(shop, key).state == State.TODO


def test_the_second_of_two_gets_a_conflict_and_nothing_is_overwritten(shop: Environment, lea: User, ada: User) -> None:
    seen = read(shop).version
    take(shop, Action.SUBMIT, lea, version=seen, evidence=LINK)

    acts: list[Callable[[], ItemState]] = [
        lambda: take(shop, Action.BLOCK, ada, version=seen, note="No."),
        lambda: workflow.assign(shop, APPROVED, ada, by=ada, version=seen),
        lambda: workflow.plan(shop, APPROVED, date(2026, 12, 1), by=ada, version=seen),
    ]
    for act in acts:
        with pytest.raises(ConflictError) as conflict:
            act()
        assert (conflict.value.seen_version, conflict.value.current.version) == (seen, seen + 1)
        assert conflict.value.current.state == State.SUBMITTED

    assert (read(shop).state, read(shop).owner, read(shop).due_on) == (State.SUBMITTED, None, None)
    assert len(list_events(shop)) == 1


def test_an_owner_and_a_date_are_remembered_and_told(shop: Environment, lea: User, ada: User) -> None:
    workflow.assign(shop, APPROVED, ada, by=lea, version=0)
    workflow.plan(shop, APPROVED, date(2026, 12, 1), by=lea, version=1)
    workflow.assign(shop, APPROVED, ada, by=lea, version=2)

    assert (read(shop).owner, read(shop).due_on, read(shop).version) == (ada, date(2026, 12, 1), 2)
    events = ItemEvent.objects.order_by("pk").values_list("kind", "text", "subject_name")
    assert list(events) == [("assign", "to ada", "ada"), ("plan", "2026-12-01", "ada")]


def test_nobody_owns_who_is_locked_out(shop: Environment, lea: User, ada: User) -> None:
    ada.is_active = False
    ada.save()

    with pytest.raises(WorkflowError, match="ada is locked out"):
        workflow.assign(shop, APPROVED, ada, by=lea, version=0)


def test_a_comment_tells_those_whom_it_mentions(shop: Environment, lea: User, ada: User, otto: User) -> None:
    workflow.comment(shop, APPROVED, "@Ada, @nobody and otto@example.org: is this right? (@ada)", by=lea)

    mentions = ItemEvent.objects.filter(kind="mention")
    assert [(event.subject, event.actor_name) for event in mentions] == [(ada, "lea")]


def test_a_mention_ends_where_the_name_does(db: None, ada: User) -> None:
    assert list_mentioned("Ask @ada. Or mail@ada") == [ada]
    assert list_mentioned("no@ada @ad @adam") == []


def test_it_names_an_item_that_does_not_exist(shop: Environment, lea: User) -> None:
    acts: list[Callable[[], object]] = [
        lambda: workflow.move(shop, "no.such", Action.START, by=lea, version=0),
        lambda: workflow.comment(shop, "no.such", "Hello", by=lea),
        lambda: workflow.assign(shop, "no.such", lea, by=lea, version=0),
        lambda: workflow.plan(shop, "no.such", None, by=lea, version=0),
    ]
    for act in acts:
        with pytest.raises(WorkflowError, match=r"There is no checklist item no\.such"):
            act()

    assert not ItemState.objects.filter(key="no.such").exists()


def test_it_makes_the_row_that_is_missing(shop: Environment, lea: User) -> None:
    read(shop, PLAIN).delete()

    workflow.move(shop, PLAIN, Action.SUBMIT, by=lea, version=0)

    assert read(shop, PLAIN).state == State.VERIFIED


def test_it_keeps_environments_apart(shop: Environment, lea: User) -> None:
    other = make_environment("other")

    take(shop, Action.SUBMIT, lea, PLAIN)

    assert read(other, PLAIN).state == State.TODO


@pytest.mark.parametrize("text", ["", "   \n\t", "\x00\x00"])
def test_it_refuses_a_comment_that_says_nothing(shop: Environment, lea: User, text: str) -> None:
    with pytest.raises(WorkflowError, match="Write something"):
        workflow.comment(shop, APPROVED, text, by=lea)

    assert list_events(shop) == []


def test_it_takes_the_longest_comment_and_refuses_a_longer_one(shop: Environment, lea: User) -> None:
    workflow.comment(shop, APPROVED, "ä" * COMMENT_LENGTH, by=lea)
    with pytest.raises(WorkflowError, match=f"at most {COMMENT_LENGTH} characters; this one has {COMMENT_LENGTH + 1}"):
        workflow.comment(shop, APPROVED, "ä" * (COMMENT_LENGTH + 1), by=lea)

    assert len(list_events(shop)) == 1


def test_it_strips_what_the_database_cannot_hold(shop: Environment, lea: User) -> None:
    workflow.comment(shop, AUTOMATIC, "  be\x00fore\n", by=lea)

    assert ItemEvent.objects.get().text == "before"


@pytest.mark.parametrize("statement", ["UPDATE readiness_itemevent SET text = 'x'", "DELETE FROM readiness_itemevent"])
def test_the_database_refuses_to_change_or_delete_events(shop: Environment, lea: User, statement: str) -> None:
    workflow.comment(shop, APPROVED, "Hello", by=lea)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        ItemEvent.objects.all().delete()

    assert ItemEvent.objects.get().text == "Hello"


def test_events_survive_environment_and_account(shop: Environment, lea: User, ada: User) -> None:
    take(shop, Action.SUBMIT, lea, evidence=LINK)
    take(shop, Action.APPROVE, ada)
    workflow.comment(shop, APPROVED, "@lea thanks", by=ada)
    before = list(ItemEvent.objects.order_by("pk").values())

    lea.delete()
    assert read(shop).submitter_name == "lea"
    shop.delete()
    ada.delete()

    assert list(ItemEvent.objects.order_by("pk").values()) == before
    assert {event["environment_slug"] for event in before} == {"shop"}
    assert {event["actor_name"] for event in before} == {"lea", "ada"}


def test_whoever_gets_the_name_of_a_deleted_submitter_cannot_approve(shop: Environment, lea: User) -> None:
    take(shop, Action.SUBMIT, lea, evidence=LINK)
    lea.delete()
    again = User.objects.create(username="lea")

    with pytest.raises(WorkflowError, match="Somebody else"):
        take(shop, Action.APPROVE, again)


def request(environment: Environment, by: User, days: int = 30, **fields: Any) -> Any:
    expires_on = timezone.localdate() + timedelta(days=days)
    made = {"reason": "No time left.", "risk": "Users may wait.", "expires_on": expires_on, "by": by, **fields}
    return workflow.request_waiver(environment, AUTOMATIC, **made)


def test_a_waiver_holds_once_a_second_person_has_approved_it(shop: Environment, lea: User, ada: User) -> None:
    waiver = request(shop, lea)
    assert waiver.state == "pending"
    with pytest.raises(WorkflowError, match="Somebody else has to approve"):
        workflow.approve_waiver(shop, waiver.pk, by=lea)

    approved = workflow.approve_waiver(shop, waiver.pk, by=ada)

    assert (approved.state, approved.approver, approved.requester) == ("approved", ada, lea)
    assert [(event.kind, event.actor_name, event.subject_name) for event in ItemEvent.objects.order_by("pk")] == [
        ("waiver_request", "lea", "lea"),
        ("waiver_approve", "ada", "lea"),
    ]


def test_the_database_itself_wants_a_second_person(shop: Environment, lea: User) -> None:
    waiver = request(shop, lea)
    waiver.approver = lea

    with pytest.raises(DatabaseError, match="waiver_needs_a_second_person"), transaction.atomic():
        waiver.save()


def test_a_waiver_can_be_rejected_or_revoked_and_asked_for_again(shop: Environment, lea: User, ada: User) -> None:
    assert workflow.reject_waiver(shop, request(shop, lea).pk, by=ada, note="Too risky.").state == "rejected"
    second = request(shop, lea)
    workflow.approve_waiver(shop, second.pk, by=ada)

    assert workflow.revoke_waiver(shop, second.pk, by=lea).state == "revoked"

    assert request(shop, ada).state == "pending"
    kinds = ItemEvent.objects.order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == [
        *("waiver_request", "waiver_reject", "waiver_request"),
        *("waiver_approve", "waiver_revoke", "waiver_request"),
    ]


def test_what_was_decided_stays_decided(shop: Environment, lea: User, ada: User) -> None:
    waiver = request(shop, lea)
    workflow.approve_waiver(shop, waiver.pk, by=ada)

    for act in (workflow.approve_waiver, workflow.reject_waiver):
        with pytest.raises(WorkflowError, match="is approved, not pending: nothing was changed"):
            act(shop, waiver.pk, by=ada)
    with pytest.raises(WorkflowError, match="no such waiver"):
        workflow.approve_waiver(make_environment("other"), waiver.pk, by=ada)


def test_an_item_has_one_live_waiver(shop: Environment, lea: User, ada: User) -> None:
    request(shop, lea)

    with pytest.raises(WorkflowError, match="has a waiver already"):
        request(shop, ada)


@pytest.mark.parametrize("days", [0, 1, 90])
def test_a_waiver_may_last_ninety_days(shop: Environment, lea: User, days: int) -> None:
    assert request(shop, lea, days).state == "pending"


@pytest.mark.parametrize(("days", "sentence"), [(-1, "cannot end in the past"), (91, "lasts 90 days at most")])
def test_a_waiver_lasts_neither_longer_nor_backwards(shop: Environment, lea: User, days: int, sentence: str) -> None:
    with pytest.raises(WorkflowError, match=sentence):
        request(shop, lea, days)


@pytest.mark.parametrize("lack", ["reason", "risk"])
def test_a_waiver_wants_reason_and_risk(shop: Environment, lea: User, lack: str) -> None:
    with pytest.raises(WorkflowError, match=r"Write .* first"):
        request(shop, lea, 30, **{lack: "  "})
