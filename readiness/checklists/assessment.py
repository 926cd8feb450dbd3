"""Everything known about environments, and the verdict that follows; reads their rows in a fixed number of queries."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection
from django.db.models import Max, QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string

from readiness.checklists.assigned_template import template_of
from readiness.checklists.facts import BackupFacts, EndpointFact, Facts, PostedValue, ProbeFact
from readiness.checklists.gate import Decision, decide
from readiness.checklists.life import State
from readiness.checklists.probe_rules import GREEN_RUNS
from readiness.checklists.template_values import Section, Template
from readiness.checklists.verification import Claim, ItemStanding, WaiverFact, stand
from readiness.claims import configured_kinds, default_interval_seconds
from readiness.models import (
    Alert,
    Database,
    Endpoint,
    Environment,
    ItemState,
    Notification,
    PostedFact,
    ProbeSchedule,
    ProbeState,
    Waiver,
)
from readiness.probes.schedule import is_stale
from readiness.trackers.facts import TrackerFacts, read_tracker_facts

Row = TypeVar("Row", Endpoint, Database, ProbeState, ItemState, Waiver, PostedFact)
_RUNS_SQL = Path(__file__).parents[1] / "sql" / "scenario_runs.sql"
BackupFactsReader = Callable[[Sequence[int]], Mapping[int, BackupFacts]]


@dataclass(frozen=True)
class Assessment:
    """One environment at one moment: the facts, where each item stands, and the verdict."""

    environment: Environment
    template: Template
    facts: Facts
    standings: tuple[ItemStanding, ...]
    decision: Decision
    states: Mapping[str, ProbeState]
    endpoints: tuple[Endpoint, ...]
    databases: tuple[Database, ...]

    @property
    def done_count(self) -> int:
        return sum(standing.is_done for standing in self.standings)

    def by_section(self) -> list[tuple[Section, list[ItemStanding]]]:
        """The template's sections in order, each with where its items stand."""
        return [
            (section, [standing for standing in self.standings if standing.item.section == section.key])
            for section in self.template.sections
        ]


@dataclass(frozen=True)
class OtherFacts:
    """What is known of one environment beside its probes."""

    backups: BackupFacts
    scenario_runs: tuple[Mapping[str, Any], ...]
    posted: Mapping[str, PostedValue]
    tracker: TrackerFacts | None
    alert_acknowledged_at: datetime | None


def assess(
    environments: Sequence[Environment], now: datetime, blind_spots: Sequence[str] = ()
) -> dict[int, Assessment]:
    """Assesses ``environments``, keyed by id; eleven queries, however many there are.

    ``blind_spots`` are sentences about what makes all evidence worthless, such as workers that are silent.
    """
    ids = [environment.pk for environment in environments]
    endpoints = _group(Endpoint.objects.filter(environment_id__in=ids))
    # The connection itself is not read: pages neither need nor decrypt it.
    databases = _group(Database.objects.filter(environment_id__in=ids).defer("dsn"))
    states = _group(ProbeState.objects.filter(environment_id__in=ids))
    # What nobody has touched yet says nothing.
    touched = ItemState.objects.filter(environment_id__in=ids).exclude(version=0, state=State.TODO)
    claims = _group(touched.select_related("changed_by", "owner"))
    waivers = _group(Waiver.objects.filter(environment_id__in=ids, state=Waiver.State.APPROVED))
    posted = _group(PostedFact.objects.filter(environment_id__in=ids))
    trackers = read_tracker_facts(ids, now)
    acknowledged = _read_acknowledged(ids)
    intervals = {
        (environment_id, kind): seconds
        for environment_id, kind, seconds in ProbeSchedule.objects.filter(environment_id__in=ids).values_list(
            "environment_id", "kind", "interval_seconds"
        )
    }
    backups = read_backup_facts(ids)
    scenario_runs = _read_scenario_runs([pk for pk in ids if (pk, "scenario") in intervals])
    return {
        environment.pk: _assess_one(
            environment,
            now,
            endpoints[environment.pk],
            databases[environment.pk],
            {state.kind: state for state in states[environment.pk]},
            {claim.key: claim for claim in claims[environment.pk]},
            {waiver.key: waiver for waiver in waivers[environment.pk]},
            intervals,
            OtherFacts(
                backups=backups.get(environment.pk, BackupFacts()),
                scenario_runs=tuple(scenario_runs[environment.pk]),
                posted=_as_posted(posted[environment.pk]),
                tracker=trackers.get(environment.pk),
                alert_acknowledged_at=acknowledged.get(environment.pk),
            ),
            blind_spots,
        )
        for environment in environments
    }


def read_backup_facts(environment_ids: Sequence[int]) -> Mapping[int, BackupFacts]:
    """What READINESS_BACKUP_FACTS reports: readiness judges backups without knowing who takes them."""
    reader: BackupFactsReader = import_string(settings.READINESS_BACKUP_FACTS)
    return reader(environment_ids)


