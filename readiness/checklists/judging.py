"""The verdict as decisions rest on it: with what the site knows about its workers; reads what assessment reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from django.conf import settings
from django.utils.module_loading import import_string

from readiness.checklists.assessment import Assessment, assess
from readiness.models import Environment

BlindSpotsReader = Callable[[datetime], Sequence[str]]


def judge(environments: Sequence[Environment], now: datetime) -> dict[int, Assessment]:
    """Assesses ``environments``, keyed by id; while a worker is silent nobody can tell."""
    read_blind_spots: BlindSpotsReader = import_string(settings.READINESS_BLIND_SPOTS)
    return assess(environments, now, read_blind_spots(now))
