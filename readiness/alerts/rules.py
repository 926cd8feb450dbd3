"""Turns what changed into alerts: claims status changes and issues once, and compares conditions with what is open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Q

from readiness.alerts.conditions import JUDGES, gather, judge_conditions, list_applicable
from readiness.alerts.gates import evaluate_gates
from readiness.alerts.incidents import Silences, load_silences, open_alert, resolve_alert
from readiness.alerts.messages import link_to
from readiness.checklists.assessment import assess
from readiness.checklists.gate import KIND_TITLES
from readiness.models import Alert, AlertRule, Environment, StatusChange, TrackerIssue
from readiness.trackers.events import is_own

BATCH = 500
# A change that nobody looked at for so long is history, not news.
NEWS_HOURS = 6
_BAD = {"fail", "error"}
_ISSUE_KINDS = ("new_issue", "database")
_LEVELS = {"error", "fatal"}


def evaluate_changes(now: datetime, limit: int = BATCH) -> int:
    """Claims up to ``limit`` status changes, oldest first, each with what follows from it in one transaction."""
    rules, silences = _load_rules("probe_down"), load_silences(now)
    waiting = StatusChange.objects.filter(alerted_at__isnull=True).select_related("environment").order_by("pk")[:limit]
    claimed = 0
    for change in waiting:
        with transaction.atomic():
            if StatusChange.objects.filter(pk=change.pk, alerted_at__isnull=True).update(alerted_at=now) != 1:
                continue
            claimed += 1
            if now - change.at <= timedelta(hours=NEWS_HOURS) and change.environment.retired_at is None:
                for rule in list_applicable(rules, change.environment_id):
                    if change.at >= rule.created_at:
                        _apply_change(rule, change, silences, now)
    return claimed


def evaluate_issues(now: datetime, limit: int = BATCH) -> int:
    """Claims issues that are new here; those that were older than the rule or the tracker's connection tell nobody."""
    rules = _load_rules(*_ISSUE_KINDS)
    waiting = (
        TrackerIssue.objects.filter(alerted_at__isnull=True)
        # Without a level nobody can tell yet whether it is an error.
        .exclude(level="", read_count__isnull=True)
        # Only other environments of the tracker have it; it is news when the chosen one has it too.
        .exclude(count_total=0)
        .order_by("pk")
        .values_list("pk", flat=True)[:limit]
    )
    claimed = 0
    for pk in list(waiting):
        with transaction.atomic():
            if TrackerIssue.objects.filter(pk=pk, alerted_at__isnull=True).update(alerted_at=now) != 1:
                continue
            claimed += 1
            issue = TrackerIssue.objects.select_related("tracker__environment", "project").get(pk=pk)
            for rule in list_applicable(rules, issue.tracker.environment_id):
                _apply_issue(rule, issue, now)
    return claimed


def evaluate_conditions(now: datetime) -> int:
    """Opens what began to hold and resolves what no longer does; returns how many rules it judged."""
    rules = _load_rules("gate_fell", *JUDGES)
    environments = list(Environment.objects.active())
    if not rules or not environments:
        return 0
    assessments = assess(environments, now)
    situation, silences = gather(assessments, now), load_silences(now)
    open_subjects = _list_open(rules)
    judged = 0
    for environment in environments:
        for rule in list_applicable(rules, environment.pk):
            if rule.kind == "gate_fell":
                continue
            conditions = judge_conditions(rule, environment.pk, situation)
            if conditions is None:
                continue
            judged += 1
            for condition in conditions:
                facts = {"title_de": condition.title_de, "link": link_to("environment", environment.slug)}
                facts |= condition.facts
                open_alert(rule, environment, condition.subject, condition.title, now, facts, silences=silences)
            for subject in open_subjects.get((rule.pk, environment.pk), set()) - {one.subject for one in conditions}:
                resolve_alert(rule, environment, subject, now, silences=silences)
    evaluate_gates([rule for rule in rules if rule.kind == "gate_fell"], assessments, now)
    return judged


def resolve_issues(now: datetime) -> int:
    """Resolves alerts about issues that the tracker calls resolved or no longer has."""
    alerts = Alert.objects.filter(
        rule__kind__in=_ISSUE_KINDS, resolved_at__isnull=True, subject__startswith="issue:"
    ).select_related("rule", "environment")
    still = {
        f"issue:{pk}" for pk in TrackerIssue.objects.exclude(status__startswith="resolved").values_list("pk", flat=True)
    }
    gone = [alert for alert in alerts if alert.subject not in still]
    return sum(
        resolve_alert(alert.rule, alert.environment, alert.subject, now)
        for alert in gone
        if alert.environment is not None
    )


def _apply_change(rule: AlertRule, change: StatusChange, silences: Silences, now: datetime) -> None:
    subject = f"probe:{change.kind}"
    title = KIND_TITLES.get(change.kind, change.kind)
    if change.to_status in _BAD:
        said = change.summary or change.to_status
        facts = {
            "title_de": f"{title} schlägt an: {said}",
            "link": link_to("environment_probes", change.environment.slug),
            "first_seen": change.at.isoformat(),
        }
        open_alert(
            rule,
            change.environment,
            subject,
            f"{title}: {said}",
            now,
            facts,
            silences=silences,
            in_maintenance=change.in_maintenance,
        )
    elif change.to_status in {"pass", "warn"}:
        resolve_alert(rule, change.environment, subject, now, silences=silences)


def _apply_issue(rule: AlertRule, issue: TrackerIssue, now: datetime) -> None:
    seen = issue.first_seen or issue.found_at
    if seen < max(rule.created_at, issue.tracker.created_at) or issue.status.startswith(("resolved", "ignored")):
        return
    if rule.kind == "new_issue" and issue.level not in _LEVELS:
        return
    if rule.kind == "database" and "database" not in f"{issue.title} {issue.culprit}".lower():
        return
    events = issue.events.filter(at__gte=now - timedelta(hours=1)).aggregate(count=Count("pk"))
    names = issue.events.exclude(tags__browser=None).order_by().values_list("tags__browser", flat=True).distinct()[:5]
    facts = {
        "project": issue.project.name,
        "first_seen": seen.isoformat(),
        "users": issue.users,
        "events_last_hour": events["count"],
        "browsers": [str(name) for name in names],
        # An event that the portal sent to test a DSN proves nothing about the application.
        "is_application": is_own(issue.detail),
        "link": link_to("tracker_issue", issue.tracker.environment.slug, issue.pk),
    }
    open_alert(rule, issue.tracker.environment, f"issue:{issue.pk}", issue.title, now, facts)


def _load_rules(*kinds: str) -> list[AlertRule]:
    rules = AlertRule.objects.filter(is_enabled=True, removed_at__isnull=True, kind__in=kinds)
    return list(rules.select_related("rota").prefetch_related("channels"))


def _list_open(rules: Sequence[AlertRule]) -> dict[tuple[int, int | None], set[str]]:
    found: dict[tuple[int, int | None], set[str]] = {}
    rows = Alert.objects.filter(Q(rule__in=rules), resolved_at__isnull=True)
    for rule_id, environment_id, subject in rows.values_list("rule_id", "environment_id", "subject"):
        found.setdefault((rule_id, environment_id), set()).add(subject)
    return found
