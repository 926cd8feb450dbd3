"""What is known about an environment as plain values, in the form that snapshots keep and comparisons read; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from readiness.checklists.assessment import Assessment
    from readiness.checklists.gate import Decision
    from readiness.checklists.verification import ItemStanding, WaiverFact

Record = dict[str, Any]


def describe(assessment: Assessment, submissions: Mapping[str, Record] | None = None, language: str = "en") -> Record:
    """The environment, its template, the verdict with its reasons, every item with its evidence, and the waivers.

    ``submissions`` holds what people showed as evidence, by item key.
    Times are ISO 8601 in UTC to the second, days ISO dates; what nobody knows is None. Titles are those in
    ``language``; what is sealed has the English ones.
    """
    environment, template = assessment.environment, assessment.template
    titles = {standing.item.key: standing.item.title.for_language(language) for standing in assessment.standings}
    return {
        "environment": {
            "slug": environment.slug,
            "name": environment.name,
            "kind": environment.kind,
            "target_date": stamp_day(environment.target_date),
        },
        "template": {"key": template.key, "version": template.version, "title": template.title.for_language(language)},
        "gate": _describe_gate(assessment.decision, language),
        "items": [
            _describe_item(standing, (submissions or {}).get(standing.item.key), titles[standing.item.key])
            for standing in assessment.standings
        ],
        "waivers": [_describe_waiver(waiver, titles[waiver.key]) for waiver in assessment.decision.waivers],
    }


def stamp(at: datetime | None) -> str | None:
    """A moment as records spell it."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def stamp_day(day: date | None) -> str | None:
    """A day as records spell it."""
    return None if day is None else day.isoformat()


def _describe_gate(decision: Decision, language: str) -> Record:
    return {
        "verdict": str(decision.verdict),
        "reasons": [
            {
                "item": reason.key,
                "section": reason.section,
                "title": reason.title.for_language(language),
                "state": str(reason.state),
                "severity": str(reason.severity),
                "owner": reason.owner,
                "since": stamp(reason.since),
                "text": reason.text,
            }
            for reason in decision.reasons
        ],
        "blind_spots": list(decision.blind_spots),
        "evaluated_at": stamp(decision.evaluated_at),
        "evidence_oldest_at": stamp(decision.evidence_oldest_at),
    }


def _describe_item(standing: ItemStanding, submission: Record | None, title: str) -> Record:
    evidence = standing.evidence
    return {
        "item": standing.item.key,
        "section": standing.item.section,
        "title": title,
        "kind": str(standing.item.kind),
        "severity": str(standing.item.severity),
        "state": str(standing.state),
        "is_done": standing.is_done,
        "owner": standing.claim.owner,
        "since": stamp(standing.since),
        "changed_by": standing.claim.changed_by,
        "note": standing.claim.note,
        "evidence": None
        if evidence is None
        else {"state": str(evidence.state), "text": evidence.text, "observed_at": stamp(evidence.observed_at)},
        "submission": submission,
        "is_waived": standing.waiver is not None,
    }


def _describe_waiver(waiver: WaiverFact, title: str) -> Record:
    return {
        "item": waiver.key,
        "title": title,
        "reason": waiver.reason,
        "risk": waiver.risk,
        "requester": waiver.requester,
        "approver": waiver.approver,
        "expires_on": stamp_day(waiver.expires_on),
    }