def _read_acknowledged(environment_ids: Sequence[int]) -> dict[int, datetime]:
    """When somebody last acknowledged an alert that had reached them, by environment."""
    found = (
        Alert.objects.filter(
            environment_id__in=environment_ids,
            acknowledged_at__isnull=False,
            notifications__state=Notification.State.SENT,
        )
        .order_by()
        .values_list("environment_id")
        .annotate(Max("acknowledged_at"))
    )
    return dict(found)


def _read_scenario_runs(environment_ids: Sequence[int]) -> dict[int, list[Mapping[str, Any]]]:
    """What the last runs of scenarios reported, newest first, as far back as rules look."""
    found: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    if environment_ids:
        with connection.cursor() as cursor:
            cursor.execute(_RUNS_SQL.read_text(encoding="utf-8"), [list(environment_ids), GREEN_RUNS])
            for environment_id, data in cursor.fetchall():
                found[environment_id].append(json.loads(data) if isinstance(data, str) else data)
    return found


def _group(rows: QuerySet[Row]) -> dict[int, list[Row]]:
    grouped: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.environment_id].append(row)
    return grouped


def _assess_one(
    environment: Environment,
    now: datetime,
    endpoints: list[Endpoint],
    databases: list[Database],
    states: dict[str, ProbeState],
    claims: dict[str, ItemState],
    waivers: dict[str, Waiver],
    intervals: Mapping[tuple[int, str], int],
    others: OtherFacts,
    blind_spots: Sequence[str],
) -> Assessment:
    kinds = configured_kinds(
        [(endpoint.role, endpoint.url) for endpoint in endpoints],
        has_databases=bool(databases),
        # Schedules follow the scenarios, and the worker's machine knows best whether it has a browser.
        has_scenarios=(environment.pk, "scenario") in intervals,
        has_browser=(environment.pk, "browser") in intervals,
    )
    facts = Facts(
        now=now,
        probes={
            kind: _as_fact(
                kind,
                states.get(kind),
                intervals.get((environment.pk, kind), default_interval_seconds(kind)),
                now,
            )
            for kind in kinds
        },
        backups=others.backups,
        roles=frozenset(endpoint.role for endpoint in endpoints),
        proof_valid_for=timedelta(days=settings.PROVEN_BACKUP_MAX_AGE_DAYS),
        scenario_runs=others.scenario_runs,
        posted=others.posted,
        posted_valid_for=timedelta(days=settings.POSTED_FACTS_MAX_AGE_DAYS),
        endpoints=tuple(EndpointFact(one.role, one.url, one.health_path) for one in endpoints),
        tracker=others.tracker,
        alert_acknowledged_at=others.alert_acknowledged_at,
    )
    template = template_of(environment)
    items = template.items_for(environment.kind)
    today = timezone.localdate(now)
    standings = tuple(
        stand(item, _as_claim(claims.get(item.key)), facts, _as_waiver(waivers.get(item.key), today)) for item in items
    )
    return Assessment(
        environment=environment,
        template=template,
        facts=facts,
        standings=standings,
        decision=decide(standings, now, blind_spots),
        states=states,
        endpoints=tuple(endpoints),
        databases=tuple(databases),
    )


def _as_fact(kind: str, state: ProbeState | None, interval_seconds: int, now: datetime) -> ProbeFact:
    if state is None:
        return ProbeFact(kind)
    return ProbeFact(
        kind=kind,
        status=state.status,
        observed_at=state.observed_at,
        is_stale=is_stale(state.observed_at, interval_seconds, now),
        summary=state.summary,
        reason=state.reason,
        findings=tuple(state.findings),
        data=state.data,
    )


def _as_claim(state: ItemState | None) -> Claim:
    if state is None:
        return Claim()
    return Claim(
        state=State(state.state),
        since=state.changed_at,
        owner=state.owner.get_username() if state.owner else "",
        due_on=state.due_on,
        changed_by=state.changed_by.get_username() if state.changed_by else "",
        note=state.note,
        version=state.version,
        asks_not_applicable=state.asks_not_applicable,
    )


def _as_waiver(waiver: Waiver | None, today: date) -> WaiverFact | None:
    if waiver is None or waiver.is_over(today):
        return None
    return WaiverFact(
        key=waiver.key,
        reason=waiver.reason,
        risk=waiver.risk,
        requester=waiver.requester_name,
        approver=waiver.approver_name,
        expires_on=waiver.expires_on,
        is_ending=waiver.is_ending(today),
    )


def _as_posted(rows: list[PostedFact]) -> dict[str, PostedValue]:
    return {row.name: PostedValue(row.value, row.posted_at) for row in rows}
