"""The only writer of probe results; writes ProbeRun, ProbeState and StatusChange, and drops runs past their time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from readiness.models import ProbeRun, ProbeState, StatusChange
from readiness.probes.base import ProbeResult, Status
from readiness.probes.transitions import append_beat, is_change

SUMMARY_LENGTH = 300
PRUNE_BATCH = 5_000


@dataclass(frozen=True)
class Observed:
    """A result, the environment it is about and the moment it was observed."""

    environment_id: int
    at: datetime
    result: ProbeResult


def record(observed: Iterable[Observed]) -> list[StatusChange]:
    """Stores results and moves the latest state forward, in one transaction; returns the changes of status.

    A result older than the state it would replace is kept as a run and changes nothing else. Rows are locked in
    (environment, kind) order: unsorted upserts of two workers deadlock.
    """
    ordered = sorted(observed, key=lambda one: (one.environment_id, one.result.kind, one.at))
    if not ordered:
        return []
    with transaction.atomic():
        ProbeRun.objects.bulk_create([_as_run(one) for one in ordered])
        known = {
            (state.environment_id, state.kind): state
            for state in ProbeState.objects.select_for_update()
            .filter(
                environment_id__in={one.environment_id for one in ordered},
                kind__in={one.result.kind for one in ordered},
            )
            .order_by("environment_id", "kind")
        }
        changes: list[StatusChange] = []
        moved: dict[tuple[int, str], ProbeState] = {}
        for one in ordered:
            key = (one.environment_id, one.result.kind)
            state = known.get(key)
            if state is not None and state.observed_at >= one.at:
                continue
            if is_change(state.status if state else None, one.result.status):
                changes.append(_as_change(one, state))
            known[key] = moved[key] = _as_state(one, state)
        ProbeState.objects.bulk_create(
            moved.values(),
            update_conflicts=True,
            unique_fields=["environment", "kind"],
            update_fields=[
                *("status", "reason", "summary", "findings", "data"),
                *("duration_ms", "observed_at", "status_since", "beats"),
            ],
        )
        return StatusChange.objects.bulk_create(changes)


def prune_runs(now: datetime) -> int:
    """Deletes runs older than PROBE_RUNS_KEPT_DAYS in batches; returns how many."""
    limit = now - timedelta(days=settings.PROBE_RUNS_KEPT_DAYS)
    deleted = 0
    while True:
        old = list(ProbeRun.objects.filter(observed_at__lt=limit).values_list("pk", flat=True)[:PRUNE_BATCH])
        if not old:
            return deleted
        deleted += ProbeRun.objects.filter(pk__in=old).delete()[0]


def summarise(result: ProbeResult) -> str:
    """The sentence of the worst finding: what a person should read first."""
    order = [Status.ERROR, Status.FAIL, Status.WARN, Status.SKIPPED, Status.PASS]
    for status in order:
        for finding in result.findings:
            if finding.status == status:
                return str(make_storable(finding.summary))[:SUMMARY_LENGTH]
    return ""


def make_storable(value: Any) -> Any:
    """``value`` (text, numbers, lists, mappings) with ? for what PostgreSQL cannot hold: NUL and lone surrogates.

    A hostile target may send either, and one such result must not cost the rest of its batch.
    """
    if isinstance(value, str):
        return value.replace("\x00", "?").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {make_storable(key): make_storable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [make_storable(each) for each in value]
    return value


def _columns(one: Observed) -> dict[str, object]:
    result = one.result
    return {
        "environment_id": one.environment_id,
        "kind": result.kind,
        "status": result.status.value,
        "reason": result.reason or "",
        "summary": summarise(result),
        "findings": make_storable([finding.as_json_object() for finding in result.findings]),
        "data": make_storable(result.data),
        "duration_ms": result.duration_ms,
        "observed_at": one.at,
    }


def _as_run(one: Observed) -> ProbeRun:
    return ProbeRun(**_columns(one))


def _as_state(one: Observed, previous: ProbeState | None) -> ProbeState:
    changed = is_change(previous.status if previous else None, one.result.status)
    return ProbeState(
        **_columns(one),
        status_since=one.at if previous is None or changed else previous.status_since,
        beats=append_beat(previous.beats if previous else "", one.result.status),
    )


def _as_change(one: Observed, previous: ProbeState | None) -> StatusChange:
    return StatusChange(
        environment_id=one.environment_id,
        kind=one.result.kind,
        from_status=previous.status if previous else "",
        to_status=one.result.status.value,
        summary=summarise(one.result),
        at=one.at,
    )
