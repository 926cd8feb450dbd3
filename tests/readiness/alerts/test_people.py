"""What people are told about their own work: once, in their language, and only those whom it concerns."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from readiness.alerts import send
from readiness.alerts.people import tell_people
from readiness.checklists import workflow
from readiness.checklists.life import Action
from readiness.models import Environment, ItemState, NoticeSettings, Notification
from tests.readiness.factories import make_environment
from tests.servers.receiver import Mailbox

KEY = "backup_strategy"


@pytest.fixture
def site(db: None) -> Environment:
    return make_environment("site")


def version(site: Environment) -> int:
    return ItemState.objects.get(environment=site, key=KEY).version


def told() -> list[tuple[str, str]]:
    rows = Notification.objects.order_by("pk").values_list("person__username", "reason")
    return [(str(name), reason) for name, reason in rows]


def test_it_tells_whoever_gets_an_item_and_whoever_is_mentioned(
    site: Environment, lea: User, otto: User, mailbox: Mailbox
) -> None:
    NoticeSettings.objects.create(person=otto, language="de")
    workflow.assign(site, KEY, otto, by=lea, version=version(site))
    workflow.comment(site, KEY, "Could @otto look at password=planted-password?", by=lea)
    now = timezone.now()

    assert [tell_people(now), tell_people(now)] == [2, 0]
    assert told() == [("otto", "assigned"), ("otto", "mentioned")]
    assert send.send_due() == 2

    subjects = [mail["Subject"].strip() for mail in mailbox.messages]
    assert subjects[0].startswith("[Dir zugewiesen] Site: ")
    assert subjects[1].startswith("[Du bist erwähnt] Site: ")
    text = mailbox.messages[1].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "Von: lea" in text
    assert f"/environments/site/items/{KEY}/" in text
    assert "planted-password" not in text
    assert mailbox.messages[1].get_body(("html",)) is not None


def test_it_tells_nobody_of_their_own_doing_or_who_does_not_want_to_hear(
    site: Environment, lea: User, otto: User
) -> None:
    NoticeSettings.objects.create(person=otto, wants_notices=False)
    workflow.assign(site, KEY, lea, by=lea, version=version(site))
    workflow.assign(site, KEY, otto, by=lea, version=version(site))

    assert tell_people(timezone.now()) == 0


def test_it_asks_everybody_else_who_may_approve(
    site: Environment, lea: User, ada: User, otto: User, make_user: Any
) -> None:
    make_user("lars", "Team lead")
    User.objects.filter(username="ada").update(email="")
    submit(site, lea)

    assert tell_people(timezone.now()) == 1
    # Lea has submitted it, Ada has no address, Otto may not approve.
    assert told() == [("lars", "approval")]


def test_it_asks_nobody_for_what_was_taken_back(site: Environment, lea: User, make_user: Any) -> None:
    lars = make_user("lars", "Team lead")
    submit(site, lea)
    workflow.move(site, KEY, Action.REJECT, by=lars, version=version(site), note="not yet")

    assert tell_people(timezone.now()) == 0


def test_it_asks_for_the_approval_of_a_waiver(site: Environment, lea: User, ada: User) -> None:
    expires = timezone.localdate() + timedelta(days=30)
    workflow.request_waiver(site, KEY, reason="later", risk="small", expires_on=expires, by=lea)

    tell_people(timezone.now())

    assert ("ada", "approval") in told()
    assert ("lea", "approval") not in told()


def test_it_tells_the_owner_once_that_an_item_is_overdue(site: Environment, lea: User, otto: User) -> None:
    now = timezone.now()
    due = timezone.localdate(now) - timedelta(days=1)
    ItemState.objects.filter(environment=site, key=KEY).update(owner=otto, due_on=due)

    assert [tell_people(now), tell_people(now + timedelta(days=3))] == [1, 0]
    assert told() == [("otto", "overdue")]

    ItemState.objects.filter(environment=site, key=KEY).update(due_on=due + timedelta(days=5))
    assert tell_people(now) == 0
    assert tell_people(now + timedelta(days=7)) == 1


def test_it_does_not_call_done_what_is_done(site: Environment, otto: User) -> None:
    past = timezone.localdate() - timedelta(days=1)
    ItemState.objects.filter(environment=site, key=KEY).update(owner=otto, due_on=past, state="not_applicable")

    assert tell_people(timezone.now()) == 0


def test_it_tells_nobody_of_what_is_long_past(site: Environment, lea: User, otto: User) -> None:
    workflow.assign(site, KEY, otto, by=lea, version=version(site))

    assert tell_people(timezone.now() + timedelta(hours=7)) == 0


def submit(site: Environment, by: User) -> None:
    workflow.move(
        site,
        KEY,
        Action.SUBMIT,
        by=by,
        version=version(site),
        evidence=workflow.Exhibit(url="https://wiki.example.org/"),
    )
