"""What the database remembers once, and the banner that stays until somebody has kept the key elsewhere."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from portal.models import AuditEvent, SiteNote
from portal.notes import AGE_KEY_STORED, is_noted, note
from tests.conftest import SignIn
from tests.readiness.factories import make_environment
from tests.readiness.pages import read_text

BANNER = "Keep the backup key elsewhere too."


@pytest.mark.django_db
def test_it_remembers_a_note_once() -> None:
    assert not is_noted("seen")

    note("seen", {"times": 1}, by="ada")
    note("seen", {"times": 2}, by="otto")

    assert is_noted("seen")
    kept = SiteNote.objects.get()
    assert (kept.value, kept.set_by_name) == ({"times": 2}, "otto")


def test_it_shows_the_banner_on_every_page_until_somebody_confirms(otto: User, ada: User, sign_in: SignIn) -> None:
    make_environment()
    operator, administrator = sign_in(otto), sign_in(ada)
    for url in ("/", reverse("environment", args=["shop"]), reverse("backups"), reverse("backup_key")):
        assert BANNER in read_text(operator.get(url))

    answer = operator.post(reverse("confirm_key"), follow=True)

    assert BANNER not in read_text(answer)
    assert BANNER not in read_text(administrator.get("/"))
    assert is_noted(AGE_KEY_STORED)
    assert str(AuditEvent.objects.get()) == "otto confirmed that the backup key is stored elsewhere"
    assert "Someone has confirmed that a copy is kept elsewhere." in read_text(operator.get(reverse("backup_key")))


def test_it_does_not_show_the_banner_to_those_who_cannot_act_on_it(
    sam: User, lea: User, sign_in: SignIn, client: Client
) -> None:
    for browser in (sign_in(sam), sign_in(lea)):
        assert BANNER not in read_text(browser.get("/"))
    assert BANNER not in read_text(client.get(reverse("account_login")))


def test_it_tells_where_the_key_lies_and_never_shows_it(otto: User, sign_in: SignIn) -> None:
    page = sign_in(otto).get(reverse("backup_key")).content.decode()

    assert "age.txt" in page
    assert "age1" in page
    assert "AGE-SECRET-KEY" not in page
