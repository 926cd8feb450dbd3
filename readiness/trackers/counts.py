"""Counts stored events where the tracker itself does not count; reads TrackerEvent, writes counts of TrackerIssue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, QuerySet
from django.db.models.functions import TruncDay, TruncHour, TruncMinute

from readiness.models import Tracker, TrackerEvent, TrackerIssue

# What each provider leaves to be counted here. GlitchTip's own counts of a day and a week come in whole hours and days
# of arrival and stay where stored events do not suffice.
_COUNTED = {
    Tracker.Provider.BUGSINK: ("count_24h", "count_7d", "count_30d", "users", "hourly", "daily"),
    Tracker.Provider.GLITCHTIP: ("count_24h", "count_7d", "count_30d", "users", "hourly", "daily"),
    Tracker.Provider.SENTRY: (),
}
_TOLD = {Tracker.Provider.GLITCHTIP: {"count_24h", "count_7d", "hourly"}}
_WINDOWS = {"count_24h": 1, "count_7d": 7, "count_30d": 30}


def count_events(tracker: Tracker, now: datetime) -> None:
    """Fills in what the provider does not count, and only what the stored events suffice for; the rest is unknown."""
    fields = _COUNTED[Tracker.Provider(tracker.provider)]
    if not fields:
        return
    by_hour = _bucket(events_of(tracker), TruncHour, now - timedelta(days=1)) if "hourly" in fields else {}
    by_day = _bucket(events_of(tracker), TruncDay, now - timedelta(days=30))
    counted = {row["issue"]: row for row in _count_by_issue(tracker, now)}
    unread = set(TrackerEvent.objects.filter(issue__tracker=tracker, is_read=False).values_list("issue_id", flat=True))
    stored = dict(
        TrackerEvent.objects.filter(issue__tracker=tracker)
        .values("issue")
        .annotate(stored=Count("pk"))
        .values_list("issue", "stored")
    )
    is_filtered = _is_filtered(tracker)
    told = set() if is_filtered else _TOLD.get(Tracker.Provider(tracker.provider), set())
    changed = []
    for issue in TrackerIssue.objects.filter(tracker=tracker).only("pk", "count_total", *fields):
        row = counted.get(issue.pk, {})
        is_whole = issue.count_total is not None and stored.get(issue.pk, 0) >= issue.count_total
        is_read = issue.pk not in unread
        for name in fields:
            value = _count(name, row, is_whole=is_whole, is_read=is_read, is_filtered=is_filtered, now=now)
            if name in ("hourly", "daily"):
                value = (by_hour if name == "hourly" else by_day).get(issue.pk, [])
            if name in told and not is_whole and getattr(issue, name) is not None:
                continue
            setattr(issue, name, value)
        if is_filtered:
            # What the tracker tells is of all environments; the next list brings it back before events are read.
            issue.count_total = row.get("total", 0) if is_whole and is_read else None
        changed.append(issue)
    if changed:
        TrackerIssue.objects.bulk_update(changed, [*fields, "count_total"], batch_size=500)


def sum_up(tracker: Tracker, now: datetime) -> dict[str, int | None]:
    """Events and new issues of the last 24 hours; None where a count is unknown."""
    rows = list(TrackerIssue.objects.filter(tracker=tracker).values_list("count_24h", "first_seen"))
    known = [count for count, _ in rows if count is not None]
    since = now - timedelta(days=1)
    return {
        "errors_24h": sum(known) if len(known) == len(rows) else None,
        "new_24h": sum(first is not None and first >= since for _, first in rows),
    }


def count_minutes(tracker: Tracker, now: datetime) -> list[list[int]]:
    """[[epoch seconds, events], ...] of the last hour, from stored events."""
    found = (
        events_of(tracker)
        .filter(at__gte=now - timedelta(hours=1))
        .annotate(minute=TruncMinute("at"))
        .order_by("minute")
        .values("minute")
        .annotate(events=Count("pk"))
    )
    return [[int(row["minute"].timestamp()), row["events"]] for row in found]


def events_of(tracker: Tracker) -> QuerySet[TrackerEvent]:
    """Stored events that count: those of the tracker's environment, when one is chosen."""
    events = TrackerEvent.objects.filter(issue__tracker=tracker).order_by()
    return events.filter(tags__environment=tracker.tracker_environment) if _is_filtered(tracker) else events


def _is_filtered(tracker: Tracker) -> bool:
    """Only Sentry counts by environment: Bugsink does not filter, GlitchTip filters issues and not their counts."""
    return bool(tracker.tracker_environment) and tracker.provider != Tracker.Provider.SENTRY


def _count_by_issue(tracker: Tracker, now: datetime) -> Iterable[Mapping[str, Any]]:
    windows = {name: Count("pk", filter=Q(at__gte=now - timedelta(days=days))) for name, days in _WINDOWS.items()}
    return (
        events_of(tracker)
        .values("issue")
        .annotate(
            total=Count("pk"), users=Count("user", distinct=True, filter=~Q(user="")), oldest=Min("at"), **windows
        )
    )


def _count(
    name: str, row: Mapping[str, Any], *, is_whole: bool, is_read: bool, is_filtered: bool, now: datetime
) -> Any:
    if is_filtered and not is_read:
        return None
    if name == "users":
        return row.get("users", 0) if is_whole and is_read else None
    if name not in _WINDOWS:
        return None
    reaches_back = bool(row) and row["oldest"] < now - timedelta(days=_WINDOWS[name])
    return row.get(name, 0) if is_whole or reaches_back else None


def _bucket(events: QuerySet[TrackerEvent], trunc: Any, since: datetime) -> dict[int, list[list[int]]]:
    found: dict[int, list[list[int]]] = defaultdict(list)
    rows = events.filter(at__gte=since).annotate(start=trunc("at")).order_by("start").values("issue", "start")
    for row in rows.annotate(events=Count("pk")):
        found[row["issue"]].append([int(row["start"].timestamp()), row["events"]])
    return found
