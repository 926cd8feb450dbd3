"""The only writer of probe results: ProbeRun, ProbeState, StatusChange (alerts only claim those) and ProbeRollup."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection, transaction

from readiness.models import ProbeRollup, StatusChange
from readiness.probes.base import ProbeResult, Status
from readiness.probes.transitions import Confirmed, Patience, append_beat, confirm, is_change
from readiness.probes.uptime import HourAccount, Standing, account, find_hour, stand

SUMMARY_LENGTH = 300
# Of what is summed up, hours count for the last day alone; days stay.
HOURS_KEPT = timedelta(days=32)
_WORST_FIRST = {
    status: rank for rank, status in enumerate((Status.ERROR, Status.FAIL, Status.WARN, Status.SKIPPED, Status.PASS))
}
_SQL = Path(__file__).with_name("sql")
_Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Observed:
    """A result, the environment it is about, when it was observed, and how patiently it is to be read."""

    environment_id: int
    at: datetime
    result: ProbeResult
    interval_seconds: int = 60
    patience: Patience = field(default_factory=Patience)
    in_maintenance: bool = False

    @property
    def key(self) -> _Key:
        return self.environment_id, self.result.kind


@dataclass(frozen=True, slots=True)
class _Known:
    """What the state of one kind on one environment says before and after a result."""

    confirmed: Confirmed
    observed_at: datetime
    status_since: datetime
    beats: str
    standing: str
    open_hour: HourAccount


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of storing results: the confirmed changes, and the keys whose change waits to be confirmed."""

    changes: list[StatusChange]
    waiting: set[_Key]


def record(observed: Iterable[Observed]) -> Recorded:
    """Stores results and moves the latest states forward, in one transaction.

    A result older than the state it would replace is kept as a run and changes nothing else. States are locked in
    (environment, kind) order: unsorted upserts of two workers deadlock. A status is adopted with its findings only
    once it is confirmed, so when a batch holds several results of a kind, its newest confirmed one is what counts.
    The hour that runs is kept in the state; roll-ups are written once an hour, when a result closes it.
    """
    ordered = sorted(((one.key, one) for one in observed), key=lambda pair: (pair[0], pair[1].at))
    if not ordered:
        return Recorded([], set())
    with transaction.atomic(), _open_cursor() as cursor:
        known = _lock_states(cursor, list(dict.fromkeys(key for key, _ in ordered)))
        rows: list[dict[str, Any]] = []
        newest: dict[_Key, dict[str, Any]] = {}
        closed: list[dict[str, Any]] = []
        changes: list[StatusChange] = []
        for key, one in ordered:
            row = _as_row(one)
            rows.append(row)
            before = known.get(key)
            if before is not None and before.observed_at >= one.at:
                continue
            after = _advance(before, one, closed)
            if is_change(before.confirmed.status if before else None, after.confirmed.status):
                changes.append(_as_change(one, before))
            known[key], newest[key] = after, row
        for key, row in newest.items():
            row.update(_as_state(known[key]), is_newest=True)
        cursor.execute(_read_sql("store_results"), [_to_json(rows)])
        if closed:
            cursor.execute(_read_sql("store_rollups"), [_to_json(closed)])
        waiting = {key for key in newest if known[key].confirmed.is_pending}
        return Recorded(StatusChange.objects.bulk_create(changes), waiting)


def drop_old_hours(now: datetime) -> int:
    """Deletes the roll-ups of hours that are past their time and in their day's; returns how many."""
    old = ProbeRollup.objects.filter(period=ProbeRollup.Period.HOUR, starts_at__lt=now - HOURS_KEPT)
    return old.delete()[0]


def summarise(result: ProbeResult) -> str:
    """The sentence of the worst finding, the first of several: what a person should read first."""
    if not result.findings:
        return ""
    worst = min(result.findings, key=lambda finding: _WORST_FIRST[finding.status])
    return str(make_storable(worst.summary))[:SUMMARY_LENGTH]


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


