"""Gathers what the dashboard and the environment's page show, in a fixed number of queries; knows no HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from backups.leases import read_lease_end
from backups.models import ACTIVE_STATES, Backup
from portal.gate import list_blind_spots
from portal.jobs import Pulse, read_pulses
from portal.models import AuditEvent
from portal.words import word_age, word_reason, word_span
from readiness.checklists.assessment import Assessment, assess
from readiness.checklists.assigned_template import read_templates, template_of
from readiness.checklists.facts import Facts, ProbeFact
from readiness.checklists.gate import KIND_TITLES, Reason, Verdict
from readiness.checklists.life import State
from readiness.models import Environment, ItemEvent, StatusChange
from readiness.trackers.facts import TrackerFacts

ACTIVITY_LENGTH = 20
TLS_WARN_DAYS = 21


@dataclass(frozen=True)
class Cell:
    """One fact in five seconds: a status, a word, how old it is, and the sentence behind it."""

    title: str
    status: str
    word: str
    at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True)
class Card:
    """One environment on the dashboard."""

    environment: Environment
    url: str
    verdict: Verdict
    blockers: tuple[Reason, ...]
    waiver_count: int
    done_count: int
    item_count: int
    cells: tuple[Cell, ...]
    beats: str
    running: str

    @property
    def is_go(self) -> bool:
        return self.verdict is Verdict.GO

    @property
    def blocker_count(self) -> int:
        return len(self.blockers)


@dataclass(frozen=True)
class Activity:
    """One line of what happened: when, who or what, and how it ended."""

    at: datetime
    text: str
    status: str
    environment_slug: str = ""
    environment_name: str = ""


@dataclass(frozen=True)
class Fleet:
    """Everything on the dashboard."""

    cards: tuple[Card, ...]
    ready_count: int
    conditional_count: int
    pulses: Mapping[str, Pulse]
    activity: tuple[Activity, ...]
    observed_at: datetime | None

    @property
    def headline(self) -> str:
        """The answer in one sentence."""
        total = len(self.cards)
        if not total:
            return "No environment yet"
        if self.conditional_count:
            return f"{self.ready_count} of {total} ready, {self.conditional_count} with conditions"
        if self.ready_count == total:
            return "The environment is ready" if total == 1 else f"All {total} environments are ready"
        noun = "environment is" if total == 1 else "environments is" if self.ready_count == 1 else "environments are"
        return f"{self.ready_count} of {total} {noun} ready"

    @property
    def silent_clusters(self) -> list[tuple[str, str]]:
        """Clusters of workers without a sign of life, each with how long, in words."""
        return describe_silence(self.pulses)


def describe_silence(pulses: Mapping[str, Pulse]) -> list[tuple[str, str]]:
    """(cluster, how long silent) for every cluster that is not alive."""
    return [
        (
            name,
            "has never been seen"
            if pulse.last_seen_seconds is None
            else f"silent for {word_span(timedelta(seconds=pulse.last_seen_seconds))}",
        )
        for name, pulse in pulses.items()
        if not pulse.alive
    ]


def load_fleet(now: datetime) -> Fleet:
    """All active environments, worst first, with pulses and recent activity."""
    environments = list(Environment.objects.active().select_related("owner"))
    pulses = read_pulses(now, read_lease_end())
    assessments = assess(environments, now, list_blind_spots(pulses))
    running = _running_work([environment.pk for environment in environments])
    cards = sorted(
        (_make_card(assessments[environment.pk], running.get(environment.pk, "")) for environment in environments),
        key=_urgency,
    )
    observed = [fact.observed_at for one in assessments.values() for fact in one.facts.probes.values()]
    return Fleet(
        cards=tuple(cards),
        ready_count=sum(card.is_go for card in cards),
        conditional_count=sum(card.verdict is Verdict.CONDITIONAL for card in cards),
        pulses=pulses,
        activity=tuple(load_activity()),
        observed_at=max((at for at in observed if at is not None), default=None),
    )


def probe_cell(fact: ProbeFact | None, kind: str) -> Cell:
    """One kind as the dashboard words it: certificate days, header grade, database health, reachability."""
    title = {"tls": "Certificate", "headers": "Headers", "postgres": "Database", "http": "Site"}.get(
        kind, KIND_TITLES.get(kind, kind)
    )
    if fact is None:
        return Cell(title, "idle", "not connected")
    if fact.status is None:
        return Cell(title, "idle", "no result yet")
    if fact.is_stale:
        return Cell(title, "stale", "out of date", fact.observed_at, fact.summary)
    return Cell(title, fact.status, _word_for(fact), fact.observed_at, fact.summary)


def backup_cell(facts: Facts) -> Cell:
    """How old the newest proven backup is, and whether that is good enough."""
    backups = facts.backups
    if facts.is_backup_proven:
        return Cell("Proven backup", "pass", word_age(backups.newest_proven_at, facts.now))
    if backups.newest_proven_at is not None:
        return Cell("Proven backup", "warn", word_age(backups.newest_proven_at, facts.now))
    if backups.last_error:
        return Cell("Proven backup", "fail", "failed", backups.last_failed_at, backups.last_error)
    if backups.newest_done_at is not None:
        return Cell("Proven backup", "warn", "not proven", backups.newest_done_at)
    return Cell("Proven backup", "fail", "none yet")


def error_cell(tracker: TrackerFacts | None) -> Cell:
    """How many errors users met in the last 24 hours. Unknown is not none."""
    title = "Errors, 24 h"
    if tracker is None:
        return Cell(title, "idle", "not connected")
    if tracker.synced_at is None:
        return Cell(title, "error" if tracker.error else "idle", "no data yet", detail=tracker.error)
    if tracker.is_stale:
        return Cell(title, "stale", "no data since", tracker.synced_at, tracker.error)
    if tracker.errors_24h is None:
        return Cell(title, "idle", "unknown", tracker.synced_at)
    if not tracker.errors_24h and tracker.drops_events:
        # None of those that arrived; what was dropped nobody knows.
        return Cell(title, "idle", "unknown, events are dropped", tracker.synced_at)
    status = "fail" if tracker.new_24h else "warn" if tracker.errors_24h else "pass"
    new = f", {tracker.new_24h} new" if tracker.new_24h else ""
    least = "at least " if tracker.drops_events else ""
    return Cell(title, status, f"{least}{tracker.errors_24h}{new}", tracker.synced_at)


def load_activity(environment: Environment | None = None, limit: int = ACTIVITY_LENGTH) -> list[Activity]:
    """The newest status changes, ticks, comments and audited actions, of one environment or of all."""
    changes = StatusChange.objects.select_related("environment").exclude(from_status="", to_status="pass")
    # What facts verified is on the checklist; that somebody was mentioned concerns them alone.
    events = ItemEvent.objects.select_related("environment").exclude(
        kind__in=[ItemEvent.Kind.VERIFY, ItemEvent.Kind.MENTION]
    )
    # What concerns people and keys is for the audit page, not for everyone who sees a dashboard.
    audits = AuditEvent.objects.exclude(environment_slug="")
    if environment is not None:
        changes, events = changes.filter(environment=environment), events.filter(environment=environment)
        audits = audits.filter(environment_slug=environment.slug)
    names = dict(Environment.objects.values_list("slug", "name"))
    shown = list(events[:limit])
    read_templates(event.environment for event in shown if event.environment is not None)
    found = [
        *(_change_activity(change) for change in changes[:limit]),
        *(
            Activity(
                event.at,
                f"{event.actor_name} {event.get_kind_display()} “{_title(event.environment, event.key)}”",
                "pass" if event.to_state == State.VERIFIED else "idle",
                event.environment_slug if event.environment is not None else "",
                event.environment_name,
            )
            for event in shown
        ),
        *(
            Activity(
                audit.at,
                f"{audit.actor_name} {audit.action} {audit.subject}".strip(),
                str(audit.detail.get("status", "idle")),
                audit.environment_slug if audit.environment_slug in names else "",
                names.get(audit.environment_slug, ""),
            )
            for audit in audits[:limit]
        ),
    ]
    return sorted(found, key=lambda one: one.at, reverse=True)[:limit]


def _title(environment: Environment | None, key: str) -> str:
    if environment is None:
        return key
    try:
        return template_of(environment).item(key).title.en
    except KeyError:
        return key


def _make_card(assessment: Assessment, running: str) -> Card:
    facts = assessment.facts
    cells = [probe_cell(facts.probes.get(kind), kind) for kind in settings.REQUIRED_PROBES]
    http = assessment.states.get("http")
    return Card(
        environment=assessment.environment,
        url=assessment.endpoints[0].url if assessment.endpoints else "",
        verdict=assessment.decision.verdict,
        blockers=assessment.decision.blockers,
        waiver_count=len(assessment.decision.waivers),
        done_count=assessment.done_count,
        item_count=len(assessment.standings),
        cells=(*cells, backup_cell(facts), error_cell(facts.tracker)),
        beats=http.beats if http is not None else "",
        running=running,
    )


def _urgency(card: Card) -> tuple[int, int, int, str]:
    """Sort key, worst first: NO-GO before CONDITIONAL before GO, and what fails before what is not connected yet."""
    failing = sum(cell.status == "fail" for cell in card.cells)
    return list(Verdict)[::-1].index(card.verdict), -failing, -card.blocker_count, card.environment.name


def _word_for(fact: ProbeFact) -> str:
    data = fact.data
    if fact.kind == "tls" and fact.status in {"pass", "warn"} and data.get("days_left") is not None:
        return f"{data['days_left']} d"
    if fact.kind == "headers" and data.get("grade"):
        return str(data["grade"])
    if fact.reason and fact.reason != "internal":
        return word_reason(fact.reason)
    return {"pass": "healthy", "warn": "warning", "fail": "failing", "error": "could not tell", "skipped": "skipped"}[
        fact.status or "error"
    ]


def _change_activity(change: StatusChange) -> Activity:
    title = KIND_TITLES.get(change.kind, change.kind)
    news = "good again" if change.to_status == "pass" else change.summary or change.to_status
    return Activity(change.at, f"{title}: {news}", change.to_status, change.environment.slug, change.environment.name)


def _running_work(environment_ids: Sequence[int]) -> dict[int, str]:
    """What each environment's newest unfinished backup is doing, in words."""
    running = Backup.objects.filter(environment_id__in=environment_ids, state__in=ACTIVE_STATES).values_list(
        "environment_id", "phase", "percent"
    )
    return {
        environment_id: f"Backup: {phase or 'queued'}" + (f", {percent} %" if percent is not None else "")
        for environment_id, phase, percent in running
        if environment_id is not None
    }
