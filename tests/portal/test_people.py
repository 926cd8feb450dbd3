"""Ada invites, gives roles and locks out; whoever is invited follows the link; somebody always administers."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from portal import roles
from portal.models import AuditEvent
from portal.people import PeopleError, current_role, invite, set_active, set_role
from tests.conftest import PASSWORD, SignIn
from tests.readiness.factories import make_person
from tests.readiness.pages import read_main, read_text

NEW_PASSWORD = "a long sentence nobody guesses"


def list_actions() -> list[str]:
    return [str(event) for event in AuditEvent.objects.order_by("pk")]


def invite_over_the_page(browser: Client, **fields: str) -> str:
    """Sends the form; the page that follows as HTML."""
    sent = {"username": "nora", "email": "nora@example.org", "role": roles.TEAM_LEAD, **fields}
    return browser.post(reverse("invite_person"), sent).content.decode()


def find_link(page: str) -> str:
    found = re.search(r'value="http://testserver(/accounts/password/reset/key/[^"]+)"', page)
    assert found is not None
    return found[1]


def choose_password(link: str, password: str = NEW_PASSWORD) -> str:
    """Follows a link in a fresh browser and chooses a password; the words of the page that follows."""
    browser = Client()
    form = browser.get(link, follow=True)
    (place, _) = form.redirect_chain[-1]
    return read_main(browser.post(place, {"password1": password, "password2": password}, follow=True))


def sign_in_with(username: str, password: str) -> tuple[Client, int]:
    browser = Client()
    return browser, browser.post(reverse("account_login"), {"login": username, "password": password}).status_code


def test_it_lets_somebody_invited_choose_a_password_and_sign_in(ada: User, sign_in: SignIn) -> None:
    link = find_link(invite_over_the_page(sign_in(ada)))
    nora = User.objects.get(username="nora")
    assert (current_role(nora), nora.has_usable_password()) == (roles.TEAM_LEAD, False)
    assert list_actions() == ["ada invited nora as Team lead"]

    choose_password(link)

    browser, status = sign_in_with("nora", NEW_PASSWORD)
    assert status == 302
    assert browser.get("/").status_code == 200
    assert sign_in_with("nora@example.org", NEW_PASSWORD)[1] == 302


def test_it_takes_an_invitation_link_only_once(ada: User, sign_in: SignIn) -> None:
    link = find_link(invite_over_the_page(sign_in(ada)))
    choose_password(link)

    assert "password1" not in Client().get(link, follow=True).content.decode()


def test_it_does_not_take_a_weak_password(ada: User, sign_in: SignIn) -> None:
    link = find_link(invite_over_the_page(sign_in(ada)))

    assert "This password is too short" in choose_password(link, "nora1234")
    assert sign_in_with("nora", "nora1234")[1] == 200


def test_it_does_not_take_a_link_of_somebody_else(ada: User, sam: User, sign_in: SignIn) -> None:
    link = find_link(invite_over_the_page(sign_in(ada)))
    forged = re.sub(r"/key/[^-]+-", f"/key/{_to_base36(sam.pk)}-", link)

    assert "password1" not in Client().get(forged, follow=True).content.decode()


def _to_base36(number: int) -> str:
    from django.utils.http import int_to_base36

    return int_to_base36(number)


def test_it_mails_the_link_where_mail_is_set_up(ada: User, sign_in: SignIn, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

    page = invite_over_the_page(sign_in(ada))

    (message,) = mail.outbox
    assert message.to == ["nora@example.org"]
    assert find_link(page) in message.body
    assert "It was mailed to nora@example.org." in page


def test_it_never_prints_the_link_into_a_log(
    ada: User, sign_in: SignIn, settings: Settings, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

    page = invite_over_the_page(sign_in(ada))

    written = "".join(capfd.readouterr()) + caplog.text
    assert "/password/reset/key/" not in written
    assert "Mail is not set up, so pass it on yourself" in " ".join(page.split())


def test_it_mails_a_password_link_to_whoever_forgot_theirs(sam: User, client: Client, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

    client.post(reverse("account_reset_password"), {"email": sam.email})

    (message,) = mail.outbox
    link = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", str(message.body))
    assert link is not None
    choose_password(link[1])
    assert sign_in_with("sam", NEW_PASSWORD)[1] == 302


def test_it_never_prints_a_password_link_somebody_asks_for_into_a_log(
    sam: User, client: Client, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

    client.post(reverse("account_reset_password"), {"email": sam.email})

    assert "/password/reset/key/" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"username": "ADA"}, "There is already an account called ADA."),
        ({"email": "Ada@Example.org"}, "There is already an account with the address Ada@Example.org."),
        ({"role": "Queen"}, "Select a valid choice."),
        ({"email": "nobody"}, "Enter a valid email address."),
        ({"username": "two words"}, "Enter a valid username."),
    ],
)
def test_it_says_why_somebody_cannot_be_invited(
    ada: User, sign_in: SignIn, fields: dict[str, str], sentence: str
) -> None:
    assert sentence in invite_over_the_page(sign_in(ada), **fields)
    assert User.objects.count() == 1


def test_it_gives_another_role_at_once(ada: User, sam: User, sign_in: SignIn) -> None:
    sams = sign_in(sam)
    assert sams.get(reverse("backups")).status_code == 403

    sign_in(ada).post(reverse("change_person", args=[sam.pk]), {"role": roles.OPERATOR})

    assert sams.get(reverse("backups")).status_code == 200
    assert current_role(User.objects.get(pk=sam.pk)) == roles.OPERATOR
    assert sam.groups.count() == 1
    assert list_actions() == ["ada gave a role to sam: Operator"]


def test_it_locks_somebody_out_at_once_and_lets_them_in_again(ada: User, lea: User, sign_in: SignIn) -> None:
    leas, adas = sign_in(lea), sign_in(ada)

    adas.post(reverse("change_person", args=[lea.pk]), {"is_active": "0"})
    assert leas.get("/").status_code == 302
    assert adas.post(reverse("show_invitation", args=[lea.pk])).status_code == 404
    assert sign_in_with("lea", PASSWORD)[0].get("/").status_code == 302

    adas.post(reverse("change_person", args=[lea.pk]), {"is_active": "1"})
    assert sign_in_with("lea", PASSWORD)[0].get("/").status_code == 200
    assert list_actions() == ["ada locked out lea", "ada let in lea"]


@pytest.mark.parametrize("change", [{"role": roles.STAKEHOLDER}, {"is_active": "0"}])
def test_it_keeps_the_last_administrator(ada: User, sign_in: SignIn, change: dict[str, str]) -> None:
    browser = sign_in(ada)

    answer = browser.post(reverse("change_person", args=[ada.pk]), change, follow=True)

    assert "This is the last administrator; make someone else an administrator first." in read_text(answer)
    ada.refresh_from_db()
    assert ada.is_active
    assert current_role(ada) == roles.ADMINISTRATOR
    assert list_actions() == []


def test_it_does_not_count_an_administrator_who_is_locked_out(ada: User, make_user: Callable[..., User]) -> None:
    other = make_user("olga", roles.ADMINISTRATOR)
    set_active(other, is_active=False)

    with pytest.raises(PeopleError, match="last administrator"):
        set_role(ada, roles.OPERATOR)


def test_it_lets_an_administrator_go_when_there_is_another(ada: User, make_user: Callable[..., User]) -> None:
    make_user("olga", roles.ADMINISTRATOR)

    set_role(ada, roles.STAKEHOLDER)

    assert current_role(ada) == roles.STAKEHOLDER


@pytest.mark.django_db(transaction=True)
def test_it_keeps_one_of_two_administrators_who_demote_each_other() -> None:
    roles.sync_roles()
    people = [make_person("ada", roles.ADMINISTRATOR), make_person("olga", roles.ADMINISTRATOR)]
    together = threading.Barrier(2)

    def demote(person: User) -> None:
        try:
            together.wait(timeout=10)
            set_role(person, roles.STAKEHOLDER)
        except PeopleError:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=demote, args=[person]) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert User.objects.filter(groups__name=roles.ADMINISTRATOR).count() == 1


def test_it_takes_the_powers_of_the_first_administrator_with_the_role(
    ada: User, sign_in: SignIn, make_user: Callable[..., User]
) -> None:
    first = make_user("admin", roles.ADMINISTRATOR)
    User.objects.filter(pk=first.pk).update(is_superuser=True, is_staff=True)
    browser = sign_in(first)
    assert browser.get(reverse("people")).status_code == 200

    sign_in(ada).post(reverse("change_person", args=[first.pk]), {"role": roles.STAKEHOLDER})

    assert browser.get(reverse("people")).status_code == 403
    assert browser.get(reverse("backups")).status_code == 403


@pytest.mark.parametrize("is_superuser", [False, True])
@pytest.mark.parametrize("change", [{"is_active": ""}, {"is_staff": "on", "is_active": "on"}])
def test_it_offers_no_way_around_these_rules_in_the_admin(
    ada: User, sign_in: SignIn, change: dict[str, str], is_superuser: bool
) -> None:
    User.objects.update(is_superuser=is_superuser)
    fields = {"username": "ada", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00", **change}

    answer = sign_in(ada).post(reverse("admin:auth_user_change", args=[ada.pk]), fields)

    ada.refresh_from_db()
    assert answer.status_code == 403
    assert (ada.is_active, ada.is_staff) == (True, False)


def test_it_does_not_let_anybody_sign_up(client: Client, db: None) -> None:
    fields = {"username": "eve", "email": "eve@example.org", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}

    assert "By invitation only" in client.get(reverse("account_signup")).content.decode()
    assert "By invitation only" in client.post(reverse("account_signup"), fields).content.decode()
    assert not User.objects.exists()


def test_it_slows_down_whoever_guesses_passwords(sam: User) -> None:
    guesses = [sign_in_with("sam", f"guess {number}")[1] for number in range(12)]

    assert guesses[0] == 200
    assert sign_in_with("sam", PASSWORD)[1] != 302
    assert not [status for status in guesses if status >= 500]


def test_it_says_the_same_about_an_unknown_name_and_a_wrong_password(sam: User, client: Client) -> None:
    pages = [
        read_main(client.post(reverse("account_login"), {"login": name, "password": "wrong"}))
        for name in ("sam", "nobody")
    ]

    assert pages[0] == pages[1]
    assert "not correct" in pages[0]


@pytest.mark.django_db
def test_it_refuses_an_unknown_role() -> None:
    with pytest.raises(PeopleError, match="There is no role Queen"):
        invite("nora@example.org", "nora", "Queen")
    assert not User.objects.exists()


def test_it_lists_everybody_with_their_role(ada: User, sam: User, charlie: User, sign_in: SignIn) -> None:
    page = read_main(sign_in(ada).get(reverse("people")))

    for name in ("ada", "sam", "charlie"):
        assert f"{name}@example.org" in page
    assert "no role" in page
