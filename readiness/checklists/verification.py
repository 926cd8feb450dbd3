"""What facts say about checklist items: one function a rule; pure.

An item whose rule is not built yet, or needs what this environment has not (a scenario, a browser), is not verifiable:
nobody can claim it instead, only waive it or call it not applicable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from readiness.checklists.facts import Facts, ProbeFact
from readiness.checklists.life import State
from readiness.checklists.template_values import Item, Kind, Severity

CERTIFICATE_DAYS = 21
GREEN_RUNS = 3
SESSION_SECONDS = 86_400
PHONE = "390x844"


class EvidenceState(StrEnum):
    """What the facts of one rule say: true, false, true once but out of date, or nothing."""

    VERIFIED = "verified"
    FAILING = "failing"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Evidence:
    """What one rule found: its state, one sentence, and how old the fact behind it is.

    ``is_out_of_date``: stale because nobody looked in time, not because what was seen has aged.
    """

    state: EvidenceState
    text: str
    observed_at: datetime | None = None
    is_out_of_date: bool = False


@dataclass(frozen=True)
class Claim:
    """What people said about an item: its stored state, since when, who cares for it and who last moved it."""

    state: State = State.TODO
    since: datetime | None = None
    owner: str = ""
    due_on: date | None = None
    changed_by: str = ""
    note: str = ""


@dataclass(frozen=True)
class WaiverFact:
    """A waiver in force: until ``expires_on``, the item stands in nobody's way, though it is open."""

    key: str
    reason: str
    risk: str
    requester: str
    approver: str
    expires_on: date


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
        """When the item came into its stored state, or else when its facts were observed."""
        if self.claim.since is None or self.state in {State.FAILING, State.UNVERIFIABLE}:
            return self.claim.since if self.evidence is None else self.evidence.observed_at
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


class Need(StrEnum):
    """What has to be connected before a rule can say anything."""

    FRONTEND = "frontend"
    API = "api"
    DATABASE = "database"
    BACKUP = "backup"
    SCENARIO = "scenario"


@dataclass(frozen=True)
class Rule:
    """What a rule needs, and the function that reads the facts."""

    need: Need
    read: Callable[[Facts], Evidence]


def is_verified_by_facts(item: Item) -> bool:
    """Whether the item is automatic and its rule is built."""
    return item.kind is Kind.AUTOMATIC and item.rule in RULES


def stand(item: Item, claim: Claim, facts: Facts, waiver: WaiverFact | None = None) -> ItemStanding:
    """Joins an item, what people claim about it, what facts say and what is waived."""
    rule = RULES.get(item.rule)
    return ItemStanding(item, claim, rule.read(facts) if rule is not None else None, waiver)


def _from_probe(facts: Facts, kind: str, nothing: str, judge: Callable[[ProbeFact], Evidence]) -> Evidence:
    """The part all rules about probes share: no target, no result, out of date, could not tell."""
    fact = facts.probes.get(kind)
    if fact is None:
        return Evidence(EvidenceState.UNKNOWN, nothing)
    if fact.status is None:
        return Evidence(EvidenceState.UNKNOWN, "Not probed yet.")
    if fact.is_stale:
        return Evidence(EvidenceState.STALE, "The last result is out of date.", fact.observed_at, True)
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


def _scenario_passes(name: str) -> Callable[[Facts], Evidence]:
    """The scenario of that name has passed its last runs; one good run alone may be luck."""
    nothing = f"Add the scenario {name} and let it pass."

    def rule(facts: Facts) -> Evidence:
        def judge(fact: ProbeFact) -> Evidence:
            verdicts = [_judge_walk(_read_scenarios(run).get(name)) for run in facts.scenario_runs[:GREEN_RUNS]]
            newest = verdicts[0] if verdicts else EvidenceState.UNKNOWN
            if newest is EvidenceState.FAILING:
                return _outcome(False, f"The scenario {name} fails: {fact.summary}", fact)
            green = next((place for place, one in enumerate(verdicts) if one is not EvidenceState.VERIFIED), None)
            green = len(verdicts) if green is None else green
            if green >= GREEN_RUNS:
                return _outcome(True, f"The scenario {name} passed its last {green} runs.", fact)
            text = f"The scenario {name} passed {green} runs in a row; {GREEN_RUNS} are wanted." if green else nothing
            return Evidence(EvidenceState.UNKNOWN, text, fact.observed_at)

        return _from_probe(facts, "scenario", nothing, judge)

    return rule


