"""Tells people what concerns them: assigned, mentioned, waits for approval, overdue; writes waiting Notifications.

Whether somebody was told follows from the key of the row alone, which names event and person: nothing is marked on
events, and however often this runs and whenever it is killed, each is told once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone

from readiness.alerts.messages import link_to
from readiness.checklists.assessment import assess
from readiness.checklists.assigned_template import template_of
from readiness.checklists.life import State
from readiness.checklists.template_values import Template, Text
from readiness.models import Environment, ItemEvent, ItemState, Notification, Waiver

# What nobody was told of for so long is history, not news.
NEWS_HOURS = 6
SEE, APPROVE, APPROVE_WAIVER = "readiness.view_environment", "readiness.tick_item", "readiness.approve_waiver"
_BACKEND = "django.contrib.auth.backends.ModelBackend"
_ABOUT_SOMEBODY = {ItemEvent.Kind.ASSIGN.value: "assigned", ItemEvent.Kind.MENTION.value: "mentioned"}
_SUBMITTED = {ItemEvent.Kind.SUBMIT.value, ItemEvent.Kind.ASK_NOT_APPLICABLE.value}
_Place = tuple[int, str]
_KINDS = {*_ABOUT_SOMEBODY, *_SUBMITTED, ItemEvent.Kind.WAIVER_REQUEST.value}


@dataclass(frozen=True)
class Notice:
    """One thing to tell one person. ``about`` makes the key: the same thing is told once."""

    person_id: int
    reason: str
    about: str
    environment: Environment
    item_key: str
    said_by: str = ""
    text: str = ""


def tell_people(now: datetime) -> int:
    """Writes a notification for everybody whom something new concerns and who wants to hear it; returns how many."""
    fresh = _leave_out_the_told([*_find_news(now), *_find_overdue(now)])
    if not fresh:
        return 0
    environments = {notice.environment.pk: notice.environment for notice in fresh.values()}
    templates = {pk: template_of(environment) for pk, environment in environments.items()}
    rows = [
        Notification(
            person_id=notice.person_id,
            reason=notice.reason,
            key=key,
            due_at=now,
            facts=_describe(notice, templates[notice.environment.pk]),
        )
        for key, notice in fresh.items()
    ]
    Notification.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _find_news(now: datetime) -> Iterator[Notice]:
    events = list(
        ItemEvent.objects.filter(at__gt=now - timedelta(hours=NEWS_HOURS), kind__in=_KINDS, environment__isnull=False)
        .filter(Q(subject__isnull=False) | ~Q(kind__in=_ABOUT_SOMEBODY))
        .order_by("pk")
    )
    if not events:
        return
    environments = Environment.objects.active().in_bulk({event.environment_id for event in events})
    waiting = _load_waiting(list(environments))
    for event in events:
        environment = environments.get(event.environment_id or 0)
        if environment is None:
            continue
        for person_id, reason in _list_concerned(event, waiting):
            if person_id != event.actor_id:
                about = f"event:{event.pk}"
                yield Notice(person_id, reason, about, environment, event.key, event.actor_name, event.text)


@dataclass(frozen=True)
class _Waiting:
    """What waits for approval now, by environment and item, each with those who have had their say; who may approve."""

    items: Mapping[_Place, set[int | None]]
    waivers: frozenset[_Place]
    item_approvers: tuple[int, ...]
    waiver_approvers: tuple[int, ...]


def _load_waiting(environment_ids: list[int]) -> _Waiting:
    items = ItemState.objects.filter(environment_id__in=environment_ids, state=State.SUBMITTED.value)
    waivers = Waiver.objects.filter(environment_id__in=environment_ids, state=Waiver.State.PENDING)
    return _Waiting(
        items={
            (item.environment_id, item.key): {item.submitter_id, *(one.person_id for one in item.approvals.all())}
            for item in items.prefetch_related("approvals")
        },
        waivers=frozenset(waivers.values_list("environment_id", "key")),
        item_approvers=tuple(_list_holders(APPROVE)),
        waiver_approvers=tuple(_list_holders(APPROVE_WAIVER)),
    )


def _list_concerned(event: ItemEvent, waiting: _Waiting) -> list[tuple[int, str]]:
    """(person, why) of everybody whom the event concerns, and for approvals only while they are still waited for."""
    if event.kind in _ABOUT_SOMEBODY:
        return [(event.subject_id, _ABOUT_SOMEBODY[event.kind])] if event.subject_id is not None else []
    place = (event.environment_id or 0, event.key)
    if event.kind in _SUBMITTED:
        spoken = waiting.items.get(place)
        return [] if spoken is None else [(pk, "approval") for pk in waiting.item_approvers if pk not in spoken]
    return [(pk, "approval") for pk in waiting.waiver_approvers] if place in waiting.waivers else []


def _find_overdue(now: datetime) -> Iterator[Notice]:
    """Items past their day whose owner has to hear it, once for each day that was set."""
    late = ItemState.objects.filter(
        due_on__lt=timezone.localdate(now), owner__isnull=False, environment__retired_at__isnull=True
    ).select_related("environment")
    notices = _leave_out_the_told(
        [
            Notice(
                item.owner_id,
                "overdue",
                f"overdue:{item.pk}:{item.due_on}",
                item.environment,
                item.key,
                text=str(item.due_on),
            )
            for item in late
            if item.owner_id is not None
        ]
    )
    if not notices:
        return
    # Facts decide about many items: whether one is done is not in its row.
    assessments = assess(list({one.environment.pk: one.environment for one in notices.values()}.values()), now)
    done = {
        (pk, standing.item.key)
        for pk, assessment in assessments.items()
        for standing in assessment.standings
        if standing.is_done
    }
    yield from (one for one in notices.values() if (one.environment.pk, one.item_key) not in done)


def _leave_out_the_told(notices: Sequence[Notice]) -> dict[str, Notice]:
    """By key, those whose person wants to hear them and has not been told yet."""
    keys = {_make_key(notice): notice for notice in notices}
    if not keys:
        return {}
    known = set(Notification.objects.filter(key__in=keys).values_list("key", flat=True))
    listeners = _find_listeners({notice.person_id for notice in notices})
    return {key: one for key, one in keys.items() if key not in known and one.person_id in listeners}


def _list_holders(permission: str) -> list[int]:
    holders = User.objects.with_perm(permission, backend=_BACKEND)
    return list(holders.values_list("pk", flat=True))


def _find_listeners(ids: set[int]) -> set[int]:
    """Those who may look, have an address, and have not switched notices off."""
    people = User.objects.filter(pk__in=ids, is_active=True).exclude(email="")
    wanting = people.filter(Q(notice_settings__isnull=True) | Q(notice_settings__wants_notices=True))
    return set(wanting.values_list("pk", flat=True)) & set(_list_holders(SEE))


def _make_key(notice: Notice) -> str:
    return hashlib.sha256(f"{notice.about}:{notice.person_id}".encode()).hexdigest()[:40]


_LABELS = {
    "en": {"by": "By", "text": "Text", "due": "Was due on"},
    "de": {"by": "Von", "text": "Text", "due": "War fällig am"},
}


def _describe(notice: Notice, template: Template) -> dict[str, Any]:
    titles = {item.key: item.title for item in template.items}
    title = titles.get(notice.item_key, Text(en=notice.item_key, de=notice.item_key))
    return {
        "title": f"{notice.environment.name}: {title.en}",
        "title_de": f"{notice.environment.name}: {title.de}",
        "lines": _list_lines(notice, "en"),
        "lines_de": _list_lines(notice, "de"),
        "link": link_to("item", notice.environment.slug, notice.item_key),
    }


def _list_lines(notice: Notice, language: str) -> list[tuple[str, str]]:
    labels = _LABELS[language]
    lines = [(labels["by"], notice.said_by)] if notice.said_by else []
    if notice.text:
        lines.append((labels["due" if notice.reason == "overdue" else "text"], notice.text[:500]))
    return lines
