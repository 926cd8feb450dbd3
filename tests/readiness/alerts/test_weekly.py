"""The weekly summary: who gets it, once, and what it says."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth.models import User
from django.utils import timezone

from readiness.alerts import send
from readiness.alerts.weekly import write_weekly
from readiness.models import NoticeSettings, Notification, Tracker
from tests.readiness.factories import make_environment, make_ready
from tests.servers.receiver import Mailbox

MONDAY = datetime(2026, 11, 23, 7, 5, tzinfo=ZoneInfo("UTC"))


def want(person: User, **fields: Any) -> None:
    NoticeSettings.objects.create(person=person, **{"wants_weekly": True, **fields})


def test_it_writes_once_a_week_to_whoever_asked(sam: User, lea: User, charlie: User, make_user: Any) -> None:
    gone = make_user("gone", "Stakeholder")
    User.objects.filter(pk=gone.pk).update(is_active=False)
    for person in (sam, charlie, gone):
        want(person)

    assert write_weekly(MONDAY - timedelta(minutes=10)) == 0
    assert [write_weekly(MONDAY), write_weekly(MONDAY + timedelta(hours=3))] == [1, 0]
    assert write_weekly(MONDAY + timedelta(days=1)) == 0
    assert write_weekly(MONDAY + timedelta(days=7)) == 1
    # Charlie may see nothing here, Lea did not ask, and whoever is gone hears no more.
    assert set(Notification.objects.values_list("person__username", flat=True)) == {"sam"}


def test_it_says_how_each_environment_stands(sam: User, lea: User, mailbox: Mailbox) -> None:
    want(sam)
    want(lea, language="de")
    shop, _ = make_ready("shop"), make_environment("blog")
    Tracker.objects.filter(environment=shop).update(errors_24h=7, new_24h=2)

    assert write_weekly(MONDAY) == 2
    assert send.send_due(timezone.now()) == 2

    texts = {mail["To"]: mail.get_body(("plain",)).get_content() for mail in mailbox.messages}  # type: ignore[union-attr]
    english, german = texts["sam@example.org"], texts["lea@example.org"]
    assert "environments are GO" in english
    assert "2 of them new issues" in english
    assert "Umgebungen sind GO" in german
    assert "2 davon neue Probleme" in german
    assert "Blog: NO-GO (" in english
    assert mailbox.messages[0].get_body(("html",)) is not None
    assert mailbox.messages[0]["Subject"].startswith("[Weekly]")
    # The hours of MONDAY and of the facts differ: what is out of date is unknown, never told as a figure.
    Tracker.objects.update(synced_at=timezone.now() - timedelta(days=1))
    write_weekly(MONDAY + timedelta(days=7))
    assert "errors unknown" in str(Notification.objects.latest("pk").facts)