def _to_json(rows: list[dict[str, Any]]) -> str:
    """The rows as JSON that PostgreSQL takes; walking through all of them is for those that hold a NUL."""
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    if "\\u0000" in text:
        text = json.dumps(make_storable(rows), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()


def _advance(before: _Known | None, one: Observed, closed: list[dict[str, Any]]) -> _Known:
    status = one.result.status.value
    confirmed = confirm(before.confirmed if before else None, status, one.patience)
    stays = before is not None and before.confirmed.status == confirmed.status
    return _Known(
        confirmed=confirmed,
        observed_at=one.at,
        status_since=before.status_since if before is not None and stays else one.at,
        beats=append_beat(before.beats if before else "", status),
        standing=stand(status, one.result.reason or "", in_maintenance=one.in_maintenance),
        open_hour=_account(before, one, closed),
    )


def _account(before: _Known | None, one: Observed, closed: list[dict[str, Any]]) -> HourAccount:
    """The hour that ``one`` was observed in, with it and the time before it; hours that are over go to ``closed``.

    The time since the result before counts as that result stood; the run itself counts where it happened.
    """
    hour = find_hour(one.at)
    current = before.open_hour if before is not None else HourAccount(hour)
    if before is not None and before.standing:
        for stretch in account(before.observed_at, one.at, Standing(before.standing), one.interval_seconds):
            if stretch.hour != current.hour:
                closed.append(_as_rollup_row(one.key, current))
                current = HourAccount(stretch.hour)
            current.add(stretch)
    if current.hour != hour:
        closed.append(_as_rollup_row(one.key, current))
        current = HourAccount(hour)
    current.count(one.result.duration_ms)
    return current


def _open_cursor() -> psycopg.Cursor[tuple[Any, ...]]:
    """A cursor of psycopg's own: values travel apart from the statement, rows come back in binary.

    Django's quotes the values into the statement and reads times with a regular expression, a fifth of the time.
    """
    connection.ensure_connection()
    return psycopg.Cursor(connection.connection)


def _lock_states(cursor: psycopg.Cursor[tuple[Any, ...]], keys: Sequence[_Key]) -> dict[_Key, _Known]:
    cursor.execute(_read_sql("lock_states"), [[key[0] for key in keys], [key[1] for key in keys]], binary=True)
    return {
        (environment_id, kind): _Known(
            Confirmed(status, pending, count),
            observed_at,
            since,
            beats,
            standing,
            HourAccount(**open_hour) if open_hour else HourAccount(find_hour(observed_at)),
        )
        for (
            environment_id,
            kind,
            status,
            pending,
            count,
            observed_at,
            since,
            beats,
            standing,
            open_hour,
        ) in cursor.fetchall()
    }


def _as_row(one: Observed) -> dict[str, Any]:
    result = one.result
    return {
        "environment_id": one.environment_id,
        "kind": result.kind,
        "status": result.status.value,
        "reason": result.reason or "",
        "summary": summarise(result),
        "findings": [finding.as_json_object() for finding in result.findings],
        "data": dict(result.data),
        "duration_ms": result.duration_ms,
        "observed_at": one.at.isoformat(),
        "in_maintenance": one.in_maintenance,
        "is_newest": False,
    }


def _as_state(known: _Known) -> dict[str, Any]:
    return {
        "is_adopted": not known.confirmed.is_pending,
        "confirmed_status": known.confirmed.status,
        "status_since": known.status_since.isoformat(),
        "pending_status": known.confirmed.pending_status,
        "pending_count": known.confirmed.pending_count,
        "standing": known.standing,
        "beats": known.beats,
        "open_hour": known.open_hour.as_json_object(),
    }


def _as_rollup_row(key: _Key, one: HourAccount) -> dict[str, Any]:
    environment_id, kind = key
    return {"environment_id": environment_id, "kind": kind, **one.as_json_object()}


def _as_change(one: Observed, before: _Known | None) -> StatusChange:
    return StatusChange(
        environment_id=one.environment_id,
        kind=one.result.kind,
        from_status=before.confirmed.status if before else "",
        to_status=one.result.status.value,
        summary=summarise(one.result),
        at=one.at,
        in_maintenance=one.in_maintenance,
    )


@lru_cache
def _read_sql(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")
