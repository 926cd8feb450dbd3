"""The gate as pages, commands and programs ask for it: the verdict, and whether the workers behind it live."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from backups.leases import read_lease_end
from portal.jobs import Pulse, read_pulses
from readiness.checklists.assessment import Assessment, assess
from readiness.checklists.gate import Decision, Verdict
from readiness.models import Environment


def judge_gate(environment: Environment, now: datetime) -> Assessment:
    """Assesses one environment; while a worker is silent nobody can tell."""
    return assess([environment], now, read_blind_spots(now))[environment.pk]


def read_blind_spots(now: datetime) -> list[str]:
    """What makes all evidence worthless now, for rooms that do not know the workers (READINESS_BLIND_SPOTS)."""
    return list_blind_spots(read_pulses(now, read_lease_end()))


def list_blind_spots(pulses: Mapping[str, Pulse]) -> list[str]:
    """A sentence for each cluster of workers that is silent: what they would find out, nobody does."""
    return [f"The {name} workers are silent." for name, pulse in pulses.items() if not pulse.alive]


def is_open(decision: Decision, *, is_strict: bool) -> bool:
    """Whether the gate lets through; a strict one lets nothing through but GO."""
    return decision.verdict is Verdict.GO or (decision.verdict is Verdict.CONDITIONAL and not is_strict)


def describe_gate(environment: Environment, decision: Decision) -> dict[str, Any]:
    """The gate as JSON. Times are ISO 8601 with their zone, or null; URLs are absolute, from SITE_URL."""
    return {
        "environment": environment.slug,
        "verdict": decision.verdict.value,
        "reasons": [
            {
                "item": reason.key,
                "section": reason.section,
                "state": reason.state.value,
                "severity": reason.severity.value,
                "owner": reason.owner or None,
                "since": _iso(reason.since),
                "url": item_url(environment, reason.key),
            }
            for reason in decision.reasons
        ],
        "waivers": [
            {
                "item": waiver.key,
                "reason": waiver.reason,
                "risk": waiver.risk,
                "requester": waiver.requester,
                "approver": waiver.approver,
                "expires_on": waiver.expires_on.isoformat(),
                "url": item_url(environment, waiver.key),
            }
            for waiver in decision.waivers
        ],
        "evaluated_at": _iso(decision.evaluated_at),
        "evidence_oldest_at": _iso(decision.evidence_oldest_at),
    }


def describe_unknown(slug: str, now: datetime) -> dict[str, Any]:
    """The gate as JSON where not even the database can be asked: NO-GO, and nothing is known."""
    return {
        "environment": slug,
        "verdict": Verdict.NO_GO.value,
        "reasons": [],
        "waivers": [],
        "evaluated_at": _iso(now),
        "evidence_oldest_at": None,
    }


def item_url(environment: Environment, key: str) -> str:
    return f"{settings.SITE_URL}{reverse('item', args=[environment.slug, key])}"


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")
