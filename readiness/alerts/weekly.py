"""The weekly summary for whoever asked for it: how each environment stands; writes Notification rows that wait."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from readiness.alerts.messages import link_to
from readiness.checklists.assessment import Assessment, assess
from readiness.models import Alert, Environment, Notification
from readiness.trackers.facts import TrackerFacts, read_tracker_facts

WEEKDAY, HOUR = 0, 7
SEE = "readiness.view_environment"
Line = tuple[str, str]


def write_weekly(now: datetime) -> int:
    """Writes this week's summary for everybody who wants it and has none yet, on Mondays from 7; returns how many.

    The week is part of the key, so that each gets one however often this runs and whenever it is killed.
    """
    local = timezone.localtime(now)
    if local.weekday() != WEEKDAY or local.hour < HOUR:
        return 0
    week = "{}-W{:02}".format(*local.isocalendar())
    wanting = User.objects.filter(is_active=True, notice_settings__wants_weekly=True).exclude(email="")
    keys = {_make_key(person, week): person for person in wanting if person.has_perm(SEE)}
    written = set(Notification.objects.filter(key__in=keys).values_list("key", flat=True))
    missing = {key: person for key, person in keys.items() if key not in written}
    if not missing:
        return 0
    facts = _summarise(now)
    Notification.objects.bulk_create(
        [
            Notification(person=person, reason="weekly", key=key, due_at=now, facts=facts)
            for key, person in missing.items()
        ],
        ignore_conflicts=True,
    )
    return len(missing)


def _make_key(person: User, week: str) -> str:
    return hashlib.sha256(f"weekly:{person.pk}:{week}".encode()).hexdigest()[:40]


def _summarise(now: datetime) -> dict[str, object]:
    environments = list(Environment.objects.active())
    ids = [environment.pk for environment in environments]
    assessments, trackers = assess(environments, now), read_tracker_facts(ids, now)
    opened = Counter(
        Alert.objects.filter(environment_id__in=ids, opened_at__gte=now - timedelta(days=7)).values_list(
            "environment_id", flat=True
        )
    )
    each = [(assessments[pk], trackers.get(pk), opened[pk]) for pk in ids]
    ready = sum(one.decision.verdict.value == "GO" for one, _, _ in each)
    return {
        "title": f"{ready} of {len(each)} environments are GO",
        "title_de": f"{ready} von {len(each)} Umgebungen sind GO",
        "lines": _list_lines(each, _WORDS["en"]),
        "lines_de": _list_lines(each, _WORDS["de"]),
        "link": link_to("dashboard"),
    }


_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "reasons": "{count} open",
        "done": "{done} of {all} items done",
        "errors": "{count} errors in 24 hours, {new} of them new issues",
        "unknown": "errors unknown",
        "proven": "backup of {days} days ago proven",
        "unproven": "no proven backup",
        "alerts": "{count} alerts this week",
    },
    "de": {
        "reasons": "{count} offen",
        "done": "{done} von {all} Punkten erledigt",
        "errors": "{count} Fehler in 24 Stunden, {new} davon neue Probleme",
        "unknown": "Fehler unbekannt",
        "proven": "Backup von vor {days} Tagen belegt",
        "unproven": "kein belegtes Backup",
        "alerts": "{count} Alarme in dieser Woche",
    },
}


def _list_lines(each: Sequence[tuple[Assessment, TrackerFacts | None, int]], words: Mapping[str, str]) -> list[Line]:
    return [(one.environment.name, _describe(one, tracker, alerts, words)) for one, tracker, alerts in each]


def _describe(one: Assessment, tracker: TrackerFacts | None, alerts: int, words: Mapping[str, str]) -> str:
    verdict = one.decision.verdict.value
    if one.decision.reasons:
        verdict += f" ({words['reasons'].format(count=len(one.decision.reasons))})"
    parts = [verdict, words["done"].format(done=one.done_count, all=len(one.standings))]
    if tracker is not None:
        known = not tracker.is_stale and tracker.errors_24h is not None and not tracker.drops_events
        errors = words["errors"].format(count=tracker.errors_24h, new=tracker.new_24h)
        parts.append(errors if known else words["unknown"])
    proven_at = one.facts.backups.newest_proven_at
    if one.facts.is_backup_proven and proven_at is not None:
        parts.append(words["proven"].format(days=(one.facts.now - proven_at).days))
    elif one.databases:
        parts.append(words["unproven"])
    parts.append(words["alerts"].format(count=alerts))
    return ", ".join(parts)
