"""Counts every day how many items are open; the only writer of ProgressDay rows."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from readiness.checklists.assessment import Assessment, assess
from readiness.checklists.burn_down import Point
from readiness.checklists.template_values import Severity
from readiness.models import Environment, ProgressDay

DAYS_SHOWN = 60


def record_progress(now: datetime) -> int:
    """Takes today's count of every active environment, over the one before; returns how many there are."""
    environments = list(Environment.objects.active())
    day = timezone.localdate(now)
    rows = [
        ProgressDay(environment=one.environment, day=day, open_count=count_open(one), item_count=_count_items(one))
        for one in assess(environments, now).values()
    ]
    ProgressDay.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["environment", "day"],
        update_fields=["open_count", "item_count"],
    )
    return len(rows)


def count_open(assessment: Assessment) -> int:
    """How many items stand between the environment and GO; waived ones do not."""
    return len(assessment.decision.reasons)


def read_points(assessment: Assessment, now: datetime) -> list[Point]:
    """The counts of the last days, oldest first, and what is open now as today's."""
    today = timezone.localdate(now)
    rows = assessment.environment.progress_days.filter(day__lt=today).order_by("-day")[:DAYS_SHOWN]
    points = [Point(row.day, row.open_count) for row in rows]
    return [*reversed(points), Point(today, count_open(assessment))]


def _count_items(assessment: Assessment) -> int:
    return sum(standing.item.severity is not Severity.OPTIONAL for standing in assessment.standings)
