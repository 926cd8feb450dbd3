"""Keeps what trackers say in PostgreSQL; sole writer of issues, events and facts. What is known stays when it fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import CharField, F, Q
from django.utils import timezone
from django.utils.module_loading import import_string

from portal.secrets import SecretError
from readiness.models import Tracker, TrackerEvent, TrackerIssue, TrackerProject
from readiness.trackers import counts
from readiness.trackers.base import (
    Adapter,
    IssueFound,
    ProjectFound,
    TrackerError,
    TrackerErrorReason,
    Usage,
    fill_windows,
)
from readiness.trackers.client import ApiClient
from readiness.trackers.events import describe_event, is_own

# As long as a task may take, so that a worker that died blocks its tracker for one round only.
CLAIM_SECONDS = 115
EVENTS_KEPT_DAYS = 90
ISSUES_READ_EACH_TIME = 60
# Windows that a pass over the newest issues cannot tell for every provider.
_SLOW_FIELDS = ["count_7d", "count_30d", "daily"]
_FIELDS = [
    *("short_id", "title", "culprit", "level", "status", "count_24h", "count_7d", "count_30d", "count_total", "users"),
    *("first_seen", "last_seen", "permalink", "hourly", "daily"),
]
_TEXTS = ("remote_id", "short_id", "title", "culprit", "level", "status", "permalink")
_KEPT_WITH_WARNING = {TrackerErrorReason.BROWN_OUT, TrackerErrorReason.SCOPE_MISSING, TrackerErrorReason.NOT_FOUND}


@dataclass(frozen=True)
class Synced:
    """How one sync ended: ``error`` is empty when it succeeded."""

    issues: int = 0
    error: str = ""
    warning: str = ""


def make_adapter(
    tracker: Tracker,
    *,
    budget: int = 400,
    total_seconds: float = 90,
    sleep: Callable[[float], None] = time.sleep,
) -> Adapter:
    """The client of ``tracker``. Raises TrackerError or SecretError."""
    client = ApiClient(
        tracker.url,
        tracker.read_token(),
        allow_http=tracker.allow_http,
        allow_loopback=tracker.allow_loopback,
        ca_pem=tracker.environment.ca_bundle,
        sleep=sleep,
        total_seconds=total_seconds,
    )
    adapter: Adapter = import_string(settings.READINESS_TRACKERS[tracker.provider])(
        client, tracker.organization, tracker.tracker_environment, budget
    )
    return adapter


def claim(tracker_id: int, now: datetime, seconds: int = CLAIM_SECONDS) -> bool:
    """Whether the caller may sync: one at a time, by one conditional UPDATE."""
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lt=now)
    return (
        Tracker.objects.filter(free, pk=tracker_id, environment__retired_at__isnull=True).update(
            claimed_until=now + timedelta(seconds=seconds)
        )
        == 1
    )


def sync_tracker(
    tracker: Tracker,
    now: datetime,
    *,
    is_quick: bool = False,
    adapter: Adapter | None = None,
    issues_read: int | None = ISSUES_READ_EACH_TIME,
) -> Synced:
    """Reads the tracker and stores what it says; bad news is stored beside the old data and returned.

    The events of at most ``issues_read`` issues are read, those seen last first; of the others the next time.
    """
    warnings: list[str] = []
    try:
        adapter = adapter or make_adapter(tracker)
        projects = _find_projects(tracker, adapter)
        found, listed_ids = 0, set[int]()
        for row, project in projects:
            listed = adapter.list_recent_issues(project, now) if is_quick else adapter.list_issues(project, now)
            found += len(listed)
            listed_ids |= _store_issues(row, listed, now, is_quick=is_quick)
        _read_events(tracker, adapter, listed_ids, issues_read, warnings)
        minutes = adapter.count_minutes([project for _, project in projects])
        usage: dict[str, Any] = {}
        if not is_quick:
            _store_facts(adapter, projects, now, warnings)
            usage = _as_fields(adapter.read_usage([project for _, project in projects]))
    except (TrackerError, SecretError) as error:
        Tracker.objects.filter(pk=tracker.pk).update(failed_at=now, error=str(error)[:300], claimed_until=None)
        return Synced(error=str(error))
    counts.count_events(tracker, now)
    _store_newest_events(tracker)
    # ``synced_at`` is the moment up to which everything is known; a quick pass knows only what is new.
    done = {"quick_synced_at": now} if is_quick else {"synced_at": now, "quick_synced_at": now}
    Tracker.objects.filter(pk=tracker.pk).update(
        **done,
        **counts.sum_up(tracker, now),
        **usage,
        minutes=counts.count_minutes(tracker, now) if minutes is None else [list(one) for one in minutes],
        failed_at=None,
        error="",
        claimed_until=None,
        **({} if is_quick else {"warning": " ".join(dict.fromkeys(warnings))[:300]}),
    )
    return Synced(found, warning=" ".join(warnings))


def prune_events(now: datetime) -> int:
    """Deletes events past EVENTS_KEPT_DAYS; returns how many."""
    return TrackerEvent.objects.filter(at__lt=now - timedelta(days=EVENTS_KEPT_DAYS)).delete()[0]


def _find_projects(tracker: Tracker, adapter: Adapter) -> list[tuple[TrackerProject, ProjectFound]]:
    found = []
    for row in tracker.projects.all():
        project = adapter.find_project(row.name)
        if row.remote_id != project.remote_id:
            TrackerProject.objects.filter(pk=row.pk).update(remote_id=project.remote_id)
        found.append((row, project))
    return found


def _store_issues(row: TrackerProject, listed: Iterable[IssueFound], now: datetime, *, is_quick: bool) -> set[int]:
    """Returns the keys of the rows that were written."""
    # A tracker that changes while its pages are read may tell an issue twice.
    found = {one.remote_id: one for one in listed}
    rows = [
        TrackerIssue(
            tracker_id=row.tracker_id,
            project=row,
            remote_id=one.remote_id,
            **{name: getattr(one, name) for name in _FIELDS if not name.startswith("count_")},
            **fill_windows(one, now),
            count_total=one.count_total,
        )
        for one in found.values()
    ]
    for one in rows:
        _cut_texts(one)
    is_bugsink = row.tracker.provider == Tracker.Provider.BUGSINK
    # Bugsink's counts and levels come from its events, a little later.
    left = {"level", "users", "hourly", "count_24h", *_SLOW_FIELDS} if is_bugsink else set()
    left |= set(_SLOW_FIELDS) if is_quick else set()
    with transaction.atomic():
        if not is_quick:
            TrackerIssue.objects.filter(project=row).exclude(remote_id__in=list(found)).delete()
        TrackerIssue.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["project", "remote_id"],
            update_fields=[name for name in _FIELDS if name not in left],
        )
    return {one.pk for one in rows}


def _cut_texts(issue: TrackerIssue) -> None:
    """Shortens what a tracker told to what its column holds."""
    for name in _TEXTS:
        column = TrackerIssue._meta.get_field(name)
        assert isinstance(column, CharField)  # noqa: S101  narrows the type
        setattr(issue, name, getattr(issue, name)[: column.max_length])


def _read_events(
    tracker: Tracker, adapter: Adapter, listed_ids: set[int], most: int | None, warnings: list[str]
) -> None:
    """Reads events and the newest event's contents of issues that have more than when they were read last.

    Only of the issues that were listed just now is it known how many events they have.
    """
    grown = TrackerIssue.objects.filter(tracker=tracker).filter(
        Q(read_count__isnull=True) | (~Q(read_count=F("count_total")) & Q(pk__in=listed_ids))
    )
    is_bugsink = tracker.provider == Tracker.Provider.BUGSINK
    for issue in grown.order_by(F("last_seen").desc(nulls_last=True))[:most]:
        found = IssueFound(issue.remote_id, issue.title, count_total=issue.count_total)
        known = frozenset(issue.events.filter(is_read=True).values_list("remote_id", flat=True))
        try:
            events = adapter.list_events(found, known)
            detail = describe_event(adapter.read_latest_event(found))
        except TrackerError as error:
            warnings.append(str(error))
            if error.reason is TrackerErrorReason.NOT_FOUND:
                continue  # the issue went away while we looked at it
            return
        fresh = [one for one in events if one.remote_id not in known]
        TrackerEvent.objects.bulk_create(
            [
                TrackerEvent(
                    issue=issue,
                    remote_id=one.remote_id,
                    at=one.at,
                    is_read=one.is_read,
                    user=one.user,
                    tags=dict(one.tags),
                )
                for one in {each.remote_id: each for each in fresh}.values()
            ],
            update_conflicts=True,
            unique_fields=["issue", "remote_id"],
            update_fields=["is_read", "user", "tags"],
        )
        is_done = all(one.is_read or one.remote_id in known for one in events)
        TrackerIssue.objects.filter(pk=issue.pk).update(
            detail=detail,
            # Bugsink tells a level in events only, and of several the newest counts, as elsewhere.
            level=(detail["level"] or issue.level) if is_bugsink else (issue.level or detail["level"]),
            read_count=issue.count_total if is_done else None,
        )


def _store_facts(
    adapter: Adapter, projects: Iterable[tuple[TrackerProject, ProjectFound]], now: datetime, warnings: list[str]
) -> None:
    for row, project in projects:
        try:
            facts = adapter.read_facts(project)
        except TrackerError as error:
            if error.reason not in _KEPT_WITH_WARNING:
                raise
            warnings.append(str(error))
            continue
        changed: dict[str, Any] = {"is_scrubbed": facts.is_scrubbed, "has_replay": facts.has_replay, "facts_at": now}
        if facts.warning:
            warnings.append(facts.warning)  # the old rules stay: we could not look
        else:
            changed["rules"] = dict(facts.rules)
        TrackerProject.objects.filter(pk=row.pk).update(**changed)


def _as_fields(usage: Usage) -> dict[str, Any]:
    told = {name: getattr(usage, name) for name in ("accepted_30d", "dropped_24h", "dropped_30d", "is_accepting")}
    return {
        "quota": {name: value for name, value in told.items() if value is not None},
        "users_24h": usage.users_24h,
        "mean_duration_ms": usage.mean_duration_ms,
    }


def _store_newest_events(tracker: Tracker) -> None:
    """The application's own newest event of each project; one that the portal posted proves nothing about its SDK."""
    for row in tracker.projects.all():
        details = TrackerIssue.objects.filter(project=row).exclude(detail={}).values_list("detail", flat=True)
        newest = next((one for one in details[:50] if is_own(one)), None)
        if newest is not None:
            kept = {name: newest.get(name) for name in ("at", "sdk", "environment", "release")}
            TrackerProject.objects.filter(pk=row.pk).update(newest_event=kept)


def is_stale(tracker: Tracker, now: datetime | None = None) -> bool:
    """Whether what is shown is older than twice the time between two full syncs."""
    limit = timedelta(seconds=2 * settings.TRACKER_SYNC_SECONDS)
    return tracker.synced_at is None or (now or timezone.now()) - tracker.synced_at > limit