def _read_scenarios(data: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The data of each scenario by name, of one as of several."""
    several: Mapping[str, Mapping[str, Any]] = data.get("targets") or {str(data.get("name", "")): data}
    return several


def _judge_walk(data: Mapping[str, Any] | None) -> EvidenceState:
    steps = [step for step in (data or {}).get("steps", []) if not step.get("cleanup")]
    statuses = {step.get("status") for step in steps}
    if not statuses or "error" in statuses:
        return EvidenceState.UNKNOWN
    return EvidenceState.VERIFIED if statuses == {"pass"} else EvidenceState.FAILING


def _fits_a_phone(facts: Facts) -> Evidence:
    def judge(fact: ProbeFact) -> Evidence:
        views: list[dict[str, Any]] = fact.data.get("views", [])
        view = next((view for view in views if view.get("view") == PHONE), dict[str, Any]())
        if not view.get("width"):
            return Evidence(EvidenceState.UNKNOWN, "No phone’s window was opened.", fact.observed_at)
        if view.get("error") or not 200 <= (view.get("status_code") or 0) < 400:
            return _outcome(False, fact.summary, fact)
        if view.get("horizontal_scroll"):
            return _outcome(False, f"At {PHONE} the page scrolls sideways.", fact)
        if not fact.data.get("viewport_meta"):
            return _outcome(False, "The page does not tell phones its width.", fact)
        return _outcome(True, f"At {PHONE} the page fits its window.", fact)

    return _from_probe(facts, "browser", "Install a browser for the portal, and add the frontend’s URL.", judge)


def _asks_over_https_only(facts: Facts) -> Evidence:
    """What a browser saw counts; without one, what the scenarios asked."""

    def judge_browser(fact: ProbeFact) -> Evidence:
        is_good = fact.data.get("all_https")
        if is_good is None:
            return Evidence(EvidenceState.UNKNOWN, "No page opened.", fact.observed_at)
        found = [*fact.data.get("local_requests", []), *fact.data.get("plain_requests", [])]
        good = bool(is_good) and not found
        text = f"The page asks for {found[0]}." if found else "Some requests do not go over HTTPS."
        return _outcome(good, "Every request goes over HTTPS." if good else text, fact)

    def judge_scenarios(fact: ProbeFact) -> Evidence:
        known = [one["all_https"] for one in _read_scenarios(fact.data).values() if "all_https" in one]
        if not known:
            return Evidence(EvidenceState.UNKNOWN, "No scenario sent a request.", fact.observed_at)
        good = all(known)
        text = "Every request of the scenarios goes over HTTPS." if good else "A scenario met plain HTTP."
        return _outcome(good, text, fact)

    nothing = "Add the frontend’s URL for a browser to open, or a scenario."
    seen = _from_probe(facts, "browser", nothing, judge_browser)
    return seen if seen.state is not EvidenceState.UNKNOWN else _from_probe(facts, "scenario", nothing, judge_scenarios)


def _session_cookies_are_safe(facts: Facts) -> Evidence:
    def judge(fact: ProbeFact) -> Evidence:
        scenarios = _read_scenarios(fact.data).values()
        cookies = [cookie for one in scenarios for cookie in one.get("cookies", []) if cookie.get("sign_in")]
        if not cookies:
            text = "No scenario saw a cookie at sign-in: mark the step that signs in with sign_in = true."
            return Evidence(EvidenceState.UNKNOWN, text, fact.observed_at)
        bad = [f"{cookie.get('name')} lacks {lack}" for cookie in cookies for lack in _cookie_lacks(cookie)]
        return _outcome(not bad, "; ".join(bad) + "." if bad else "The cookies of sign-in are safe.", fact)

    return _from_probe(facts, "scenario", "Add a scenario that signs in.", judge)


def _cookie_lacks(cookie: Mapping[str, Any]) -> list[str]:
    lacks = [words for key, words in (("secure", "Secure"), ("httponly", "HttpOnly")) if not cookie.get(key)]
    if str(cookie.get("samesite") or "").lower() not in {"lax", "strict"}:
        lacks.append("SameSite")
    # Without a lifetime a cookie ends with the browser.
    if (cookie.get("max_age") or 0) > SESSION_SECONDS:
        lacks.append("a lifetime of 24 hours at most")
    return lacks


RULES: Mapping[str, Rule] = {
    "postgres.answers": Rule(Need.DATABASE, _database_answers),
    "postgres.has_tables": Rule(Need.DATABASE, _engine_is_postgresql),
    "http.frontend_answers": Rule(Need.FRONTEND, _endpoint_is_up("frontend", "Add the frontend’s URL.")),
    "http.api_healthy": Rule(Need.API, _endpoint_is_up("api", "Add the API’s URL with its health path.")),
    "http.redirects": Rule(Need.FRONTEND, _redirects_to_https),
    "tls.trusted": Rule(Need.FRONTEND, _certificates_are_good),
    "backups.proven": Rule(Need.BACKUP, _backups_are_proven),
    "scenario.login": Rule(Need.SCENARIO, _scenario_passes("login")),
    "scenario.create": Rule(Need.SCENARIO, _scenario_passes("create")),
    "scenario.upload": Rule(Need.SCENARIO, _scenario_passes("upload")),
    "scenario.notification": Rule(Need.SCENARIO, _scenario_passes("notification")),
    "scenario.chatbot": Rule(Need.SCENARIO, _scenario_passes("chatbot")),
    "browser.mobile": Rule(Need.FRONTEND, _fits_a_phone),
    "browser.https_only": Rule(Need.FRONTEND, _asks_over_https_only),
    "headers.session_cookies": Rule(Need.SCENARIO, _session_cookies_are_safe),
}
