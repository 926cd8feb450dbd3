"""What is true right now of environments, for rules that fire while something lasts; reads rows, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count
from django.utils import timezone

from readiness.alerts.kinds import KINDS
from readiness.checklists.assessment import Assessment
from readiness.models import AlertRule, Tracker, TrackerEvent

RATE_MINUTES = 5
AUTH_FAILURE_MINUTES = 10


@dataclass(frozen=True)
class Condition:
    """Something that holds for one environment: what it is about, in one sentence, and figures for the message."""

    subject: str
    title: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Situation:
    """All that conditions are judged by, of several environments, gathered once."""

    now: datetime
    assessments: Mapping[int, Assessment]
    trackers: Mapping[int, Tracker]
    auth_failures: Mapping[int, int]


Judge = Callable[[int, int, Situation], list[Condition] | None]


def gather(assessments: Mapping[int, Assessment], now: datetime) -> Situation:
    """The situation of the assessed environments, in two queries more."""
    ids = list(assessments)
    failures = (
        TrackerEvent.objects.filter(
            issue__tracker__environment_id__in=ids,
            tags__has_key="auth-failure",
            at__gte=now - timedelta(minutes=AUTH_FAILURE_MINUTES),
        )
        .order_by()
        .values_list("issue__tracker__environment")
        .annotate(Count("pk"))
    )
    trackers = {
        tracker.environment_id: tracker for tracker in Tracker.objects.filter(environment_id__in=ids).defer("token")
    }
    return Situation(now, assessments, trackers, dict(failures))


def judge_conditions(rule: AlertRule, environment_id: int, situation: Situation) -> list[Condition] | None:
    """What holds now; None when nobody can tell, and then nothing is opened or resolved."""
    judge = JUDGES[rule.kind]
    threshold = rule.threshold if rule.threshold is not None else KINDS[rule.kind].threshold or 0
    return judge(environment_id, threshold, situation)


def _judge_rate(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    tracker = situation.trackers.get(environment_id)
    if tracker is None or tracker.minutes is None or tracker.error:
        return None
    since = (situation.now - timedelta(minutes=RATE_MINUTES)).timestamp()
    most = max((count for at, count in tracker.minutes if at >= since), default=0)
    if most < threshold:
        return []
    hour = sum(count for _, count in tracker.minutes)
    return [Condition("error_rate", f"{most} errors in one minute", {"events_last_hour": hour})]


def _judge_auth_failures(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    if environment_id not in situation.trackers:
        return None
    count = situation.auth_failures.get(environment_id, 0)
    if count < max(1, threshold):
        return []
    noun = "sign-in has" if count == 1 else "sign-ins have"
    return [Condition("auth_failure", f"{count} {noun} failed in {AUTH_FAILURE_MINUTES} minutes")]


def _judge_certificate(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    fact = situation.assessments[environment_id].facts.probes.get("tls")
    days = fact.data.get("days_left") if fact is not None and not fact.is_stale else None
    if not isinstance(days, int):
        return None
    return [Condition("certificate", f"The certificate ends in {days} days")] if days <= threshold else []


def _judge_backup_failure(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    backups = situation.assessments[environment_id].facts.backups
    if backups.last_failed_at is None:
        return []
    if backups.newest_done_at is not None and backups.newest_done_at > backups.last_failed_at:
        return []
    return [Condition("backup", f"A backup failed: {backups.last_error}")]


def _judge_proof(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    assessment = situation.assessments[environment_id]
    if not assessment.databases or assessment.facts.is_backup_proven:
        return []
    return [Condition("proof", "No recent backup is proven by a restore")]


def _judge_silence(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    tracker = situation.trackers.get(environment_id)
    if tracker is None:
        return []
    known_at = tracker.synced_at or tracker.created_at
    if situation.now - known_at <= timedelta(minutes=threshold):
        return []
    return [Condition("tracker", f"No data since {known_at:%Y-%m-%d %H:%M} UTC: {tracker.error or 'no answer'}")]


def _judge_waivers(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    assessment = situation.assessments[environment_id]
    today = timezone.localdate(situation.now)
    ending = [
        (standing, standing.waiver)
        for standing in assessment.standings
        if standing.waiver is not None and (standing.waiver.expires_on - today).days <= threshold
    ]
    return [
        Condition(
            f"waiver:{waiver.key}"[:100],
            f"The waiver of “{standing.item.title.en}” ends on {waiver.expires_on:%Y-%m-%d}",
        )
        for standing, waiver in ending
    ]


JUDGES: Mapping[str, Judge] = {
    "error_rate": _judge_rate,
    "auth_failure": _judge_auth_failures,
    "certificate_days": _judge_certificate,
    "backup_failed": _judge_backup_failure,
    "backup_unproven": _judge_proof,
    "tracker_silent": _judge_silence,
    "waiver_ending": _judge_waivers,
}


def list_applicable(rules: Sequence[AlertRule], environment_id: int, kind: str | None = None) -> list[AlertRule]:
    """Those of ``rules`` that are about this environment, of one kind or of any."""
    return [
        rule for rule in rules if rule.environment_id in (None, environment_id) and (kind is None or rule.kind == kind)
    ]
