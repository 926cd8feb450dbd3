"""What pages and scripts show of issues: rows, JSON, trends, distributions; reads what sync stored, writes nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from django.db.models import Count, F, Min, Q, QuerySet
from django.db.models.functions import TruncDay

from readiness.models import Deploy, Tracker, TrackerEvent, TrackerIssue
from readiness.trackers.counts import events_of

SORTS = {
    "last": F("last_seen").desc(nulls_last=True),
    "new": F("first_seen").desc(nulls_last=True),
    "count": F("count_24h").desc(nulls_last=True),
    "users": F("users").desc(nulls_last=True),
}
# What a page calls it -> the tags that hold it, in the words of different SDKs.
BREAKDOWNS = {
    "Release": ("release",),
    "Browser": ("browser",),
    "System": ("os",),
    "Route": ("route", "transaction"),
    "Country": ("country", "geo.country_code"),
}


@dataclass(frozen=True)
class Trend:
    """Events over one span: buckets from the oldest to now, and their sum. ``is_partial``: some are unknown."""

    title: str
    counts: tuple[int, ...]
    is_partial: bool
    unit: str

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True)
class LastDeploy:
    """The last time something else went live. ``is_recorded``: somebody said so; else the tracker saw a new release."""

    release: str
    at: datetime
    is_recorded: bool = False


def find_last_deploy(tracker: Tracker) -> LastDeploy | None:
    """The deploy that was recorded last; without any, the release that turned up last in the tracker's events."""
    recorded = Deploy.objects.filter(environment_id=tracker.environment_id).order_by("-at", "-pk").first()
    if recorded is not None:
        return LastDeploy(recorded.release, recorded.at, is_recorded=True)
    newest = (
        events_of(tracker)
        .filter(tags__release__isnull=False)
        .values("tags__release")
        .annotate(first=Min("at"))
        .order_by("-first")
        .first()
    )
    return LastDeploy(str(newest["tags__release"]), newest["first"]) if newest else None


def count_new_since(tracker: Tracker, at: datetime) -> int:
    """Issues that were first seen at or after ``at``."""
    return TrackerIssue.objects.filter(tracker=tracker, first_seen__gte=at).exclude(count_total=0).count()


def list_issues(
    tracker: Tracker,
    *,
    text: str = "",
    level: str = "",
    status: str = "",
    sort: str = "last",
    first_seen_since: datetime | None = None,
) -> QuerySet[TrackerIssue]:
    """Issues that match, in the order asked for."""
    issues = TrackerIssue.objects.filter(tracker=tracker).select_related("project")
    if tracker.tracker_environment:
        issues = issues.exclude(count_total=0)
    if text:
        issues = issues.filter(Q(title__icontains=text) | Q(culprit__icontains=text) | Q(short_id__icontains=text))
    if first_seen_since is not None:
        issues = issues.filter(first_seen__gte=first_seen_since)
    if level:
        issues = issues.filter(level=level)
    if status:
        issues = issues.filter(status=status)
    return issues.order_by(SORTS.get(sort, SORTS["last"]), "-pk")


def describe_issue(issue: TrackerIssue) -> dict[str, Any]:
    """An issue as scripts read it; null is what the tracker does not tell."""
    return {
        "id": issue.remote_id,
        "title": issue.title,
        "level": issue.level or None,
        "status": issue.status or None,
        "count_24h": issue.count_24h,
        "count_7d": issue.count_7d,
        "count_30d": issue.count_30d,
        "count_total": issue.count_total,
        "users": issue.users,
        "first_seen": issue.first_seen.isoformat() if issue.first_seen else None,
        "last_seen": issue.last_seen.isoformat() if issue.last_seen else None,
        "permalink": issue.permalink or None,
    }


def link_replay(issue: TrackerIssue) -> str:
    """Where the replay of the newest event can be watched; empty without one, and where there are no replays."""
    tracker, replay = issue.tracker, str(issue.detail.get("replay") or "")
    # The id comes from the application: only what is one may be part of an address.
    if tracker.provider != Tracker.Provider.SENTRY or not re.fullmatch(r"[0-9a-f]{32}", replay):
        return ""
    return f"{tracker.url}/organizations/{quote(tracker.organization, safe='')}/replays/{replay}/"


def read_trends(tracker: Tracker, now: datetime) -> list[Trend]:
    """24 hours by hour, 7 and 30 days by day, summed over all issues."""
    rows = list(TrackerIssue.objects.filter(tracker=tracker).values_list("hourly", "daily"))
    hourly, daily = [row[0] for row in rows], [row[1] for row in rows]
    hours = sum_buckets(hourly, now, 3600, 24)
    days = sum_buckets(daily, now, 86_400, 30)
    no_hours, no_days = any(one is None for one in hourly), any(one is None for one in daily)
    return [
        Trend("24 hours", hours, no_hours, "hour"),
        Trend("7 days", days[-7:], no_days, "day"),
        Trend("30 days", days, no_days, "day"),
    ]


def read_breakdowns(events: QuerySet[TrackerEvent], top: int = 5) -> list[tuple[str, list[tuple[str, int]]]]:
    """For each of BREAKDOWNS that is known, its most frequent values among the newest 2000 events."""
    tags = list(events.filter(is_read=True).order_by("-at").values_list("tags", flat=True)[:2000])
    found = []
    for title, names in BREAKDOWNS.items():
        counted = Counter(value for each in tags if (value := _first(each, names)))
        if counted:
            found.append((title, counted.most_common(top)))
    return found


def count_failed_sign_ins(tracker: Tracker, now: datetime) -> list[tuple[datetime, int]]:
    """Events with the tag auth-failure for each of the last 7 days that had one."""
    rows = (
        events_of(tracker)
        .filter(tags__has_key="auth-failure", at__gte=now - timedelta(days=7))
        .annotate(day=TruncDay("at"))
        .values("day")
        .annotate(events=Count("pk"))
        .order_by("day")
    )
    return [(row["day"], row["events"]) for row in rows]


def count_users(tracker: Tracker, now: datetime) -> tuple[int, int]:
    """Users with an event in the last 24 hours, and their events."""
    found = events_of(tracker).filter(at__gte=now - timedelta(days=1)).exclude(user="")
    counted = found.aggregate(users=Count("user", distinct=True), events=Count("pk"))
    return counted["users"], counted["events"]


def sum_buckets(series: Iterable[Any], now: datetime, seconds: int, length: int) -> tuple[int, ...]:
    """One sum a bucket, the one that holds ``now`` last; whatever bounds a provider has chosen."""
    last = int(now.timestamp()) // seconds
    sums = [0] * length
    for buckets in series:
        for at, count in buckets or []:
            place = length - 1 - (last - int(at) // seconds)
            if 0 <= place < length:
                sums[place] += count
    return tuple(sums)


def _first(tags: Any, names: tuple[str, ...]) -> str:
    return next((str(tags[name]) for name in names if tags.get(name)), "")
