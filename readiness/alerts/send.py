"""Sends what waits: claims each notification by a conditional UPDATE, delivers it, writes how that went."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db.models import F, Q
from django.utils import timezone

from portal import audit
from readiness.alerts.messages import Message, compose_message
from readiness.alerts.transports import TransportError, deliver
from readiness.models import Channel, Notification

# Longer than any delivery takes; who died in the middle of one is followed by another sender after that.
CLAIM_SECONDS = 60
# Over seven hours: a mail server that is down for the length of a night's upgrade must not swallow an alert.
MAX_ATTEMPTS = 15
FIRST_RETRY_SECONDS = 15
LONGEST_RETRY_SECONDS = 3600
PERMANENT_FAILURES_TO_DISABLE = 3
GROUP_LIMIT = 50

# About what lasts: whoever gets it later than that would be told what is no longer true.
_ABOUT_OPEN = ("reminder", "escalated")

Carrier = Callable[[Channel | User, Message], None]


def send_due(now: datetime | None = None, *, limit: int = 200, carry: Carrier = deliver) -> int:
    """Sends up to ``limit`` messages that are due; returns how many were delivered.

    At least once: a sender killed after delivering and before saying so makes the next one send that message again,
    with the same key. Never more than the one in flight.
    """
    sent = 0
    _drop_outdated(now or timezone.now())
    for _ in range(limit):
        at = now or timezone.now()
        batch = _claim_next(at)
        if not batch:
            break
        sent += _send(batch, at, carry)
    return sent


def queue_test(channel: Channel, now: datetime) -> Notification:
    """Writes a test message; the caller sends it with send_one."""
    key = _make_notice_key("test", channel.pk, now.isoformat())
    return Notification.objects.create(channel=channel, reason="test", key=key, due_at=now)


def send_one(notification: Notification, now: datetime, carry: Carrier = deliver) -> str:
    """Sends one notification at once; returns why it failed, or nothing."""
    if _claim(notification.pk, now):
        _send([_load(notification.pk)], now, carry)
    return Notification.objects.values_list("error", flat=True).get(pk=notification.pk)


def _claim_next(now: datetime) -> list[Notification]:
    """The next message: one notification, or all that belong to the same rule, reason and channel when grouped."""
    reachable = Q(channel__is_enabled=True, channel__removed_at__isnull=True) | Q(person__is_active=True)
    due = Notification.objects.filter(_claimable(now), reachable, due_at__lte=now)
    for pk in due.order_by("due_at", "pk").values_list("pk", flat=True)[:20]:
        if not _claim(pk, now):
            continue
        first = _load(pk)
        rule = first.alert.rule if first.alert is not None else None
        batch = [first]
        if rule is not None and (rule.group_seconds or first.reason == "reminder"):
            same = Notification.objects.filter(
                _claimable(now), channel=first.channel, reason=first.reason, alert__rule=rule
            ).exclude(pk=pk)
            rest = list(same.order_by("pk").values_list("pk", flat=True)[: GROUP_LIMIT - 1])
            batch += [_load(each) for each in rest if _claim(each, now)]
        return batch
    return []


def _drop_outdated(now: datetime) -> None:
    """Reminders and escalations about what has ended while they waited are not sent any more."""
    ended = Notification.objects.filter(
        _claimable(now), reason__in=_ABOUT_OPEN, due_at__lte=now, alert__resolved_at__isnull=False
    )
    ended.update(state=Notification.State.DROPPED, claimed_until=None)


def _claimable(now: datetime) -> Q:
    return Q(state=Notification.State.PENDING) | Q(state=Notification.State.SENDING, claimed_until__lt=now)


def _claim(pk: int, now: datetime) -> bool:
    return (
        Notification.objects.filter(_claimable(now), pk=pk).update(
            state=Notification.State.SENDING,
            claimed_until=now + timedelta(seconds=CLAIM_SECONDS),
            attempts=F("attempts") + 1,
        )
        == 1
    )


def _load(pk: int) -> Notification:
    return Notification.objects.select_related(
        "channel", "person__notice_settings", "alert__rule", "alert__environment"
    ).get(pk=pk)


def _send(batch: list[Notification], now: datetime, carry: Carrier) -> int:
    mine = Notification.objects.filter(pk__in=[one.pk for one in batch], state=Notification.State.SENDING)
    channel, person = batch[0].channel, batch[0].person
    receiver = person if channel is None else channel
    assert receiver is not None  # noqa: S101  the table's constraint
    try:
        carry(receiver, compose_message(batch, now))
    except TransportError as error:
        _note_failure(batch, error, now)
        return 0
    mine.update(state=Notification.State.SENT, sent_at=timezone.now(), claimed_until=None, error="")
    if channel is not None and channel.permanent_failures:
        Channel.objects.filter(pk=channel.pk).update(permanent_failures=0)
    return 1


def _note_failure(batch: list[Notification], error: TransportError, now: datetime) -> None:
    attempts = max(one.attempts for one in batch)
    mine = Notification.objects.filter(pk__in=[one.pk for one in batch])
    text = str(error)[:300]
    if error.is_permanent or attempts >= MAX_ATTEMPTS or batch[0].reason == "test":
        mine.update(state=Notification.State.FAILED, claimed_until=None, error=text)
    else:
        wait = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** (attempts - 1))
        mine.update(
            state=Notification.State.PENDING, claimed_until=None, error=text, due_at=now + timedelta(seconds=wait)
        )
    channel = batch[0].channel
    if error.is_permanent and channel is not None and batch[0].reason != "test":
        _count_permanent(channel, text, now)


def _count_permanent(channel: Channel, why: str, now: datetime) -> None:
    """Switches a channel off that refuses for good, and says so through the others."""
    Channel.objects.filter(pk=channel.pk).update(permanent_failures=F("permanent_failures") + 1)
    disabled = Channel.objects.filter(
        pk=channel.pk, is_enabled=True, permanent_failures__gte=PERMANENT_FAILURES_TO_DISABLE
    ).update(is_enabled=False, disabled_why=why)
    if disabled != 1:
        return
    audit.record("switched off the channel", subject=f"{channel.name}: {why}", detail={"status": "fail"})
    _tell_that_it_is_off(channel, now)


def _tell_that_it_is_off(channel: Channel, now: datetime) -> None:
    """Through the other channels; when there is none, to everybody who may set one up."""
    count, name = PERMANENT_FAILURES_TO_DISABLE, channel.name
    facts = {
        "title": f"The channel {name} is switched off, because it refused {count} messages.",
        "title_de": f"Der Kanal {name} ist abgeschaltet, weil er {count} Nachrichten abgelehnt hat.",
    }
    others = Channel.objects.filter(is_enabled=True, removed_at__isnull=True)
    receivers: list[Channel | User] = list(others)
    if not receivers:
        may_set_up = User.objects.with_perm(
            "readiness.change_alertrule", backend="django.contrib.auth.backends.ModelBackend"
        )
        receivers = list(may_set_up.exclude(email=""))
    Notification.objects.bulk_create(
        Notification(
            channel=receiver if isinstance(receiver, Channel) else None,
            person=receiver if isinstance(receiver, User) else None,
            reason="channel",
            key=_make_notice_key("off", channel.pk, type(receiver).__name__, receiver.pk, now.isoformat()),
            due_at=now,
            facts=facts,
        )
        for receiver in receivers
    )


def _make_notice_key(*parts: object) -> str:
    return hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()[:40]
