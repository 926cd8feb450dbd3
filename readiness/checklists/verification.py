"""What facts say about checklist items: one function a rule; pure.

A rule that is built here makes its automatic item untickable: probes decide. An item whose rule is not built yet can
be claimed by hand, as a manual one can, so that a first verdict is possible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from readiness.checklists.facts import Facts, ProbeFact
from readiness.checklists.template_values import Item, Kind

CERTIFICATE_DAYS = 21


class EvidenceState(StrEnum):
    """What the facts of one rule say: true, false, true once but out of date, or nothing."""

    VERIFIED = "verified"
    FAILING = "failing"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Evidence:
    """What one rule found: its state, one sentence, and how old the fact behind it is."""

    state: EvidenceState
    text: str
    observed_at: datetime | None = None


@dataclass(frozen=True)
class Claim:
    """What a person said about an item, and when."""

    is_ticked: bool = False
    changed_at: datetime | None = None
    changed_by: str = ""


@dataclass(frozen=True)
class ItemStanding:
    """One item of one environment: what the template asks, what people claim, what facts say."""

    item: Item
    claim: Claim
    evidence: Evidence | None

    @property
    def is_automatic(self) -> bool:
        """Whether facts alone decide."""
        return is_verified_by_facts(self.item)

    @property
    def is_done(self) -> bool:
        """An automatic item: verified. A hybrid one: ticked, and no fact against it. Any other: ticked."""
        if self.is_automatic:
            return self.evidence is not None and self.evidence.state is EvidenceState.VERIFIED
        if self.evidence is not None and self.evidence.state is EvidenceState.FAILING:
            return False
        return self.claim.is_ticked

    @property
    def changed_at(self) -> datetime | None:
        """When what is known about the item last moved."""
        return self.evidence.observed_at if self.evidence is not None else self.claim.changed_at


class Need(StrEnum):
    """What has to be connected before a rule can say anything."""

    FRONTEND = "frontend"
    API = "api"
    DATABASE = "database"
    BACKUP = "backup"


@dataclass(frozen=True)
class Rule:
    """What a rule needs, and the function that reads the facts."""

    need: Need
    read: Callable[[Facts], Evidence]


def is_verified_by_facts(item: Item) -> bool:
    """Whether the item is automatic and its rule is built, so that nobody may tick it."""
    return item.kind is Kind.AUTOMATIC and item.rule in RULES


def stand(item: Item, claim: Claim, facts: Facts) -> ItemStanding:
    """Joins an item, what people claim about it and what facts say."""
    rule = RULES.get(item.rule)
    return ItemStanding(item, claim, rule.read(facts) if rule is not None else None)


def _from_probe(facts: Facts, kind: str, nothing: str, judge: Callable[[ProbeFact], Evidence]) -> Evidence:
    """The part all rules about probes share: no target, no result, out of date, could not tell."""
    fact = facts.probes.get(kind)
    if fact is None:
        return Evidence(EvidenceState.UNKNOWN, nothing)
    if fact.status is None:
        return Evidence(EvidenceState.UNKNOWN, "Not probed yet.")
    if fact.is_stale:
        return Evidence(EvidenceState.STALE, "The last result is out of date.", fact.observed_at)
    if fact.status in {"error", "skipped"}:
        return Evidence(EvidenceState.UNKNOWN, fact.summary or "The probe could not tell.", fact.observed_at)
    return judge(fact)


def _outcome(is_true: bool, text: str, fact: ProbeFact) -> Evidence:
    return Evidence(EvidenceState.VERIFIED if is_true else EvidenceState.FAILING, text, fact.observed_at)


def _database_answers(facts: Facts) -> Evidence:
    def judge(fact: ProbeFact) -> Evidence:
        answered = fact.finding("reachable")
        text = answered["summary"] if answered is not None else fact.summary
        return _outcome(fact.status != "fail" or fact.reason != "wrong_engine", text, fact)

    return _from_probe(facts, "postgres", "Connect a database.", judge)


def _engine_is_postgresql(facts: Facts) -> Evidence:
    def judge(fact: ProbeFact) -> Evidence:
        if fact.reason == "wrong_engine":
            return _outcome(False, fact.summary, fact)
        # Several databases: each has to have tables.
        several = fact.data.get("targets", {"": fact.data})
        tables = min((one["tables"] for one in several.values() if "tables" in one), default=None)
        if tables is None:
            return Evidence(EvidenceState.UNKNOWN, "The number of tables is not known.", fact.observed_at)
        return _outcome(tables > 0, f"PostgreSQL with {tables} tables.", fact)

    return _from_probe(facts, "postgres", "Connect a database.", judge)


def _endpoint_is_up(role: str, missing: str) -> Callable[[Facts], Evidence]:
    def rule(facts: Facts) -> Evidence:
        if role not in facts.roles:
            return Evidence(EvidenceState.UNKNOWN, missing)

        def judge(fact: ProbeFact) -> Evidence:
            found = [endpoint for endpoint in fact.data.get("endpoints", []) if endpoint.get("role") == role]
            codes = [endpoint.get("status_code") for endpoint in found]
            if not codes or any(code is None for code in codes):
                return _outcome(False, "It does not answer.", fact)
            return _outcome(
                all(200 <= code < 300 for code in codes), f"Answers {', '.join(str(code) for code in codes)}.", fact
            )

        return _from_probe(facts, "http", missing, judge)

    return rule


def _certificates_are_good(facts: Facts) -> Evidence:
    def judge(fact: ProbeFact) -> Evidence:
        data = fact.data
        days = data.get("days_left")
        good = bool(data.get("trusted") and data.get("hostname_ok") and days is not None and days > CERTIFICATE_DAYS)
        text = f"{days} days left." if good else (fact.summary or "A certificate is not in order.")
        return _outcome(good and fact.status != "fail", text, fact)

    return _from_probe(facts, "tls", "Add an endpoint.", judge)


def _redirects_to_https(facts: Facts) -> Evidence:
    def judge(fact: ProbeFact) -> Evidence:
        found = [finding for finding in fact.findings if finding.get("id") == "https_redirect"]
        if not found:
            return Evidence(EvidenceState.UNKNOWN, "The probe saw no redirect to judge.", fact.observed_at)
        bad = [finding for finding in found if finding.get("status") != "pass"]
        return _outcome(not bad, (bad or found)[0]["summary"], fact)

    return _from_probe(facts, "http", "Add an endpoint.", judge)


def _backups_are_proven(facts: Facts) -> Evidence:
    backups = facts.backups
    if facts.is_backup_proven:
        return Evidence(EvidenceState.VERIFIED, "The newest backup was proven by a restore.", backups.newest_proven_at)
    if backups.newest_proven_at is not None:
        return Evidence(EvidenceState.STALE, "The newest proof is too old or incomplete.", backups.newest_proven_at)
    if backups.last_error:
        return Evidence(EvidenceState.FAILING, backups.last_error, backups.last_failed_at)
    return Evidence(EvidenceState.UNKNOWN, "No backup has been proven yet.")


RULES: Mapping[str, Rule] = {
    "postgres.answers": Rule(Need.DATABASE, _database_answers),
    "postgres.has_tables": Rule(Need.DATABASE, _engine_is_postgresql),
    "http.frontend_answers": Rule(Need.FRONTEND, _endpoint_is_up("frontend", "Add the frontend’s URL.")),
    "http.api_healthy": Rule(Need.API, _endpoint_is_up("api", "Add the API’s URL with its health path.")),
    "http.redirects": Rule(Need.FRONTEND, _redirects_to_https),
    "tls.trusted": Rule(Need.FRONTEND, _certificates_are_good),
    "backups.proven": Rule(Need.BACKUP, _backups_are_proven),
}
