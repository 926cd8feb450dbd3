"""Joins what the template asks, what people claim and what facts say about each item; pure.

An item whose rule is not built yet, or needs what this environment has not (a scenario, a browser), is not verifiable:
nobody can claim it instead, only waive it or call it not applicable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from readiness.checklists import outside_rules as outside
from readiness.checklists import probe_rules as probes
from readiness.checklists import tracker_rules as tracker
from readiness.checklists.evidence import Evidence, EvidenceState, Need, Rule
from readiness.checklists.facts import Facts
from readiness.checklists.life import State
from readiness.checklists.template_values import Item, Kind, Severity


@dataclass(frozen=True)
class Claim:
    """What people said about an item: its stored state, since when, who cares for it and who last moved it."""

    state: State = State.TODO
    since: datetime | None = None
    owner: str = ""
    due_on: date | None = None
    changed_by: str = ""
    note: str = ""
    version: int = 0
    asks_not_applicable: bool = False


@dataclass(frozen=True)
class WaiverFact:
    """A waiver in force: until ``expires_on``, the item stands in nobody's way, though it is open."""

    key: str
    reason: str
    risk: str
    requester: str
    approver: str
    expires_on: date
    is_ending: bool = False


@dataclass(frozen=True)
class ItemStanding:
    """One item of one environment: what the template asks, what people claim, what facts say, what is waived."""

    item: Item
    claim: Claim
    evidence: Evidence | None
    waiver: WaiverFact | None = None

    @property
    def is_automatic(self) -> bool:
        """Whether facts alone decide."""
        return self.item.kind is Kind.AUTOMATIC

    @property
    def state(self) -> State:
        """Manual: as people left it. Automatic: as the facts are. Hybrid: people, as long as the facts agree."""
        if self.claim.state is State.NOT_APPLICABLE or self.item.kind is Kind.MANUAL:
            return self.claim.state
        found = EvidenceState.UNKNOWN if self.evidence is None else self.evidence.state
        if found is EvidenceState.FAILING:
            return State.FAILING
        if self.is_automatic:
            return _STATES[found]
        if self.claim.state is State.VERIFIED and found is not EvidenceState.VERIFIED:
            return _STATES[found]
        return self.claim.state

    @property
    def is_done(self) -> bool:
        return self.state.is_done

    @property
    def counts(self) -> bool:
        """Whether the verdict rests on the item's evidence: of optional and not applicable items it does not."""
        return self.item.severity is not Severity.OPTIONAL and self.state is not State.NOT_APPLICABLE

    @property
    def is_out_of_date(self) -> bool:
        """Whether what would decide about the item says nothing about now."""
        return self.evidence is not None and self.evidence.is_out_of_date and self.state is State.STALE

    @property
    def since(self) -> datetime | None:
        """When the item came into its stored state, unless facts say otherwise since: then when they were observed."""
        is_contradicted = self.claim.state is State.VERIFIED and not self.is_done
        if self.evidence is not None and (self.claim.since is None or is_contradicted):
            return self.evidence.observed_at
        return self.claim.since

    @property
    def sentence(self) -> str:
        """What the facts say, or what was noted with the last move."""
        return self.claim.note if self.evidence is None or self.item.kind is Kind.MANUAL else self.evidence.text


_STATES = {
    EvidenceState.VERIFIED: State.VERIFIED,
    EvidenceState.FAILING: State.FAILING,
    EvidenceState.STALE: State.STALE,
    EvidenceState.UNKNOWN: State.UNVERIFIABLE,
}


RULES: Mapping[str, Rule] = {
    "postgres.answers": Rule(Need.DATABASE, probes.database_answers),
    "postgres.encrypted_sessions": Rule(Need.DATABASE, probes.sessions_are_encrypted),
    "postgres.has_tables": Rule(Need.DATABASE, probes.engine_is_postgresql),
    "postgres.pooled": Rule(Need.DATABASE, probes.connections_are_pooled),
    "migration.done": Rule(Need.DATABASE, probes.tables_are_there),
    "migration.rows_equal": Rule(Need.DATABASE, probes.rows_are_there),
    "http.frontend_answers": Rule(Need.FRONTEND, probes.endpoint_is_up("frontend", "Add the frontend’s URL.")),
    "http.api_healthy": Rule(Need.API, probes.endpoint_is_up("api", "Add the API’s URL with its health path.")),
    "http.health_path": Rule(Need.API, probes.health_path_answers),
    "http.no_stack_trace": Rule(Need.API, probes.shows_no_stack_trace),
    "http.redirects": Rule(Need.FRONTEND, probes.redirects_to_https),
    "http.custom_domain": Rule(Need.FRONTEND, probes.domain_is_own),
    "tls.trusted": Rule(Need.FRONTEND, probes.certificates_are_good),
    "headers.strict": Rule(Need.FRONTEND, probes.headers_are_strict),
    "headers.session_cookies": Rule(Need.SCENARIO, probes.session_cookies_are_safe),
    "browser.mobile": Rule(Need.FRONTEND, probes.fits_a_phone),
    "browser.https_only": Rule(Need.FRONTEND, probes.asks_over_https_only),
    "browser.installable": Rule(Need.FRONTEND, probes.is_installable),
    "scenario.login": Rule(Need.SCENARIO, probes.scenario_passes("login")),
    "scenario.create": Rule(Need.SCENARIO, probes.scenario_passes("create")),
    "scenario.upload": Rule(Need.SCENARIO, probes.scenario_passes("upload")),
    "scenario.notification": Rule(Need.SCENARIO, probes.scenario_passes("notification")),
    "scenario.chatbot": Rule(Need.SCENARIO, probes.scenario_passes("chatbot")),
    "backups.proven": Rule(Need.BACKUP, outside.backups_are_proven),
    "backups.restored": Rule(Need.BACKUP, outside.restore_is_proven),
    "alerts.acknowledged": Rule(Need.ALERT, outside.alert_is_acknowledged),
    "ci.env_vars": Rule(Need.CI, outside.settings_are_set),
    "tracker.answers": Rule(Need.TRACKER, tracker.tracker_answers),
    "tracker.backend_events": Rule(Need.TRACKER, tracker.events_arrive("backend")),
    "tracker.frontend_events": Rule(Need.TRACKER, tracker.events_arrive("frontend")),
    "tracker.accepts_events": Rule(Need.TRACKER, tracker.dsn_accepts_events),
    "tracker.alert_rules": Rule(Need.TRACKER, tracker.alert_rules_are_there),
    "tracker.test_error": Rule(Need.TRACKER, tracker.error_is_acknowledged),
    "tracker.replays": Rule(Need.TRACKER, tracker.replays_arrive),
    "tracker.scrubbing": Rule(Need.TRACKER, tracker.data_is_scrubbed),
}


def is_verified_by_facts(item: Item) -> bool:
    """Whether the item is automatic and its rule is built."""
    return item.kind is Kind.AUTOMATIC and item.rule in RULES


def stand(item: Item, claim: Claim, facts: Facts, waiver: WaiverFact | None = None) -> ItemStanding:
    """Joins an item, what people claim about it, what facts say and what is waived."""
    rule = RULES.get(item.rule)
    return ItemStanding(item, claim, rule.read(facts) if rule is not None else None, waiver)
