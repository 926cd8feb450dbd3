"""Lea ticks, unticks and comments in the browser; others look, or are shown out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from readiness.checklists.workflow import COMMENT_LENGTH
from readiness.models import Environment, ItemEvent, ItemState
from tests.readiness.factories import make_state
from tests.readiness.pages import read_text

SignIn = Callable[[User], Client]
MANUAL = "backup_strategy"
AUTOMATIC = "https.certificates"


def item_url(name: str, key: str = MANUAL) -> str:
    return reverse(name, args=["shop", key])


def is_ticked(key: str = MANUAL) -> bool:
    return ItemState.objects.get(environment__slug="shop", key=key).is_ticked


def test_it_lets_lea_tick_and_untick(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)

    ticked = browser.post(item_url("tick_item"), {"ticked": "1"}, follow=True)
    assert ticked.redirect_chain == [(reverse("environment", args=["shop"]), 302)]
    assert is_ticked()
    assert "ticked by lea" in read_text(ticked)

    unticked = browser.post(item_url("tick_item"), {"ticked": "0", "from": "item"}, follow=True)
    assert unticked.redirect_chain == [(item_url("item"), 302)]
    assert not is_ticked()
    assert list(ItemEvent.objects.order_by("pk").values_list("kind", flat=True)) == ["tick", "untick"]


def test_it_shows_the_history_of_an_item(shop: Environment, lea: User, sam: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    browser.post(item_url("tick_item"), {"ticked": "1"})
    browser.post(item_url("comment_item"), {"text": "Nightly, to another site."})

    page = read_text(sign_in(sam).get(item_url("item")))

    assert "lea ticked this" in page
    assert "lea commented on this" in page
    assert "Nightly, to another site." in page
    assert "Ticked by lea" in page


def test_it_shows_buttons_only_to_those_who_may_use_them(
    shop: Environment, lea: User, sam: User, otto: User, sign_in: SignIn
) -> None:
    tick = f'action="{item_url("tick_item")}"'

    assert tick in sign_in(lea).get(item_url("item")).content.decode()
    for person in (sam, otto):
        for url in (item_url("item"), reverse("environment", args=["shop"])):
            assert "/tick/" not in sign_in(person).get(url).content.decode()


def test_it_refuses_a_tick_of_an_automatic_item_by_post(shop: Environment, lea: User, sign_in: SignIn) -> None:
    answer = sign_in(lea).post(item_url("tick_item", AUTOMATIC), {"ticked": "1", "from": "item"}, follow=True)

    assert not is_ticked(AUTOMATIC)
    assert "is verified by probes and cannot be ticked by hand" in answer.content.decode()
    assert not ItemEvent.objects.exists()


def test_it_names_an_unknown_item(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)

    assert browser.get(item_url("item", "no.such")).status_code == 404
    answer = browser.post(item_url("tick_item", "no.such"), {"ticked": "1"}, follow=True)
    assert "There is no checklist item no.such." in answer.content.decode()
    assert not ItemState.objects.filter(key="no.such").exists()


def test_it_knows_no_items_of_an_unknown_environment(lea: User, sign_in: SignIn) -> None:
    assert sign_in(lea).post(item_url("tick_item"), {"ticked": "1"}).status_code == 404
    assert sign_in(lea).get(item_url("item")).status_code == 404


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

    assert "Probes verify this item; nobody can tick it by hand." in page
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
