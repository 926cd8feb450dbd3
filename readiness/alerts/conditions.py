"""What is true right now of environments, for rules that fire while something lasts; reads rows, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.db.models.fields.json import KT
from django.utils import timezone

from readiness.alerts.kinds import KINDS
from readiness.checklists.assessment import Assessment
from readiness.models import AlertRule, Tracker, TrackerEvent

RATE_MINUTES = 5
AUTH_FAILURE_MINUTES = 10
WAL_FINDINGS = ("replica_lag", "replication_slots", "archiver")


@dataclass(frozen=True)
class Condition:
    """Something that holds for one environment: what it is about, in one sentence of each language, and figures."""

    subject: str
    title: str
    title_de: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Situation:
    """All that conditions are judged by, of several environments, gathered once."""

    now: datetime
    assessments: Mapping[int, Assessment]
    trackers: Mapping[int, Tracker]
    auth_failures: Mapping[int, int]


# Trackers that do not filter events are stored whole.
_IN_CHOSEN_ENVIRONMENT = Q(issue__tracker__tracker_environment=KT("tags__environment"))
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
        .filter(Q(issue__tracker__tracker_environment="") | _IN_CHOSEN_ENVIRONMENT)
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
    words, german = f"{most} errors in one minute", f"{most} Fehler in einer Minute"
    return [Condition("error_rate", words, german, {"events_last_hour": hour})]


def _judge_auth_failures(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    if environment_id not in situation.trackers:
        return None
    count = situation.auth_failures.get(environment_id, 0)
    if count < max(1, threshold):
        return []
    noun = "sign-in has" if count == 1 else "sign-ins have"
    german = "Anmeldung ist" if count == 1 else "Anmeldungen sind"
    return [
        Condition(
            "auth_failure",
            f"{count} {noun} failed in {AUTH_FAILURE_MINUTES} minutes",
            f"{count} {german} in {AUTH_FAILURE_MINUTES} Minuten fehlgeschlagen",
        )
    ]


def _judge_certificate(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    fact = situation.assessments[environment_id].facts.probes.get("tls")
    days = fact.data.get("days_left") if fact is not None and not fact.is_stale else None
    if not isinstance(days, int):
        return None
    if days > threshold:
        return []
    return [Condition("certificate", f"The certificate ends in {days} days", f"Das Zertifikat endet in {days} Tagen")]


def _judge_backup_failure(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    backups = situation.assessments[environment_id].facts.backups
    if backups.last_failed_at is None:
        return []
    if backups.newest_done_at is not None and backups.newest_done_at > backups.last_failed_at:
        return []
    error = backups.last_error
    return [Condition("backup", f"A backup failed: {error}", f"Ein Backup ist fehlgeschlagen: {error}")]


def _judge_lateness(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    since = situation.assessments[environment_id].facts.backups.awaited_since
    if since is None or situation.now - since <= timedelta(minutes=threshold):
        return []
    at = f"{since:%Y-%m-%d %H:%M} UTC"
    words = f"The backup that was due at {at} is not done"
    return [Condition("backup_late", words, f"Das für {at} geplante Backup ist nicht fertig")]


def _judge_proof(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    assessment = situation.assessments[environment_id]
    if not assessment.databases or assessment.facts.is_backup_proven:
        return []
    german = "Kein aktuelles Backup ist durch eine Wiederherstellung belegt"
    return [Condition("proof", "No recent backup is proven by a restore", german)]


def _judge_wal(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    """Standbys, slots and the archiver, as the probe of the databases has judged them; one alert for each."""
    fact = situation.assessments[environment_id].facts.probes.get("postgres")
    if fact is None or fact.is_stale or fact.status in {None, "error", "skipped"}:
        return None
    worst: dict[str, str] = {}
    for finding in fact.findings:
        if finding.get("id") in WAL_FINDINGS and finding.get("status") == "fail":
            worst.setdefault(finding["id"], finding.get("summary", ""))
    return [Condition(f"wal:{key}", f"WAL: {text}", f"WAL: {text}") for key, text in worst.items()]


def _judge_silence(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    tracker = situation.trackers.get(environment_id)
    if tracker is None:
        return []
    known_at = tracker.synced_at or tracker.created_at
    if situation.now - known_at <= timedelta(minutes=threshold):
        return []
    at, error = f"{known_at:%Y-%m-%d %H:%M} UTC", tracker.error
    words, german = f"No data since {at}: {error or 'no answer'}", f"Keine Daten seit {at}: {error or 'keine Antwort'}"
    return [Condition("tracker", words, german)]


def _judge_drops(environment_id: int, threshold: int, situation: Situation) -> list[Condition] | None:
    tracker = situation.trackers.get(environment_id)
    if tracker is None or tracker.error:
        return None
    if tracker.quota.get("is_accepting") is False:
        words, german = "The tracker takes no more events", "Der Tracker nimmt keine Ereignisse mehr an"
        return [Condition("dropped", words, german)]
    dropped = tracker.quota.get("dropped_24h")
    if dropped is None:
        return None
    if dropped < max(1, threshold):
        return []
    words = f"The tracker has dropped {dropped} events in 24 hours"
    return [Condition("dropped", words, f"Der Tracker hat in 24 Stunden {dropped} Ereignisse verworfen")]


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
            f"Die Ausnahme für „{standing.item.title.de}“ endet am {waiver.expires_on:%Y-%m-%d}",
        )
        for standing, waiver in ending
    ]


JUDGES: Mapping[str, Judge] = {
    "error_rate": _judge_rate,
    "auth_failure": _judge_auth_failures,
    "certificate_days": _judge_certificate,
    "backup_failed": _judge_backup_failure,
    "backup_late": _judge_lateness,
    "backup_unproven": _judge_proof,
    "wal_lag": _judge_wal,
    "tracker_silent": _judge_silence,
    "events_dropped": _judge_drops,
    "waiver_ending": _judge_waivers,
}


def list_applicable(rules: Sequence[AlertRule], environment_id: int, kind: str | None = None) -> list[AlertRule]:
    """Those of ``rules`` that are about this environment, of one kind or of any."""
    return [
        rule for rule in rules if rule.environment_id in (None, environment_id) and (kind is None or rule.kind == kind)
    ]
