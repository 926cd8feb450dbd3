"""Rules about what probes found; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from readiness.checklists.evidence import Evidence, EvidenceState, judged, unknown
from readiness.checklists.facts import Facts, ProbeFact
from readiness.probes.observatory.lists import is_own_domain

CERTIFICATE_DAYS = 21
GREEN_RUNS = 3
SESSION_SECONDS = 86_400
PHONE = "390x844"


def _from_probe(facts: Facts, kind: str, nothing: str, judge: Callable[[ProbeFact], Evidence]) -> Evidence:
    """The part all rules about probes share: no target, no result, out of date, could not tell."""
    fact = facts.probes.get(kind)
    if fact is None:
        return unknown(nothing)
    if fact.status is None:
        return unknown("Not probed yet.")
    if fact.is_stale:
        return Evidence(EvidenceState.STALE, "The last result is out of date.", fact.observed_at, True)
    if fact.status in {"error", "skipped"}:
        return unknown(fact.summary or "The probe could not tell.", fact.observed_at)
    return judge(fact)


def _outcome(is_true: bool, text: str, fact: ProbeFact) -> Evidence:
    return judged(is_true, text, fact.observed_at)


def database_answers(facts: Facts) -> Evidence:
    def judge(fact: ProbeFact) -> Evidence:
        answered = fact.finding("reachable")
        text = answered["summary"] if answered is not None else fact.summary
        return _outcome(fact.status != "fail" or fact.reason != "wrong_engine", text, fact)

    return _from_probe(facts, "postgres", "Connect a database.", judge)


def engine_is_postgresql(facts: Facts) -> Evidence:
    def judge(fact: ProbeFact) -> Evidence:
        if fact.reason == "wrong_engine":
            return _outcome(False, fact.summary, fact)
        tables = _count_tables(fact)
        if tables is None:
            return unknown("The number of tables is not known.", fact.observed_at)
        return _outcome(tables > 0, f"PostgreSQL with {tables} tables.", fact)

    return _from_probe(facts, "postgres", "Connect a database.", judge)


def tables_are_there(facts: Facts) -> Evidence:
    """What facts can say about a migration without a report; that the schema is the current one, a person confirms."""

    def judge(fact: ProbeFact) -> Evidence:
        tables = _count_tables(fact)
        if tables is None:
            return unknown("The number of tables is not known.", fact.observed_at)
        return _outcome(tables > 0, f"There are {tables} tables; no migration report.", fact)

    return _from_probe(facts, "postgres", "Connect a database.", judge)


def rows_are_there(facts: Facts) -> Evidence:
    """What facts can say about imported data without a report; that it is the right one, a person confirms."""

    def judge(fact: ProbeFact) -> Evidence:
        counts = [[table.get("rows") or 0 for table in one.get("largest_tables", [])] for one in _list_databases(fact)]
        if not all(counts):
            return unknown("How many rows there are is not known.", fact.observed_at)
        rows = min(sum(each) for each in counts)
        return _outcome(rows > 0, f"The largest tables hold about {rows:,} rows; no migration report.", fact)

    return _from_probe(facts, "postgres", "Connect a database.", judge)


def sessions_are_encrypted(facts: Facts) -> Evidence:
    """The probe's own connection uses TLS or never leaves the machine, and so do sessions of the application."""

    def judge(fact: ProbeFact) -> Evidence:
        databases = _list_databases(fact)
        if any("tls" not in one for one in databases):
            return unknown("Whether the connection uses TLS is not known.", fact.observed_at)
        if not all(one["tls"] or one.get("local") for one in databases):
            return _outcome(False, "The connection does not use TLS.", fact)
        applications = [one.get("application") or {} for one in databases]
        if any(each.get("protected") is None for each in applications):
            text = "The probe’s role may not see the sessions of others: grant it pg_monitor."
            return unknown(text, fact.observed_at)
        if any(each["protected"] < each["sessions"] for each in applications):
            return _outcome(False, "Sessions of the application are not encrypted.", fact)
        if not all(each["sessions"] for each in applications):
            return unknown("No session of the application’s role has been seen yet.", fact.observed_at)
        return _outcome(True, "The connection and the sessions of the application are encrypted.", fact)

    return _from_probe(facts, "postgres", "Connect a database.", judge)


def connections_are_pooled(facts: Facts) -> Evidence:
    """A pool is seen; where none is, nobody can tell whether there is none."""

    def judge(fact: ProbeFact) -> Evidence:
        pools = [one.get("pooling") or {} for one in _list_databases(fact)]
        if all(pool.get("seen") for pool in pools):
            return _outcome(True, f"Connections are pooled: {pools[0].get('how')}.", fact)
        found = fact.finding("pooling")
        return unknown(found["summary"] if found is not None else "No pool was seen.", fact.observed_at)

    return _from_probe(facts, "postgres", "Connect a database.", judge)


