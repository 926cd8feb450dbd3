"""Reads what probes found over time: uptime of periods, the course of one kind, what fails now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median_low
from typing import Any

from django.db.models import Min, Q, QuerySet

from readiness.models import Deploy, Environment, ProbeRollup, ProbeRun, ProbeSchedule, ProbeState
from readiness.probes.base import Status
from readiness.probes.difference import Change, compare_findings
from readiness.probes.maintenance import Window, is_covered
from readiness.probes.uptime import HourAccount, Standing, Uptime, account, add_up

PERIODS = (
    ("24 hours", timedelta(hours=24), "h"),
    ("7 days", timedelta(days=7), "d"),
    ("30 days", timedelta(days=30), "d"),
    ("365 days", timedelta(days=365), "d"),
)
RUNS_SHOWN = 100
BAD_STATUSES = (Status.FAIL.value, Status.ERROR.value)


def read_uptimes(
    environment: Environment, kind: str, now: datetime, state: ProbeState | None, interval_seconds: int
) -> list[tuple[str, Uptime]]:
    """Uptime of every period, maintenance excluded, in two queries; a period is no longer than there are results.

    Each begins with the whole hour or day (UTC) in which it began: what is summed up cannot be cut. The hour that runs,
    which ``state`` knows, is not summed up yet; the time since the newest result counts as that one stood.
    """
    rows = ProbeRollup.objects.filter(environment=environment, kind=kind)
    first = _find_first(rows)
    running = _account_running(state, interval_seconds, now)
    if first is None and not running:
        return []
    first = first or running[0].starts_at
    # Nothing was known before there was anything to know.
    first = min(max(first, environment.created_at), now)
    starts = [(period, _floor(now - length, period)) for _, length, period in PERIODS]
    needed = [Q(period=period, starts_at__gte=min(at for other, at in starts if other == period)) for period in "hd"]
    kept = list(
        rows.filter(needed[0] | needed[1]).values_list(
            "period", "starts_at", "up_seconds", "down_seconds", "maintenance_seconds"
        )
    )
    uptimes = []
    for (title, _, _), (period, start) in zip(PERIODS, starts, strict=True):
        within = [row[2:] for row in kept if row[0] == period and row[1] >= start]
        within += [(hour.up, hour.down, hour.maintenance) for hour in running if hour.starts_at >= start]
        uptimes.append((title, add_up(within, (now - max(start, first)).total_seconds())))
    return uptimes


def _find_first(rows: QuerySet[ProbeRollup]) -> datetime | None:
    """When results began: the first hour, or the first day where its hours are gone."""
    found = rows.aggregate(hour=Min("starts_at", filter=Q(period="h")), day=Min("starts_at", filter=Q(period="d")))
    hour: datetime | None = found["hour"]
    day: datetime | None = found["day"]
    if hour is None or day is None:
        return hour or day
    return hour if _floor(hour, ProbeRollup.Period.DAY) <= day else day


def _account_running(state: ProbeState | None, interval_seconds: int, now: datetime) -> list[HourAccount]:
    """The hour that runs, and the time since the newest result, as accounts of their hours, the earliest first."""
    if state is None:
        return []
    hours = [] if state.open_hour is None else [HourAccount(**state.open_hour)]
    if state.standing:
        for stretch in account(state.observed_at, now, Standing(state.standing), interval_seconds):
            hour = HourAccount(stretch.hour)
            hour.add(stretch)
            hours.append(hour)
    return hours


def _floor(at: datetime, period: str) -> datetime:
    """The beginning of the hour or day (UTC) of ``at``."""
    hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if period == ProbeRollup.Period.HOUR else hour.replace(hour=0)


@dataclass(frozen=True)
class Course:
    """The last runs of one kind, newest first, what the newest changed, and the deploys of that time."""

    runs: Sequence[ProbeRun]
    changes: Sequence[Change]
    deploys: Sequence[Deploy] = ()

    @property
    def entries(self) -> list[ProbeRun | Deploy]:
        """Runs and deploys on one time line, newest first."""
        return sorted([*self.runs, *self.deploys], key=_moment, reverse=True)

    @property
    def notable_changes(self) -> list[Change]:
        """Those where something came, went, was judged differently, or is not well."""
        return [change for change in self.changes if not _is_figure(change)]

    @property
    def changed_figures(self) -> list[Change]:
        """Those that were well and are: another round trip, another size."""
        return [change for change in self.changes if _is_figure(change)]

    @property
    def durations_ms(self) -> list[int]:
        """How long the runs took, oldest first."""
        return [run.duration_ms for run in reversed(self.runs)]

    @property
    def median_ms(self) -> int | None:
        return median_low(self.durations_ms) if self.runs else None

    @property
    def slowest_ms(self) -> int | None:
        return max(self.durations_ms, default=None)


@dataclass(frozen=True)
class DatabaseFigures:
    """What the postgres probe measured of one database; ``name`` is empty when there is only one."""

    name: str
    figures: Mapping[str, Any]


def list_database_figures(state: ProbeState | None) -> list[DatabaseFigures]:
    """The figures of each database that answered when the newest result was made."""
    if state is None or state.kind != "postgres":
        return []
    several = state.data.get("targets") or {"": state.data}
    return [DatabaseFigures(name, figures) for name, figures in several.items() if figures.get("server_version")]


def _is_figure(change: Change) -> bool:
    both = (change.before, change.after)
    return all(row is not None and row["status"] == Status.PASS for row in both)


def read_course(environment: Environment, kind: str) -> Course:
    """The last RUNS_SHOWN runs, the difference between the last two, and the deploys since the first of them."""
    of_kind = ProbeRun.objects.filter(environment=environment, kind=kind)
    runs = list(of_kind.defer("data", "findings")[:RUNS_SHOWN])
    newest = list(of_kind.values_list("findings", flat=True)[:2])
    deploys = Deploy.objects.filter(environment=environment)
    if runs:
        deploys = deploys.filter(at__gte=runs[-1].observed_at)
    changes = compare_findings(newest[1], newest[0]) if len(newest) == 2 else []
    return Course(runs, changes, list(deploys[:RUNS_SHOWN]))


def _moment(entry: ProbeRun | Deploy) -> datetime:
    return entry.at if isinstance(entry, Deploy) else entry.observed_at


@dataclass(frozen=True)
class Failing:
    """One kind on one environment that is bad now, and whether anybody needs to be told."""

    state: ProbeState
    muted_until: datetime | None
    mute_reason: str
    in_maintenance: bool

    @property
    def is_quiet(self) -> bool:
        return self.muted_until is not None or self.in_maintenance


def list_failing(windows: Sequence[Window], now: datetime) -> list[Failing]:
    """Everything that fails or cannot be told, of all active environments, loud ones first, the longest first."""
    states = ProbeState.objects.filter(status__in=BAD_STATUSES, environment__retired_at__isnull=True)
    mutes = {
        (environment_id, kind): (until, reason)
        for environment_id, kind, until, reason in ProbeSchedule.objects.filter(muted_until__gt=now).values_list(
            "environment_id", "kind", "muted_until", "mute_reason"
        )
    }
    failing = [
        Failing(
            state,
            *mutes.get((state.environment_id, state.kind), (None, "")),
            in_maintenance=is_covered(windows, state.environment_id, state.kind, now),
        )
        for state in states.select_related("environment").defer("data", "findings")
    ]
    return sorted(failing, key=lambda one: (one.is_quiet, one.state.status_since))
