"""Messages through real local receivers: webhook, SMTP, Apprise; refused, broken off, tried again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from readiness.alerts import incidents, removing, rules, send
from readiness.alerts.messages import Message, read_acknowledge_token
from readiness.alerts.transports import explain_bad_address
from readiness.models import Alert, Channel, Environment, Notification
from tests.readiness.alerts.factories import make_change, make_channel, make_rule
from tests.servers.receiver import Mailbox, Posts, serve_webhook


@pytest.fixture
def posts() -> Posts:
    return Posts()


@pytest.fixture
def hook(posts: Posts) -> Iterator[str]:
    with serve_webhook(posts) as server:
        yield f"{server.url}hook?token=hook-secret"


def alarm(environment: Environment, *channels: Channel, **fields: Any) -> None:
    """One alert about the site's probe, told to ``channels``."""
    make_rule("probe_down", *channels, **fields)
    make_change(environment, "fail")
    rules.evaluate_changes(timezone.now())


def test_it_posts_to_a_webhook_with_a_key(shop: Environment, hook: str, posts: Posts) -> None:
    alarm(shop, make_channel(hook))

    assert send.send_due() == 1

    headers, body = posts.received[0]
    assert headers["idempotency-key"] == Notification.objects.get().key == body["key"]
    assert body["alerts"][0]["environment"] == "shop"
    assert body["subject"].startswith("[New] Shop: ")
    assert body["subject"].endswith("The site says fail.")
    assert (Notification.objects.get().state, send.send_due()) == ("sent", 0)


def test_it_mails_text_and_html(shop: Environment, mailbox: Mailbox) -> None:
    alarm(shop, make_channel("ops@example.org, lead@example.org", "email", language="de"))

    assert send.send_due() == 1

    mail = mailbox.messages[0]
    assert mail["Subject"].strip().startswith("[Neu] Shop: HTTP schlägt an")
    assert mail["Message-ID"].startswith(f"<{Notification.objects.get().key}@")
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "Umgebung: Shop" in text.get_content()
    link = next(line.split(": ", 1)[1] for line in text.get_content().splitlines() if line.startswith("Bestätigen"))
    assert read_acknowledge_token(link.rstrip("/").rpartition("/")[2]) == Alert.objects.get().pk
    assert "<a href=" in html.get_content()


def test_it_leaves_markup_and_line_breaks_as_text(shop: Environment, mailbox: Mailbox) -> None:
    alarm(shop, make_channel("ops@example.org", "email"))
    Alert.objects.update(title="<script>x</script>\r\nBcc: evil@example.org")

    send.send_due()

    mail = mailbox.messages[0]
    html = mail.get_body(("html",))
    assert html is not None
    assert "<script>" not in html.get_content()
    assert mail["Bcc"] is None


def test_it_tells_permanent_from_passing_failures(shop: Environment, mailbox: Mailbox) -> None:
    alarm(shop, make_channel("a@refused.example", "email"), make_channel("a@busy.example", "email"))

    assert send.send_due(timezone.now()) == 0

    states = {}
    for one in Notification.objects.all():
        assert one.channel is not None
        states[one.channel.read_address()] = (one.state, one.error)
    assert states["a@refused.example"][0] == "failed"
    assert states["a@busy.example"][0] == "pending"
    assert Notification.objects.get(state="pending").due_at > timezone.now()


def test_it_tries_again_later_with_the_same_key(shop: Environment, hook: str, posts: Posts) -> None:
    posts.answers = [503]
    alarm(shop, make_channel(hook))

    assert send.send_due(timezone.now()) == 0
    assert send.send_due(timezone.now() + timedelta(minutes=1)) == 1

    assert len({headers["idempotency-key"] for headers, _ in posts.received}) == 1
    assert "hook-secret" not in str(list(Notification.objects.values()))


def test_it_gives_up_at_last(shop: Environment, hook: str, posts: Posts) -> None:
    posts.always = 503
    alarm(shop, make_channel(hook))
    for hours in range(1, 2 * send.MAX_ATTEMPTS):
        send.send_due(timezone.now() + timedelta(hours=2 * hours))

    notification = Notification.objects.get()
    assert (notification.state, notification.attempts) == ("failed", send.MAX_ATTEMPTS)
    assert len(posts.received) == send.MAX_ATTEMPTS


