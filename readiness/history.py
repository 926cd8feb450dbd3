"""Reads what probes found over time: uptime of periods, the course of one kind, what fails now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from readiness.models import Deploy, Environment, ProbeRollup, ProbeRun, ProbeSchedule, ProbeState
from readiness.probes.base import Status
from readiness.probes.difference import Change, compare_findings
from readiness.probes.maintenance import Window, is_covered
from readiness.probes.uptime import Uptime, add_up

PERIODS = (
    ("24 hours", timedelta(hours=24), "h"),
    ("7 days", timedelta(days=7), "d"),
    ("30 days", timedelta(days=30), "d"),
    ("365 days", timedelta(days=365), "d"),
)
RUNS_SHOWN = 100
BAD_STATUSES = (Status.FAIL.value, Status.ERROR.value)


def read_uptimes(environment: Environment, kind: str, now: datetime) -> list[tuple[str, Uptime]]:
    """Uptime of every period, maintenance excluded, in two queries; a period is no longer than there are results."""
    rows = ProbeRollup.objects.filter(environment=environment, kind=kind)
    first = rows.filter(period="h").order_by("starts_at").values_list("starts_at", flat=True).first()
    if first is None:
        return []
    kept = list(
        rows.filter(starts_at__gte=now - timedelta(days=366)).values_list(
            "period", "starts_at", "up_seconds", "down_seconds", "maintenance_seconds"
        )
    )
    uptimes = []
    for title, length, period in PERIODS:
        start = max(now - length, first)
        within = [row[2:] for row in kept if row[0] == period and row[1] > now - length]
        uptimes.append((title, add_up(within, (now - start).total_seconds())))
    return uptimes


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
    def durations_ms(self) -> list[int]:
        """How long the runs took, oldest first."""
        return [run.duration_ms for run in reversed(self.runs)]


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
