"""The verdict, first version: GO or NO-GO with each reason; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from readiness.checklists.facts import Facts, ProbeFact
from readiness.checklists.template_values import Severity
from readiness.checklists.verification import ItemStanding

KIND_TITLES = {
    "http": "HTTP",
    "tls": "TLS",
    "headers": "Security headers",
    "postgres": "PostgreSQL",
    "dns": "DNS",
    "scenario": "Scenarios",
    "browser": "Browser",
}


class Verdict(StrEnum):
    GO = "GO"
    NO_GO = "NO-GO"


@dataclass(frozen=True)
class Reason:
    """Why it is NO-GO: ``kind`` is item, probe or backup; ``key`` the item's key or the probe's kind."""

    kind: str
    key: str
    text: str
    since: datetime | None = None


@dataclass(frozen=True)
class Decision:
    verdict: Verdict
    reasons: tuple[Reason, ...]


def decide(standings: Sequence[ItemStanding], facts: Facts, required_kinds: Sequence[str]) -> Decision:
    """GO when every must item is done, every required probe is fresh and good, and a backup is proven; else NO-GO.

    A probe that fails, that could not tell, that is stale or that has nothing to look at is a reason, never a pass.
    """
    reasons = [_probe_reason(kind, facts.probes.get(kind)) for kind in required_kinds]
    reasons.append(_backup_reason(facts))
    reasons += [_item_reason(standing) for standing in standings]
    found = tuple(reason for reason in reasons if reason is not None)
    return Decision(Verdict.NO_GO if found else Verdict.GO, found)


def _probe_reason(kind: str, fact: ProbeFact | None) -> Reason | None:
    title = KIND_TITLES.get(kind, kind)
    if fact is None:
        return Reason("probe", kind, f"{title}: nothing to probe yet")
    if fact.status is None:
        return Reason("probe", kind, f"{title}: no result yet")
    if fact.is_stale:
        return Reason("probe", kind, f"{title}: the last result is out of date", fact.observed_at)
    if fact.is_good:
        return None
    words = {"fail": "", "error": "could not tell", "skipped": "was skipped"}
    text = ": ".join(part for part in (title, words.get(fact.status, fact.status), fact.summary) if part)
    return Reason("probe", kind, text, fact.observed_at)


def _backup_reason(facts: Facts) -> Reason | None:
    if facts.is_backup_proven:
        return None
    backups, days = facts.backups, facts.proof_valid_for.days
    if backups.newest_proven_at is None:
        text = "No backup has been proven by a restore yet"
    elif facts.now - backups.newest_proven_at > facts.proof_valid_for:
        text = f"No backup was proven within {days} days"
    else:
        text = f"No proven backup of {', '.join(backups.databases_without_proof)}"
    if backups.last_error:
        text += f"; the last attempt failed: {backups.last_error}"
    return Reason("backup", "backup", text, backups.newest_proven_at)


def _item_reason(standing: ItemStanding) -> Reason | None:
    if standing.is_done or standing.item.severity is not Severity.MUST:
        return None
    return Reason("item", standing.item.key, standing.item.title.en, standing.changed_at)