def test_it_switches_a_channel_off_that_refuses_for_good(shop: Environment, hook: str, posts: Posts) -> None:
    other_posts = Posts()
    with serve_webhook(other_posts) as other:
        posts.always = 404
        make_channel(other.url, name="other")
        bad = make_channel(hook, name="bad")
        make_rule("probe_down", bad)
        for kind in ("http", "tls", "headers"):
            make_change(shop, "fail", kind)
        rules.evaluate_changes(timezone.now())
        send.send_due()

    bad.refresh_from_db()
    assert (bad.is_enabled, bad.disabled_why) == (False, "The webhook answered 404.")
    assert "The channel bad is switched off" in other_posts.received[0][1]["text"]


def test_it_tells_those_who_set_channels_up_when_no_other_is_left(
    shop: Environment, otto: User, sam: User, hook: str, posts: Posts
) -> None:
    posts.always = 410
    make_rule("probe_down", make_channel(hook, name="bad"))
    for kind in ("http", "tls", "headers"):
        make_change(shop, "fail", kind)
    rules.evaluate_changes(timezone.now())
    send.send_due()

    told = Notification.objects.get(reason="channel")
    assert told.person == otto
    assert "bad is switched off" in told.facts["title"]


def test_it_masks_secrets_that_others_put_into_titles(
    shop: Environment, hook: str, posts: Posts, mailbox: Mailbox
) -> None:
    alarm(shop, make_channel(hook), make_channel("ops@example.org", "email"))
    planted = "postgresql://u:planted-password@db/x?token=planted-token for planted-person@example.org"
    Alert.objects.update(title=planted, facts={"title_de": planted, "project": "password=planted-password"})

    assert send.send_due() == 2

    said = str(posts.received) + "".join(part.get_content() for part in mailbox.messages[0].iter_parts())
    said += mailbox.messages[0]["Subject"]
    assert "planted" not in said
    assert "postgresql://***@db/x" in said


def test_it_words_a_message_in_german(shop: Environment, hook: str, posts: Posts) -> None:
    alarm(shop, make_channel(hook, language="de"), name="A probe fails, and when it is well again")

    send.send_due()

    text = posts.received[0][1]["text"]
    for words in ("Shop: HTTP schlägt an", "Schwere: kritisch", "Regel: Eine Sonde schlägt an, und wenn sie wieder"):
        assert words in text


def test_it_reminds_of_nothing_that_ended_while_the_reminder_waited(shop: Environment, hook: str, posts: Posts) -> None:
    alarm(shop, make_channel(hook), remind_minutes=30)
    send.send_due()
    later = timezone.now() + timedelta(minutes=31)
    incidents.follow_up(later)
    make_change(shop, "pass")
    rules.evaluate_changes(timezone.now())

    send.send_due(later + timedelta(seconds=1))

    assert Notification.objects.get(reason="reminder").state == "dropped"
    assert [body["reason"] for _, body in posts.received] == ["opened", "resolved"]


def test_it_keeps_the_history_of_a_channel_that_is_removed(shop: Environment, hook: str, posts: Posts) -> None:
    channel = make_channel(hook, name="hook")
    alarm(shop, channel)
    send.send_due()
    make_change(shop, "fail", "tls")
    rules.evaluate_changes(timezone.now())

    removing.remove_channel(channel, timezone.now())

    channel.refresh_from_db()
    assert (channel.address, channel.is_enabled) == ("", False)
    assert sorted(Notification.objects.values_list("state", flat=True)) == ["dropped", "sent"]
    assert send.send_due() == 0
    make_channel(hook, name="hook")


def test_it_groups_what_belongs_together(shop: Environment, hook: str, posts: Posts) -> None:
    make_rule("probe_down", make_channel(hook), group_seconds=60)
    for kind in ("http", "tls", "headers"):
        make_change(shop, "fail", kind)
    rules.evaluate_changes(timezone.now())

    assert send.send_due(timezone.now()) == 0
    assert send.send_due(timezone.now() + timedelta(seconds=61)) == 1
    assert len(posts.received[0][1]["alerts"]) == 3
    assert set(Notification.objects.values_list("state", flat=True)) == {"sent"}


