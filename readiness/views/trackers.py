"""The errors of one environment as its tracker told them, and the tracker's settings; pages never call out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_q.tasks import async_task

from portal import audit
from readiness.models import Environment, Tracker, TrackerIssue, TrackerProject
from readiness.tracker_forms import TrackerForm
from readiness.trackers import listing
from readiness.trackers.counts import events_of
from readiness.trackers.facts import drops_events
from readiness.trackers.setup import test_tracker
from readiness.trackers.sync import is_stale

PAGE_LENGTH = 50
may_see = permission_required("readiness.view_trackerissue", raise_exception=True)
may_change = permission_required("readiness.change_environment", raise_exception=True)


@may_see
@require_safe
def show_errors(request: HttpRequest, slug: str) -> HttpResponse:
    """Issues with search and filter, trends, and what the events have in common."""
    environment = get_object_or_404(Environment, slug=slug)
    tracker = Tracker.objects.filter(environment=environment).defer("token").first()
    context: dict[str, Any] = {"environment": environment, "tracker": tracker, "tab": "errors"}
    if tracker is not None:
        now = timezone.now()
        asked = {
            name: request.GET.get(name, "").replace("\x00", "")[:100] for name in ("text", "level", "status", "sort")
        }
        deploy = listing.find_last_deploy(tracker)
        wants_new = deploy is not None and request.GET.get("since") == "deploy"
        issues = listing.list_issues(tracker, **asked, first_seen_since=deploy.at if deploy and wants_new else None)
        everything = TrackerIssue.objects.filter(tracker=tracker)
        users, user_events = listing.count_users(tracker, now)
        context |= {
            "asked": {**asked, "since": "deploy" if wants_new else ""},
            "deploy": deploy,
            "new_since_deploy": listing.count_new_since(tracker, deploy.at) if deploy else None,
            "page_of_issues": Paginator(issues, PAGE_LENGTH).get_page(request.GET.get("page")),
            "levels": _distinct(everything.values_list("level", flat=True)),
            "statuses": _distinct(everything.values_list("status", flat=True)),
            "trends": listing.read_trends(tracker, now),
            "minutes": _fill_minutes(tracker, now.timestamp()),
            "breakdowns": listing.read_breakdowns(events_of(tracker)),
            "sign_ins": listing.count_failed_sign_ins(tracker, now),
            "users": users,
            "events_per_user": user_events / users if users else None,
            "share_of_users": users / tracker.users_24h if tracker.users_24h and users <= tracker.users_24h else None,
            "drops_events": drops_events(tracker),
            "quota_share": _share_of_quota(tracker),
            "is_stale": is_stale(tracker, now),
        }
    template = "readiness/_errors.html" if request.headers.get("HX-Request") else "readiness/errors.html"
    return render(request, template, context)


@may_see
@require_safe
def show_issue(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One issue: counts, stack trace, breadcrumbs, request, tags."""
    issue = get_object_or_404(
        TrackerIssue.objects.select_related("tracker__environment", "project").defer("tracker__token"),
        pk=pk,
        tracker__environment__slug=slug,
    )
    context = {
        "environment": issue.tracker.environment,
        "tracker": issue.tracker,
        "issue": issue,
        "detail": issue.detail,
        "replay_link": listing.link_replay(issue),
        "breakdowns": listing.read_breakdowns(issue.events.all()),
        "is_stale": is_stale(issue.tracker),
        "tab": "errors",
    }
    return render(request, "readiness/issue.html", context)


@may_change
@require_http_methods(["GET", "POST"])
def change_tracker(request: HttpRequest, slug: str) -> HttpResponse:
    """Connects a tracker or changes it; "test" tries what was typed and stores nothing."""
    environment = get_object_or_404(Environment, slug=slug)
    tracker = Tracker.objects.filter(environment=environment).first() or Tracker(environment=environment)
    form = TrackerForm(request.POST or None, instance=tracker)
    context = {"environment": environment, "form": form, "tracker": tracker, "tab": "errors"}
    if request.method == "POST" and form.is_valid():
        typed: Tracker = form.save(commit=False)
        typed.allow_loopback = typed.allow_http and settings.PROBE_ALLOW_LOOPBACK
        projects = form.list_projects()
        if request.POST.get("action") == "test":
            context["tested"] = tested = test_tracker(typed, [name for _, name in projects])
            form.offer(tested.organizations, tested.projects)
            return render(request, "readiness/tracker.html", context)
        if projects:
            _save(typed, projects)
            audit.record(
                "connected the error tracker",
                actor=request.user,
                environment=environment,
                subject=f"{typed.get_provider_display()} at {typed.url}",
            )
            async_task("readiness.tasks.sync_trackers", cluster="default", group="trackers")
            messages.success(request, "The tracker is connected and being read now.")
            return redirect("environment_errors", slug)
        form.add_error("backend", "Name at least one project; “Test” lists those there are.")
    return render(request, "readiness/tracker.html", context, status=400 if form.errors else 200)


@may_change
@require_POST
def send_test_event(request: HttpRequest, slug: str) -> HttpResponse:
    """Has a test event sent to each project's DSN; pages never call out."""
    environment = get_object_or_404(Environment, slug=slug)
    projects = TrackerProject.objects.filter(tracker__environment=environment)
    for pk in projects.values_list("pk", flat=True):
        async_task("readiness.tasks.send_test_event", pk, cluster="default", group="trackers")
    audit.record("sent test events to the tracker", actor=request.user, environment=environment, subject=slug)
    messages.success(request, "Test events are on their way; how that went stands here within a minute.")
    return redirect("change_tracker", slug)


@may_change
@require_POST
def remove_tracker(request: HttpRequest, slug: str) -> HttpResponse:
    """Forgets the tracker and all that was read from it."""
    tracker = get_object_or_404(Tracker.objects.select_related("environment"), environment__slug=slug)
    tracker.delete()
    audit.record("removed the error tracker", actor=request.user, environment=tracker.environment, subject=tracker.url)
    messages.success(request, "The tracker is forgotten.")
    return redirect("environment_errors", slug)


def _save(tracker: Tracker, projects: list[tuple[str, str]]) -> None:
    with transaction.atomic():
        tracker.synced_at = None
        tracker.failed_at = None
        tracker.save()
        TrackerProject.objects.filter(tracker=tracker).exclude(name__in=[name for _, name in projects]).delete()
        for role, name in projects:
            TrackerProject.objects.update_or_create(tracker=tracker, name=name, defaults={"role": role})


def _share_of_quota(tracker: Tracker) -> float | None:
    """How much of the month's events is used; None when quota or use is unknown."""
    accepted = tracker.quota.get("accepted_30d")
    return accepted / tracker.monthly_quota if tracker.monthly_quota and accepted is not None else None


def _distinct(values: Iterable[str]) -> list[str]:
    return sorted({value for value in values if value})


def _fill_minutes(tracker: Tracker, now: float) -> list[int] | None:
    """Events of each of the last 60 minutes, the newest last."""
    if tracker.minutes is None:
        return None
    counts = [0] * 60
    for at, count in tracker.minutes:
        place = 59 - (int(now) // 60 - int(at) // 60)
        if 0 <= place < 60:
            counts[place] += count
    return counts
