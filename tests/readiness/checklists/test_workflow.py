"""Ticks and comments are remembered with who and when, once each, and only where people decide."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from readiness.checklists import workflow
from readiness.checklists.template import load_template
from readiness.checklists.workflow import COMMENT_LENGTH, WorkflowError
from readiness.models import Environment, ItemEvent, ItemState
from tests.readiness.factories import make_environment

MANUAL = "backup_strategy"
AUTOMATIC = "https.certificates"


@pytest.fixture
def shop(db: None) -> Environment:
    return make_environment()


def list_events(environment: Environment) -> list[tuple[str, str, str]]:
    events = ItemEvent.objects.filter(environment=environment).order_by("pk")
    return list(events.values_list("actor_name", "kind", "text"))


def test_it_gives_an_environment_its_own_copy_of_every_item(shop: Environment) -> None:
    keys = set(ItemState.objects.filter(environment=shop).values_list("key", flat=True))

    assert keys == {item.key for item in load_template().items}


def test_it_keeps_what_is_there_when_a_checklist_is_started_again(shop: Environment, lea: User) -> None:
    workflow.set_ticked(shop, MANUAL, is_ticked=True, by=lea)

    workflow.start_checklist(shop)

    assert ItemState.objects.get(environment=shop, key=MANUAL).is_ticked
    assert ItemState.objects.filter(environment=shop).count() == len(load_template().items)


def test_it_remembers_a_tick_with_who_and_when(shop: Environment, lea: User) -> None:
    before = timezone.now()

    workflow.set_ticked(shop, MANUAL, is_ticked=True, by=lea)

    state = ItemState.objects.get(environment=shop, key=MANUAL)
    assert state.is_ticked
    assert state.changed_by == lea
    assert state.changed_at is not None
    assert before <= state.changed_at <= timezone.now()
    assert list_events(shop) == [("lea", "tick", "")]


def test_it_makes_one_event_of_two_ticks(shop: Environment, lea: User, ada: User) -> None:
    workflow.set_ticked(shop, MANUAL, is_ticked=True, by=lea)
    workflow.set_ticked(shop, MANUAL, is_ticked=True, by=ada)

    assert ItemState.objects.get(environment=shop, key=MANUAL).changed_by == lea
    assert list_events(shop) == [("lea", "tick", "")]


def test_it_remembers_an_untick_too(shop: Environment, lea: User, ada: User) -> None:
    workflow.set_ticked(shop, MANUAL, is_ticked=True, by=lea)
    workflow.set_ticked(shop, MANUAL, is_ticked=False, by=ada)

    state = ItemState.objects.get(environment=shop, key=MANUAL)
    assert (state.is_ticked, state.changed_by) == (False, ada)
    assert list_events(shop) == [("lea", "tick", ""), ("ada", "untick", "")]


def test_it_makes_no_event_of_unticking_what_is_open(shop: Environment, lea: User) -> None:
    workflow.set_ticked(shop, MANUAL, is_ticked=False, by=lea)

    assert list_events(shop) == []


def test_it_ticks_an_item_that_came_with_a_newer_template(shop: Environment, lea: User) -> None:
    ItemState.objects.filter(environment=shop, key=MANUAL).delete()

    workflow.set_ticked(shop, MANUAL, is_ticked=True, by=lea)

    assert ItemState.objects.get(environment=shop, key=MANUAL).is_ticked


def test_it_keeps_the_ticks_of_environments_apart(shop: Environment, lea: User) -> None:
    other = make_environment("other")

    workflow.set_ticked(shop, MANUAL, is_ticked=True, by=lea)

    assert not ItemState.objects.get(environment=other, key=MANUAL).is_ticked


def test_it_refuses_to_tick_what_probes_verify(shop: Environment, lea: User) -> None:
    with pytest.raises(WorkflowError, match="verified by probes and cannot be ticked by hand"):
        workflow.set_ticked(shop, AUTOMATIC, is_ticked=True, by=lea)

    assert not ItemState.objects.get(environment=shop, key=AUTOMATIC).is_ticked
    assert list_events(shop) == []


def test_it_names_an_item_that_does_not_exist(shop: Environment, lea: User) -> None:
    with pytest.raises(WorkflowError, match=r"There is no checklist item no\.such"):
        workflow.set_ticked(shop, "no.such", is_ticked=True, by=lea)
    with pytest.raises(WorkflowError, match=r"There is no checklist item no\.such"):
        workflow.comment(shop, "no.such", "Hello", by=lea)

    assert not ItemState.objects.filter(key="no.such").exists()


def test_it_takes_comments_on_automatic_items_too(shop: Environment, lea: User) -> None:
    workflow.comment(shop, AUTOMATIC, "  Renewal is on the first.\n", by=lea)

    assert list_events(shop) == [("lea", "comment", "Renewal is on the first.")]


@pytest.mark.parametrize("text", ["", "   \n\t", "\x00\x00"])
def test_it_refuses_a_comment_that_says_nothing(shop: Environment, lea: User, text: str) -> None:
    with pytest.raises(WorkflowError, match="Write something"):
        workflow.comment(shop, MANUAL, text, by=lea)

    assert list_events(shop) == []


def test_it_takes_the_longest_comment_and_refuses_a_longer_one(shop: Environment, lea: User) -> None:
    workflow.comment(shop, MANUAL, "ä" * COMMENT_LENGTH, by=lea)
    with pytest.raises(WorkflowError, match=f"at most {COMMENT_LENGTH} characters; this one has {COMMENT_LENGTH + 1}"):
        workflow.comment(shop, MANUAL, "ä" * (COMMENT_LENGTH + 1), by=lea)

    assert len(list_events(shop)) == 1


def test_it_strips_what_the_database_cannot_hold(shop: Environment, lea: User) -> None:
    workflow.comment(shop, MANUAL, "be\x00fore", by=lea)

    assert list_events(shop) == [("lea", "comment", "before")]


def test_it_keeps_events_when_the_account_is_deleted(shop: Environment, lea: User) -> None:
    workflow.set_ticked(shop, MANUAL, is_ticked=True, by=lea)
    lea.delete()

    assert list_events(shop) == [("lea", "tick", "")]
    assert ItemState.objects.get(environment=shop, key=MANUAL).is_ticked