def test_it_sends_again_what_a_dead_sender_claimed(shop: Environment, hook: str, posts: Posts) -> None:
    alarm(shop, make_channel(hook))

    class Died(BaseException):
        pass

    def die(receiver: Channel | User, message: Message) -> None:
        raise Died

    with pytest.raises(Died):
        send.send_due(timezone.now(), carry=die)

    assert send.send_due(timezone.now()) == 0
    assert send.send_due(timezone.now() + timedelta(seconds=send.CLAIM_SECONDS + 1)) == 1
    assert len(posts.received) == 1


def test_it_says_how_a_test_went(hook: str, posts: Posts, db: None) -> None:
    channel = make_channel(hook)
    posts.answers = [401]
    now = timezone.now()

    assert send.send_one(send.queue_test(channel, now), now) == "The webhook answered 401."
    assert send.send_one(send.queue_test(channel, now + timedelta(seconds=1)), now) == ""
    channel.refresh_from_db()
    assert channel.is_enabled


def test_it_speaks_apprise(shop: Environment, posts: Posts) -> None:
    pytest.importorskip("apprise")
    with serve_webhook(posts) as server:
        posts.always = 200
        alarm(shop, make_channel(f"json://127.0.0.1:{server.port}/", "apprise"))
        assert send.send_due() == 1
        assert "Shop" in posts.received[0][1]["title"]
        posts.always = 403
        make_change(shop, "fail", "tls")
        rules.evaluate_changes(timezone.now())
        assert send.send_due() == 0

    assert Notification.objects.get(state="failed").error == "The service answered 403."


def test_titles_call_nobody_and_stay_on_their_line(shop: Environment, posts: Posts) -> None:
    pytest.importorskip("apprise")
    with serve_webhook(posts) as server:
        alarm(shop, make_channel(f"json://127.0.0.1:{server.port}/", "apprise"))
        Alert.objects.update(title="<!channel> @everyone\nAcknowledge: https://evil.example/\x1b[2J")
        send.send_due()

    body = posts.received[0][1]["message"]
    assert "<!channel>" not in body
    assert "@everyone" not in body
    assert "everyone" in body
    assert not any(line.startswith("Acknowledge: https://evil") for line in body.splitlines())
    assert "\x1b" not in body


def test_it_sends_apprise_where_probes_may_go_only(shop: Environment, settings: Any) -> None:
    pytest.importorskip("apprise")
    settings.PROBE_ALLOW_LOOPBACK = False
    alarm(shop, make_channel("json://127.0.0.1:9/", "apprise"))

    assert send.send_due() == 0
    assert "address policy does not allow" in Notification.objects.get().error


@pytest.mark.parametrize(
    ("kind", "address", "is_good"),
    [
        ("email", "a@example.org, B <b@example.org>", True),
        ("email", "nobody", False),
        ("webhook", "https://hook.example.org/x", True),
        ("webhook", "file:///etc/passwd", False),
        ("apprise", "ntfy://topic", True),
        ("apprise", "syslog://", False),
        ("apprise", "nonsense", False),
    ],
)
def test_it_knows_a_good_address(kind: str, address: str, is_good: bool) -> None:
    if kind == "apprise":
        pytest.importorskip("apprise")
    assert (explain_bad_address(kind, address) == "") is is_good


def test_it_keeps_addresses_encrypted(hook: str, db: None) -> None:
    make_channel(hook)

    with connection.cursor() as cursor:
        cursor.execute("SELECT address FROM readiness_channel")
        assert "hook-secret" not in cursor.fetchone()[0]


def test_it_counts_an_unreadable_secret_as_passing(shop: Environment) -> None:
    alarm(shop, make_channel("env:NO_SUCH_VARIABLE_HERE"))

    send.send_due(timezone.now())

    assert Notification.objects.get().state == "pending"