def _list_databases(fact: ProbeFact) -> list[Mapping[str, Any]]:
    """The data of each database: of several, each counts."""
    several: Mapping[str, Mapping[str, Any]] = fact.data.get("targets", {"": fact.data})
    return list(several.values())


def _count_tables(fact: ProbeFact) -> int | None:
    return min((one["tables"] for one in _list_databases(fact) if "tables" in one), default=None)


def endpoint_is_up(role: str, missing: str) -> Callable[[Facts], Evidence]:
    def rule(facts: Facts) -> Evidence:
        if role not in facts.roles:
            return unknown(missing)

        def judge(fact: ProbeFact) -> Evidence:
            found = [endpoint for endpoint in fact.data.get("endpoints", []) if endpoint.get("role") == role]
            codes = [endpoint.get("status_code") for endpoint in found]
            if not codes or any(code is None for code in codes):
                return _outcome(False, "It does not answer.", fact)
            content = next((one for one in fact.findings if one.get("id") == "content"), None)
            if role == "frontend" and content is not None and content.get("status") == "fail":
                return _outcome(False, content["summary"], fact)
            return _outcome(
                all(200 <= code < 300 for code in codes), f"Answers {', '.join(str(code) for code in codes)}.", fact
            )

        return _from_probe(facts, "http", missing, judge)

    return rule


def health_path_answers(facts: Facts) -> Evidence:
    """Every API's health path answers itself, without a redirect, and not too slowly."""
    missing = "Add the API’s URL with its health path."
    if not any(endpoint.role == "api" and endpoint.health_path for endpoint in facts.endpoints):
        return unknown(missing)

    def judge(fact: ProbeFact) -> Evidence:
        found = [endpoint for endpoint in fact.data.get("endpoints", []) if endpoint.get("role") == "api"]
        if not found or not all(200 <= (endpoint.get("status_code") or 0) < 300 for endpoint in found):
            return _outcome(False, "The health path does not answer with 2xx.", fact)
        if any(endpoint.get("redirects") for endpoint in found):
            return _outcome(False, "The health path redirects.", fact)
        urls = tuple(str(endpoint.get("url")) for endpoint in found)
        slow = next((one for one in fact.findings if one.get("id") == "latency" and one.get("status") == "fail"), None)
        if slow is not None and slow.get("summary", "").startswith(urls):
            return _outcome(False, slow["summary"], fact)
        return _outcome(True, "The health path answers itself.", fact)

    return _from_probe(facts, "http", missing, judge)


def domain_is_own(facts: Facts) -> Evidence:
    """No endpoint is under a name that a provider gives away, such as onrender.com, and certificates are trusted."""
    if not facts.endpoints:
        return unknown("Add an endpoint.")

    def judge(fact: ProbeFact) -> Evidence:
        lent = next((host for host in (endpoint.host for endpoint in facts.endpoints) if not is_own_domain(host)), None)
        if lent is not None:
            return _outcome(False, f"{lent or 'An address'} is not under a domain of your own.", fact)
        good = bool(fact.data.get("trusted") and fact.data.get("hostname_ok"))
        return _outcome(good, "Every host is under a domain of your own." if good else fact.summary, fact)

    return _from_probe(facts, "tls", "Add an endpoint.", judge)


def headers_are_strict(facts: Facts) -> Evidence:
    """Every endpoint is graded A+ and meets the profile of the checklist."""

    def judge(fact: ProbeFact) -> Evidence:
        grade = fact.data.get("grade")
        if grade is None or fact.status == "fail":
            return _outcome(False, fact.summary or "The headers were not graded.", fact)
        if grade != "A+":
            return _outcome(False, f"The grade is {grade}, not A+.", fact)
        profiles = [one for one in fact.findings if one.get("id") == "profile"]
        if not profiles:
            return unknown("The profile of the headers was not judged.", fact.observed_at)
        bad = next((one for one in profiles if one.get("status") != "pass"), None)
        if bad is not None:
            return _outcome(False, f"Missing: {bad.get('detail') or bad.get('summary')}.", fact)
        return _outcome(True, "Grade A+, and every directive of the profile.", fact)

    return _from_probe(facts, "headers", "Add an endpoint.", judge)


def is_installable(facts: Facts) -> Evidence:
    """The page links a manifest and registers a service worker."""

    def judge(fact: ProbeFact) -> Evidence:
        if fact.data.get("service_worker") is None:
            return unknown("No page opened.", fact.observed_at)
        wanted = {"manifest": fact.data.get("manifest_url"), "service worker": fact.data["service_worker"]}
        lacks = [word for word, there in wanted.items() if not there]
        if lacks:
            return _outcome(False, f"The page has no {' and no '.join(lacks)}.", fact)
        return _outcome(True, "The page has a manifest and a service worker.", fact)

    return _from_probe(facts, "browser", "Install a browser for the portal, and add the frontend’s URL.", judge)


