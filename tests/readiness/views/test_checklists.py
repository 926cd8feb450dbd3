"""Lea submits, plans, waives and comments in the browser; others approve, look, or are shown out."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from readiness.checklists import workflow
from readiness.checklists.workflow import COMMENT_LENGTH
from readiness.models import Environment, ItemEvent, ItemState, Waiver
from tests.conftest import SignIn
from tests.readiness.factories import make_state
from tests.readiness.pages import read_text

MANUAL = "backup_strategy"
AUTOMATIC = "https.certificates"


def item_url(name: str, key: str = MANUAL) -> str:
    return reverse(name, args=["shop", key])


def read(key: str = MANUAL) -> ItemState:
    return ItemState.objects.get(environment__slug="shop", key=key)


def move(browser: Client, action: str, key: str = MANUAL, **fields: Any) -> Any:
    data = {"action": action, "version": read(key).version, **fields}
    return browser.post(item_url("move_item", key), data, follow=True)


def test_it_lets_lea_submit_and_ada_approve(shop: Environment, lea: User, ada: User, sign_in: SignIn) -> None:
    submitted = move(sign_in(lea), "submit", evidence_url="https://wiki.example.org/")
    assert submitted.redirect_chain == [(item_url("item"), 302)]
    assert "lea says that it is done" in read_text(submitted)
    assert "Somebody else has to approve it." in read_text(submitted)
    assert 'value="approve"' not in submitted.content.decode()

    approved = move(sign_in(ada), "approve")

    assert read().state == "verified"
    assert "1 of 1 approval: ada" in read_text(approved)


def test_it_shows_the_history_of_an_item(shop: Environment, lea: User, sam: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    move(browser, "submit", evidence_url="https://wiki.example.org/backups")
    browser.post(item_url("comment_item"), {"text": "Nightly, to another site."})

    page = read_text(sign_in(sam).get(item_url("item")))

    assert "lea submitted this" in page
    assert "lea commented on this" in page
    assert "Nightly, to another site." in page
    assert "https://wiki.example.org/backups" in page


def test_it_shows_buttons_only_to_those_who_may_use_them(
    shop: Environment, lea: User, sam: User, otto: User, sign_in: SignIn
) -> None:
    buttons = re.compile(r'action="[^"]*/items/[^/"]+/(move|plan|waive)/|name="item"')

    assert buttons.search(sign_in(lea).get(item_url("item")).content.decode())
    for person in (sam, otto):
        for url in (item_url("item"), reverse("environment", args=["shop"])):
            page = sign_in(person).get(url).content.decode()
            assert not buttons.search(page)


def test_it_keeps_what_was_typed_when_it_is_refused(shop: Environment, lea: User, sign_in: SignIn) -> None:
    answer = move(sign_in(lea), "submit", evidence_note="It is in the wiki, <b>really</b>.")

    assert answer.status_code == 400
    page = answer.content.decode()
    assert "wants a link or a file as evidence" in page
    assert "It is in the wiki, &lt;b&gt;really&lt;/b&gt;." in page
    assert read().state == "todo"


@pytest.mark.parametrize("data", [{}, {"action": "verify", "version": 0}, {"action": "start", "version": "x"}])
def test_it_does_nothing_for_a_form_that_it_did_not_make(
    shop: Environment, lea: User, sign_in: SignIn, data: dict[str, Any]
) -> None:
    assert sign_in(lea).post(item_url("move_item"), data).status_code == 400
    assert not ItemEvent.objects.exists()


def test_it_refuses_to_move_an_automatic_item_by_post(shop: Environment, lea: User, sign_in: SignIn) -> None:
    answer = move(sign_in(lea), "submit", AUTOMATIC)

    assert (answer.status_code, read(AUTOMATIC).state) == (400, "todo")
    assert "is verified by facts alone and cannot be moved by hand" in answer.content.decode()
    assert not ItemEvent.objects.exists()


def test_the_second_of_two_sees_both_versions(shop: Environment, lea: User, ada: User, sign_in: SignIn) -> None:
    first, second = sign_in(lea), sign_in(ada)
    move(first, "block", note="The provider is silent.")

    answer = second.post(
        item_url("move_item"),
        {"action": "submit", "version": 0, "evidence_url": "https://wiki.example.org/", "evidence_note": "See there."},
    )

    page = read_text(answer)
    assert answer.status_code == 409
    for words in ("Somebody was first", "Blocked", "The provider is silent.", "lea blocked this", "See there."):
        assert words in page
    assert read().state == "blocked"
    again = second.post(
        item_url("move_item"), {"action": "submit", "version": 1, "evidence_url": "https://wiki.example.org/"}
    )
    assert (again.status_code, read().state) == (302, "submitted")


def test_an_owner_and_a_date_are_given_in_the_browser(shop: Environment, lea: User, ada: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    browser.post(item_url("plan_item"), {"version": 0, "owner": ada.pk, "due_on": "2026-12-01"})
    assert (read().owner, str(read().due_on), read().version) == (ada, "2026-12-01", 2)

    stale = browser.post(item_url("plan_item"), {"version": 1, "owner": lea.pk, "due_on": ""})
    wrong = browser.post(item_url("plan_item"), {"version": 2, "owner": 4711, "due_on": "soon"})

    assert (stale.status_code, wrong.status_code, read().owner) == (409, 400, ada)
    page = read_text(browser.get(reverse("environment", args=["shop"])))
    assert "ada due 2026-12-01" in page


def test_several_items_change_at_once_and_each_for_itself(
    shop: Environment, lea: User, ada: User, sign_in: SignIn
) -> None:
    browser, url = sign_in(lea), reverse("change_items", args=["shop"])
    marked = ["backup_strategy@0", "local_run@0", "documentation@7", f"{AUTOMATIC}@0", "no.such@0"]

    answer = browser.post(url, {"action": "start", "item": marked}, follow=True)

    page = read_text(answer)
    assert "2 items changed." in page
    assert "documentation: Somebody changed this item" in page
    assert f"{AUTOMATIC}: " in page
    assert "no.such: There is no checklist item no.such." in page
    assert [read(key).state for key in ("backup_strategy", "local_run", "documentation")] == [
        *("in_progress", "in_progress", "todo"),
    ]
    browser.post(url, {"action": "assign", "owner": ada.pk, "item": ["backup_strategy@1", f"{AUTOMATIC}@0"]})
    browser.post(url, {"action": "plan", "due_on": "2026-12-01", "item": ["backup_strategy@2"]})
    assert (read().owner, read(AUTOMATIC).owner, str(read().due_on)) == (ada, ada, "2026-12-01")
    assert "Mark at least one item" in read_text(browser.post(url, {"action": "start"}, follow=True))


def test_a_waiver_is_asked_for_approved_and_revoked_in_the_browser(
    shop: Environment, lea: User, ada: User, sign_in: SignIn
) -> None:
    asking, approving = sign_in(lea), sign_in(ada)
    until = (timezone.localdate() + timedelta(days=30)).isoformat()
    wanted = {"reason": "No time left.", "risk": "Users may wait.", "expires_on": until}
    lacking = asking.post(item_url("request_waiver", AUTOMATIC), {**wanted, "risk": ""})
    assert lacking.status_code == 400
    assert "No time left." in lacking.content.decode()
    asked = asking.post(item_url("request_waiver", AUTOMATIC), wanted, follow=True)
    assert "Approve the waiver" not in read_text(asked)
    waiver = Waiver.objects.get()
    decide = reverse("decide_waiver", args=["shop", waiver.pk])

    own = asking.post(decide, {"decision": "approve"})
    assert (own.status_code, Waiver.objects.get().state) == (400, "pending")
    assert "Approve the waiver" in read_text(approving.get(item_url("item", AUTOMATIC)))
    approving.post(decide, {"decision": "approve"})
    assert "waived until" in read_text(approving.get(reverse("environment", args=["shop"])))
    revoked = approving.post(decide, {"decision": "revoke"}, follow=True)

    assert Waiver.objects.get().state == "revoked"
    assert "the item counts again" in read_text(revoked)
    assert approving.post(decide, {"decision": "forget"}).status_code == 400


def test_several_items_are_waived_at_once_by_two_people(
    shop: Environment, lea: User, ada: User, sign_in: SignIn
) -> None:
    url, marked = reverse("change_items", args=["shop"]), [f"{AUTOMATIC}@0", "testing.login@0"]
    wanted = {"reason": "No time left.", "risk": "Little.", "expires_on": timezone.localdate().isoformat()}
    asking = sign_in(lea)
    assert "A waiver needs its last day." in read_text(
        asking.post(url, {**wanted, "action": "waive", "item": marked, "expires_on": ""}, follow=True)
    )
    asking.post(url, {**wanted, "action": "waive", "item": marked})
    assert list(Waiver.objects.values_list("state", flat=True)) == ["pending", "pending"]
    own = read_text(asking.post(url, {"action": "approve_waiver", "item": marked}, follow=True))
    assert own.count("Somebody else has to approve") == 2

    answer = sign_in(ada).post(url, {"action": "approve_waiver", "item": [*marked, "local_run@0"]}, follow=True)

    assert "2 items changed." in read_text(answer)
    assert "local_run: There is no waiver to approve." in read_text(answer)
    assert list(Waiver.objects.values_list("state", "approver_name")) == [("approved", "ada")] * 2


def test_it_names_an_unknown_item(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)

    assert browser.get(item_url("item", "no.such")).status_code == 404
    assert browser.post(item_url("move_item", "no.such"), {"action": "start", "version": 0}).status_code == 404
    assert not ItemState.objects.filter(key="no.such").exists()


def test_it_knows_no_items_of_an_unknown_environment(lea: User, sign_in: SignIn) -> None:
    assert sign_in(lea).post(item_url("move_item"), {"action": "start", "version": 0}).status_code == 404
    assert sign_in(lea).get(item_url("item")).status_code == 404


def test_pages_ask_the_same_few_queries_whatever_happened(
    shop: Environment, lea: User, ada: User, sign_in: SignIn, django_assert_max_num_queries: Any
) -> None:
    browser = sign_in(lea)
    for number in range(20):
        workflow.comment(shop, MANUAL, f"Number {number}", by=ada)
    move(browser, "submit", evidence_url="https://wiki.example.org/")

    with django_assert_max_num_queries(26):
        browser.get(item_url("item"))
    with django_assert_max_num_queries(34):
        browser.get(reverse("environment", args=["shop"]))


def test_it_escapes_what_people_write(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    browser.post(item_url("comment_item"), {"text": "<script>alert(1)</script> <b>bold</b> [x](javascript:alert(1))"})

    page = browser.get(item_url("item")).content.decode()

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert 'href="javascript' not in page


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("  ", "Write something before you send the comment."),
        ("x" * (COMMENT_LENGTH + 1), f"A comment has at most {COMMENT_LENGTH} characters"),
    ],
)
def test_it_says_what_is_wrong_with_a_comment(
    shop: Environment, lea: User, sign_in: SignIn, text: str, sentence: str
) -> None:
    answer = sign_in(lea).post(item_url("comment_item"), {"text": text}, follow=True)

    assert sentence in answer.content.decode()
    assert not ItemEvent.objects.exists()


def test_it_shows_that_a_probe_verifies_an_item(shop: Environment, sam: User, sign_in: SignIn) -> None:
    shop.endpoints.create(role="frontend", url="https://shop.example.org/")
    make_state(shop, "tls")

    page = read_text(sign_in(sam).get(item_url("item", AUTOMATIC)))

    assert "Facts alone verify this item; nobody can move it by hand." in page
    assert "80 days left." in page
    assert "Verified" in page


def test_it_speaks_german_when_asked_and_remembers_it(shop: Environment, sam: User, sign_in: SignIn) -> None:
    browser = sign_in(sam)
    english = browser.get(item_url("item")).content.decode()
    german = browser.get(item_url("item"), {"lang": "de"}).content.decode()
    again = browser.get(item_url("item", AUTOMATIC)).content.decode()

    assert ">Why<" in english
    assert ">Warum<" in german
    assert ">Warum<" in again


@pytest.mark.parametrize(
    ("preference", "word"), [("de-AT,en;q=0.5", "Warum"), ("fr,en;q=0.5", "Why"), ("", "Why"), ("\x00;;q=x", "Why")]
)
def test_it_follows_the_preference_of_the_browser(
    shop: Environment, sam: User, sign_in: SignIn, preference: str, word: str
) -> None:
    page = sign_in(sam).get(item_url("item"), headers={"accept-language": preference}).content.decode()

    assert f">{word}<" in page
