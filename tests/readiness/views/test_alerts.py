"""The pages of alerts: who sees what, channels without their secrets, the link that acknowledges."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from readiness.alerts import rules
from readiness.alerts.kinds import KINDS
from readiness.alerts.messages import acknowledge_url
from readiness.models import Alert, AlertRule, Channel, Environment, NoticeSettings, OnCallRota
from tests.conftest import SignIn
from tests.portal.test_csp import check
from tests.readiness.alerts.factories import make_change, make_channel, make_rule
from tests.readiness.pages import read_main
from tests.servers.receiver import Posts, serve_webhook

NASTY = '<script>alert("x")</script>'


@pytest.fixture
def alert(shop: Environment) -> Alert:
    make_rule("probe_down", make_channel("https://hook.example.org/?token=hook-secret"), name="test rule")
    make_change(shop, "fail")
    rules.evaluate_changes(timezone.now())
    Alert.objects.update(title=NASTY)
    return Alert.objects.get()


def path_of(alert: Alert) -> str:
    return urlsplit(acknowledge_url(alert)).path


def test_it_shows_clean_pages_without_secrets(alert: Alert, ada: User, sign_in: SignIn) -> None:
    browser = sign_in(ada)
    channel, rule = Channel.objects.get(), AlertRule.objects.get()
    for url in (
        reverse("alerts"),
        reverse("alert_settings"),
        reverse("add_channel"),
        reverse("change_channel", args=[channel.pk]),
        reverse("change_rule", args=[rule.pk]),
        path_of(alert),
    ):
        page = browser.get(url)
        check(page)
        assert "hook-secret" not in page.content.decode()


def test_its_headline_counts_what_is_open_and_says_if_nobody_is_told(alert: Alert, ada: User, sign_in: SignIn) -> None:
    browser = sign_in(ada)

    page = read_main(browser.get(reverse("alerts")))
    assert "1 alert is open" in page
    assert "Nobody is told" not in page

    Channel.objects.update(is_enabled=False)
    Alert.objects.update(resolved_at=timezone.now())
    page = read_main(browser.get(reverse("alerts")))
    assert "No alert is open" in page
    assert "Nobody is told" in page


def test_a_rule_without_channels_to_choose_says_so(ada: User, sign_in: SignIn) -> None:
    assert "There is none yet." in read_main(sign_in(ada).get(reverse("add_rule")))


def test_it_acknowledges_by_link_on_a_post_only(alert: Alert, client: Client) -> None:
    assert client.get(path_of(alert)).status_code == 200
    alert.refresh_from_db()
    assert alert.acknowledged_at is None

    client.post(path_of(alert))

    alert.refresh_from_db()
    assert alert.acknowledged_by == "whoever had the link"


def test_it_takes_no_forged_link(alert: Alert, client: Client) -> None:
    forged = path_of(alert)[:-3] + "xx/"

    assert client.post(forged).status_code == 404


def test_it_acknowledges_with_a_button(alert: Alert, lea: User, sign_in: SignIn) -> None:
    sign_in(lea).post(reverse("acknowledge_alert", args=[alert.pk]))

    alert.refresh_from_db()
    assert alert.acknowledged_by == "lea"


def test_it_adds_a_channel_and_tests_it(otto: User, sign_in: SignIn) -> None:
    browser, posts = sign_in(otto), Posts()
    with serve_webhook(posts) as server:
        typed = {"name": "hook", "kind": "webhook", "address": server.url, "language": "de", "is_enabled": "on"}
        browser.post(reverse("add_channel"), typed)
        channel = Channel.objects.get()
        answer = browser.post(reverse("test_channel", args=[channel.pk]), follow=True)

    assert "The test went out through hook." in read_main(answer)
    assert "Nachrichten kommen hier an" in posts.received[0][1]["text"]


def test_it_refuses_an_address_without_repeating_it(otto: User, sign_in: SignIn) -> None:
    typed = {"name": "hook", "kind": "webhook", "address": "ftp://user:hook-secret@x", "language": "en"}

    answer = sign_in(otto).post(reverse("add_channel"), typed)

    assert answer.status_code == 400
    assert "hook-secret" not in answer.content.decode()


def test_it_keeps_the_address_when_none_is_typed(otto: User, sign_in: SignIn) -> None:
    channel = make_channel("https://hook.example.org/?token=hook-secret", is_enabled=False, disabled_why="x")
    typed = {"name": "renamed", "kind": "webhook", "address": "", "language": "en", "is_enabled": "on"}

    assert sign_in(otto).post(reverse("change_channel", args=[channel.pk]), typed).status_code == 302

    channel.refresh_from_db()
    assert (channel.name, channel.is_enabled, channel.disabled_why) == ("renamed", True, "")
    assert channel.read_address().endswith("hook-secret")


def test_it_starts_with_a_rule_of_every_kind(db: None) -> None:
    assert set(AlertRule.objects.values_list("kind", flat=True)) == set(KINDS)


def test_it_keeps_a_rota_in_the_order_typed(otto: User, sign_in: SignIn) -> None:
    one, two = make_channel("https://a.example.org/", name="one"), make_channel("https://b.example.org/", name="two")
    typed = {"name": "Nights", "starts_at": "2026-11-23T08:00", "turn_hours": "168", "first": two.pk, "third": one.pk}
    browser = sign_in(otto)

    assert browser.post(reverse("add_rota"), typed).status_code == 302

    rota = OnCallRota.objects.get()
    assert [turn.channel.name for turn in rota.turns.all()] == ["two", "one"]
    check(browser.get(reverse("change_rota", args=[rota.pk])))
    assert "now two" in read_main(browser.get(reverse("alert_settings")))
    assert browser.post(reverse("remove_rota", args=[rota.pk])).status_code == 302
    assert not OnCallRota.objects.exists()


def test_it_shows_who_was_told_after_channel_and_rule_are_gone(alert: Alert, otto: User, sign_in: SignIn) -> None:
    browser = sign_in(otto)
    browser.post(reverse("remove_channel", args=[Channel.objects.get().pk]))
    browser.post(reverse("remove_rule", args=[alert.rule.pk]))

    text = read_main(browser.get(reverse("alerts")))

    assert "(removed" in text
    assert "test rule" in text
    assert "no longer true" in text
    assert "Nothing matches" in read_main(browser.get(reverse("alerts"), {"state": "sent"}))
    assert "(removed" in read_main(browser.get(reverse("alerts"), {"text": "webhook"}))


def test_it_keeps_what_each_person_wants(sam: User, sign_in: SignIn) -> None:
    browser = sign_in(sam)
    User.objects.filter(pk=sam.pk).update(email="")
    assert reverse("account_email") in browser.get(reverse("my_notices")).content.decode()
    User.objects.filter(pk=sam.pk).update(email="sam@example.org")
    check(browser.get(reverse("my_notices")))

    browser.post(reverse("my_notices"), {"language": "de", "wants_weekly": "on"})

    settings = NoticeSettings.objects.get()
    assert (settings.person, settings.language, settings.wants_notices, settings.wants_weekly) == (
        sam,
        "de",
        False,
        True,
    )