def certificates_are_good(facts: Facts) -> Evidence:
    def judge(fact: ProbeFact) -> Evidence:
        data = fact.data
        days = data.get("days_left")
        good = bool(data.get("trusted") and data.get("hostname_ok") and days is not None and days > CERTIFICATE_DAYS)
        text = f"{days} days left." if good else (fact.summary or "A certificate is not in order.")
        return _outcome(good and fact.status != "fail", text, fact)

    return _from_probe(facts, "tls", "Add an endpoint.", judge)


def shows_no_stack_trace(facts: Facts) -> Evidence:
    """A malformed request to each API is answered without a stack trace."""
    missing = "Add the API’s URL."
    if "api" not in facts.roles:
        return unknown(missing)

    def judge(fact: ProbeFact) -> Evidence:
        apis = [endpoint for endpoint in fact.data.get("endpoints", []) if endpoint.get("role") == "api"]
        shown = [endpoint.get("stack_trace") for endpoint in apis]
        if True in shown:
            return _outcome(False, "A malformed request is answered with a stack trace.", fact)
        if not shown or None in shown:
            return unknown("The API did not answer a malformed request.", fact.observed_at)
        return _outcome(True, "A malformed request is answered without a stack trace.", fact)

    return _from_probe(facts, "http", missing, judge)


def redirects_to_https(facts: Facts) -> Evidence:
    def judge(fact: ProbeFact) -> Evidence:
        found = [finding for finding in fact.findings if finding.get("id") == "https_redirect"]
        if not found:
            return unknown("The probe saw no redirect to judge.", fact.observed_at)
        bad = [finding for finding in found if finding.get("status") != "pass"]
        return _outcome(not bad, (bad or found)[0]["summary"], fact)

    return _from_probe(facts, "http", "Add an endpoint.", judge)


def scenario_passes(name: str) -> Callable[[Facts], Evidence]:
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
            return unknown(text, fact.observed_at)

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


def fits_a_phone(facts: Facts) -> Evidence:
    def judge(fact: ProbeFact) -> Evidence:
        views: list[dict[str, Any]] = fact.data.get("views", [])
        view = next((view for view in views if view.get("view") == PHONE), dict[str, Any]())
        if not view.get("width"):
            return unknown("No phone’s window was opened.", fact.observed_at)
        if view.get("error") or not 200 <= (view.get("status_code") or 0) < 400:
            return _outcome(False, fact.summary, fact)
        if view.get("horizontal_scroll"):
            return _outcome(False, f"At {PHONE} the page scrolls sideways.", fact)
        if not fact.data.get("viewport_meta"):
            return _outcome(False, "The page does not tell phones its width.", fact)
        return _outcome(True, f"At {PHONE} the page fits its window.", fact)

    return _from_probe(facts, "browser", "Install a browser for the portal, and add the frontend’s URL.", judge)


def asks_over_https_only(facts: Facts) -> Evidence:
    """What a browser saw counts; without one, what the scenarios asked."""

    def judge_browser(fact: ProbeFact) -> Evidence:
        is_good = fact.data.get("all_https")
        if is_good is None:
            return unknown("No page opened.", fact.observed_at)
        found = [*fact.data.get("local_requests", []), *fact.data.get("plain_requests", [])]
        good = bool(is_good) and not found
        text = f"The page asks for {found[0]}." if found else "Some requests do not go over HTTPS."
        return _outcome(good, "Every request goes over HTTPS." if good else text, fact)

    def judge_scenarios(fact: ProbeFact) -> Evidence:
        known = [one["all_https"] for one in _read_scenarios(fact.data).values() if "all_https" in one]
        if not known:
            return unknown("No scenario sent a request.", fact.observed_at)
        good = all(known)
        text = "Every request of the scenarios goes over HTTPS." if good else "A scenario met plain HTTP."
        return _outcome(good, text, fact)

    nothing = "Add the frontend’s URL for a browser to open, or a scenario."
    seen = _from_probe(facts, "browser", nothing, judge_browser)
    return seen if seen.state is not EvidenceState.UNKNOWN else _from_probe(facts, "scenario", nothing, judge_scenarios)


def session_cookies_are_safe(facts: Facts) -> Evidence:
    def judge(fact: ProbeFact) -> Evidence:
        scenarios = _read_scenarios(fact.data).values()
        cookies = [cookie for one in scenarios for cookie in one.get("cookies", []) if cookie.get("sign_in")]
        if not cookies:
            text = "No scenario saw a cookie at sign-in: mark the step that signs in with sign_in = true."
            return unknown(text, fact.observed_at)
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
