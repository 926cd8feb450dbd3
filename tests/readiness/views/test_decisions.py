"""Lea opens a meeting, people sign, she freezes what was decided; others look; every step is on the server."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from portal.models import AuditEvent
from readiness.checklists import decisions
from readiness.models import DecisionSnapshot, Environment, Meeting, RequiredRole
from tests.conftest import SignIn
from tests.readiness.pages import read_main, read_text
from tests.readiness.small_template import MUST, OTHER_MUST, SHOULD, settle

pytestmark = pytest.mark.usefixtures("small_template")


def url(name: str, *arguments: object) -> str:
    return reverse(name, args=["shop", *arguments])


def hold(browser: Client, outcome: str = "NO-GO", **fields: str) -> DecisionSnapshot:
    """Opens a meeting and decides at once."""
    browser.post(url("open_meeting"))
    answer = browser.post(url("freeze_decision"), {"outcome": outcome, **fields}, follow=True)
    assert answer.status_code == 200
    return DecisionSnapshot.objects.order_by("-number").first()  # type: ignore[return-value]


def test_it_tells_the_whole_story(shop: Environment, lea: User, sam: User, otto: User, sign_in: SignIn) -> None:
    leader = sign_in(lea)
    for person in (lea, sam):
        role = {"name": f"Role of {person}", "person": person.pk, "group": ""}
        assert "must sign from now on" in read_text(leader.post(url("add_required_role"), role, follow=True))
    page = read_main(leader.post(url("open_meeting"), {"agenda": "Talk about *weather*."}, follow=True))
    assert "2 must items are open and without a waiver" in page
    assert "To sign: Role of lea, Role of sam." in page
    assert "Talk about weather" in page

    settle(shop, MUST, OTHER_MUST, SHOULD)
    for person in (lea, sam):
        role_pk = RequiredRole.objects.get(person=person).pk
        page = read_main(sign_in(person).post(url("sign_required_role", role_pk), follow=True))
        assert f"{person} signed at GO just now" in page
    answer = leader.post(url("freeze_decision"), {"outcome": "GO", "note": "Ship it."}, follow=True)

    assert answer.redirect_chain == [(url("snapshot", 1), 302)]
    page = read_main(answer)
    assert "Sealed, signature right" in page
    assert "Ship it." in page
    assert "No meeting is open" in read_main(leader.get(url("decision")))
    live = read_main(leader.post(url("go_live"), follow=True))
    assert "Live since" in live
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"opened a go/no-go meeting on", "signed as", "decided on", "recorded as live"} <= actions


def test_it_says_on_the_page_what_stands_against_a_decision(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    browser.post(url("open_meeting"))

    answer = browser.post(url("freeze_decision"), {"outcome": "GO", "note": "I insist."})

    assert answer.status_code == 400
    assert "The verdict is NO-GO: a meeting can be stricter than the verdict, not more lenient." in read_main(answer)
    assert "I insist." in read_main(answer)
    assert not DecisionSnapshot.objects.exists()


def test_it_says_that_no_meeting_is_open(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)

    assert "No meeting is open: open one first." in read_text(browser.post(url("change_agenda"), follow=True))
    answer = browser.post(url("freeze_decision"), {"outcome": "NO-GO"})
    assert answer.status_code == 400


@pytest.mark.parametrize("person", ["sam", "otto"])
def test_it_lets_others_look_and_sign_what_is_theirs(
    request: pytest.FixtureRequest, shop: Environment, lea: User, sign_in: SignIn, person: str
) -> None:
    someone = request.getfixturevalue(person)
    theirs = decisions.add_role(shop, "Theirs", person=someone, group=None)
    other = decisions.add_role(shop, "Other", person=lea, group=None)
    sign_in(lea).post(url("open_meeting"))
    browser = sign_in(someone)

    page = browser.get(url("decision")).content.decode()

    assert url("sign_required_role", theirs.pk) in page
    assert url("sign_required_role", other.pk) not in page
    for name, arguments in (
        ("open_meeting", []),
        ("change_agenda", []),
        ("freeze_decision", []),
        ("go_live", []),
        ("add_required_role", []),
        ("remove_required_role", [other.pk]),
    ):
        assert f'action="{url(name, *arguments)}"' not in page
        assert browser.post(url(name, *arguments)).status_code == 403
    refused = read_text(browser.post(url("sign_required_role", other.pk), follow=True))
    assert f"{someone} cannot sign as Other: that is for lea." in refused
    browser.post(url("sign_required_role", theirs.pk))
    withdrawn = read_text(browser.post(url("withdraw_required_role", theirs.pk), follow=True))
    assert "Your signature as Theirs is withdrawn." in withdrawn


def test_it_signs_only_for_roles_of_that_environment(shop: Environment, lea: User, sign_in: SignIn) -> None:
    other = Environment.objects.create(name="Other", slug="other")
    role = decisions.add_role(other, "Product owner", person=lea, group=None)
    sign_in(lea).post(url("open_meeting"))

    assert sign_in(lea).post(url("sign_required_role", role.pk)).status_code == 404


def test_it_refuses_a_role_without_a_holder_in_words(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    operators = Group.objects.get(name="Operator").pk
    for given in ({"person": "", "group": ""}, {"person": lea.pk, "group": operators}):
        answer = browser.post(url("add_required_role"), {"name": "Both", **given})
        assert answer.status_code == 400
        assert "Choose either a person or a group." in read_main(answer)
    assert not RequiredRole.objects.exists()


def test_it_shows_everybody_an_empty_page(shop: Environment, sam: User, sign_in: SignIn) -> None:
    page = read_main(sign_in(sam).get(url("decision")))

    assert "No meeting is open" in page
    assert "Nothing was decided yet." in page
    assert "Nobody yet." in page


def test_it_says_why_it_cannot_go_live(shop: Environment, lea: User, sign_in: SignIn) -> None:
    answer = sign_in(lea).post(url("go_live"))

    assert answer.status_code == 400
    shop.refresh_from_db()
    assert shop.live_since is None


def test_it_escapes_what_people_write(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    nasty = '<img src=x onerror="alert(1)">'
    browser.post(url("open_meeting"), {"agenda": nasty})
    assert "<img" not in browser.get(url("decision")).content.decode()

    browser.post(url("freeze_decision"), {"outcome": "NO-GO", "note": nasty})

    assert "<img" not in browser.get(url("snapshot", 1)).content.decode()


def count_queries(browser: Client, address: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert browser.get(address).status_code == 200
    return len(captured)


def test_it_asks_as_often_for_many_as_for_few(shop: Environment, lea: User, sam: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    decisions.add_role(shop, "First", person=lea, group=None)
    hold(browser)
    browser.post(url("open_meeting"))
    browser.post(url("sign_required_role", RequiredRole.objects.get().pk))
    pages = [url("decision"), url("compare_snapshots"), url("snapshot", 1)]
    few = [count_queries(browser, page) for page in pages]

    meeting = Meeting.objects.get(frozen_at__isnull=True)
    decisions.freeze(meeting, outcome="NO-GO", note="", by=lea, now=timezone.now())
    for _ in range(5):
        hold(browser)
    second = decisions.add_role(shop, "Second", person=sam, group=None)
    decisions.add_role(shop, "Third", person=None, group=Group.objects.get(name="Operator"))
    browser.post(url("open_meeting"))
    for role, person in ((RequiredRole.objects.get(name="First"), lea), (second, sam)):
        sign_in(person).post(url("sign_required_role", role.pk))

    assert [count_queries(browser, page) for page in pages] == few
