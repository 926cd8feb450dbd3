"""What facts say about items: each rule in each state, and that nothing but a fresh good fact ever verifies one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from readiness.checklists.evidence import Evidence, EvidenceState
from readiness.checklists.facts import BackupFacts, EndpointFact, Facts, PostedValue
from readiness.checklists.life import STORED_STATES, State
from readiness.checklists.template import Item, Kind, load_template
from readiness.checklists.verification import RULES, Claim, is_verified_by_facts, stand
from readiness.trackers.base import RULE_KEYS
from readiness.trackers.facts import RoleFacts
from tests.readiness.factories import GOOD_CHECKLIST_DATA, GOOD_DATA, make_fact, make_facts, make_tracker_facts

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PROBE_RULES = {
    "postgres.answers": "postgres",
    "postgres.has_tables": "postgres",
    "http.frontend_answers": "http",
    "http.api_healthy": "http",
    "http.redirects": "http",
    "http.health_path": "http",
    "http.no_stack_trace": "http",
    "http.custom_domain": "tls",
    "headers.strict": "headers",
    "postgres.encrypted_sessions": "postgres",
    "postgres.pooled": "postgres",
    "migration.done": "postgres",
    "migration.rows_equal": "postgres",
    "browser.installable": "browser",
    "tls.trusted": "tls",
    "scenario.login": "scenario",
    "scenario.create": "scenario",
    "scenario.upload": "scenario",
    "scenario.notification": "scenario",
    "scenario.chatbot": "scenario",
    "browser.mobile": "browser",
    "headers.session_cookies": "scenario",
}
VERIFIED, FAILING = EvidenceState.VERIFIED, EvidenceState.FAILING
STALE, UNKNOWN = EvidenceState.STALE, EvidenceState.UNKNOWN


def read(rule: str, facts: Facts) -> Evidence:
    return RULES[rule].read(facts)


def with_probe(kind: str, **change: Any) -> Facts:
    facts = make_facts(NOON)
    return replace(facts, probes={**facts.probes, kind: replace(facts.probes[kind], **change)})


def find_item(kind: Kind, *, rule: str | None = None) -> Item:
    return next(item for item in load_template().items if item.kind is kind and rule in (None, item.rule))


def test_it_has_tried_every_rule_there_is() -> None:
    others = {"browser.https_only", "backups.proven", "backups.restored", "alerts.acknowledged", "ci.env_vars"}
    assert set(RULES) == {*PROBE_RULES, *others, *(rule for rule in RULES if rule.startswith("tracker."))}


def test_it_knows_only_rules_that_the_template_asks_for() -> None:
    assert set(RULES) <= {item.rule for item in load_template().items}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_it_verifies_what_fresh_good_facts_show(rule: str) -> None:
    assert read(rule, make_facts(NOON)).state is VERIFIED


@pytest.mark.parametrize(("rule", "kind"), sorted(PROBE_RULES.items()))
@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"is_stale": True}, STALE),
        ({"status": "fail", "is_stale": True}, STALE),
        ({"status": "error", "summary": "No answer."}, UNKNOWN),
        ({"status": "skipped", "summary": "No right."}, UNKNOWN),
        ({"status": None}, UNKNOWN),
    ],
)
def test_it_never_verifies_on_a_result_that_says_nothing(
    rule: str, kind: str, change: dict[str, Any], state: EvidenceState
) -> None:
    assert read(rule, with_probe(kind, **change)).state is state


@pytest.mark.parametrize("rule", sorted(PROBE_RULES))
def test_it_says_what_to_connect_when_nothing_is(rule: str) -> None:
    evidence = read(rule, make_facts(NOON, [], roles=frozenset()))

    assert evidence.state is UNKNOWN
    assert evidence.text.startswith(("Add ", "Connect ", "Install "))


@pytest.mark.parametrize(
    ("rule", "kind", "change", "state"),
    [
        ("postgres.answers", "postgres", {"status": "fail", "reason": "wrong_engine"}, FAILING),
        ("postgres.answers", "postgres", {"status": "fail", "reason": "too_slow"}, VERIFIED),
        ("postgres.has_tables", "postgres", {"status": "fail", "reason": "wrong_engine"}, FAILING),
        ("postgres.has_tables", "postgres", {"data": {"tables": 0}}, FAILING),
        ("postgres.has_tables", "postgres", {"data": {}}, UNKNOWN),
        (
            "postgres.has_tables",
            "postgres",
            {"data": {"targets": {"main": {"tables": 3}, "log": {"tables": 0}}}},
            FAILING,
        ),
        (
            "postgres.has_tables",
            "postgres",
            {"data": {"targets": {"main": {"tables": 3}, "log": {"tables": 1}}}},
            VERIFIED,
        ),
        ("http.frontend_answers", "http", {"data": {"endpoints": []}}, FAILING),
        (
            "http.frontend_answers",
            "http",
            {"data": {"endpoints": [{"role": "frontend", "status_code": None}]}},
            FAILING,
        ),
        (
            "http.frontend_answers",
            "http",
            {
                "data": {
                    "endpoints": [{"role": "frontend", "status_code": 200}, {"role": "frontend", "status_code": 500}]
                }
            },
            FAILING,
        ),
        ("http.api_healthy", "http", {"data": {"endpoints": [{"role": "api", "status_code": 404}]}}, FAILING),
        ("http.redirects", "http", {"findings": ()}, UNKNOWN),
        (
            "http.redirects",
            "http",
            {"findings": ({"id": "https_redirect", "status": "fail", "summary": "It stays on HTTP."},)},
            FAILING,
        ),
        (
            "http.redirects",
            "http",
            {
                "findings": (
                    {"id": "https_redirect", "status": "pass", "summary": "The first leads to HTTPS."},
                    {"id": "https_redirect", "status": "warn", "summary": "The second stays on HTTP."},
                )
            },
            FAILING,
        ),
        ("tls.trusted", "tls", {"status": "fail"}, FAILING),
        ("tls.trusted", "tls", {"data": {**GOOD_DATA["tls"], "trusted": False}}, FAILING),
        ("tls.trusted", "tls", {"data": {**GOOD_DATA["tls"], "hostname_ok": False}}, FAILING),
        ("tls.trusted", "tls", {"data": {**GOOD_DATA["tls"], "days_left": 21}}, FAILING),
        ("tls.trusted", "tls", {"data": {**GOOD_DATA["tls"], "days_left": 22}}, VERIFIED),
        ("tls.trusted", "tls", {"data": {**GOOD_DATA["tls"], "days_left": None}}, FAILING),
        ("tls.trusted", "tls", {"data": {}}, FAILING),
    ],
)
def test_it_reads_the_fact_behind_each_rule(rule: str, kind: str, change: dict[str, Any], state: EvidenceState) -> None:
    assert read(rule, with_probe(kind, **change)).state is state


@pytest.mark.parametrize(
    ("rule", "missing"), [("http.frontend_answers", {"api"}), ("http.api_healthy", {"frontend", "alias"})]
)
def test_it_says_nothing_about_a_role_that_is_not_connected(rule: str, missing: set[str]) -> None:
    assert read(rule, make_facts(NOON, roles=frozenset(missing))).state is UNKNOWN


@pytest.mark.parametrize(
    ("backups", "state"),
    [
        (BackupFacts(), UNKNOWN),
        (BackupFacts(newest_done_at=NOON), UNKNOWN),
        (BackupFacts(last_error="The disk is full.", last_failed_at=NOON), FAILING),
        (BackupFacts(newest_proven_at=NOON - timedelta(days=8)), STALE),
        (BackupFacts(newest_proven_at=NOON, databases_without_proof=("log",)), STALE),
        (BackupFacts(newest_proven_at=NOON, last_error="An older attempt failed."), VERIFIED),
    ],
)
def test_it_believes_only_a_backup_that_a_restore_proved_recently(backups: BackupFacts, state: EvidenceState) -> None:
    assert read("backups.proven", make_facts(NOON, backups=backups)).state is state


@pytest.mark.parametrize("status", ["fail", "error", "skipped", None])
def test_no_claim_verifies_an_automatic_item(status: str | None) -> None:
    item = find_item(Kind.AUTOMATIC, rule="tls.trusted")

    standing = stand(item, Claim(State.VERIFIED, NOON, "lea"), with_probe("tls", status=status))

    assert standing.is_automatic
    assert standing.state is (State.FAILING if status == "fail" else State.UNVERIFIABLE)


def test_facts_alone_verify_an_automatic_item() -> None:
    item = find_item(Kind.AUTOMATIC, rule="tls.trusted")

    assert stand(item, Claim(State.TODO), make_facts(NOON)).state is State.VERIFIED
    assert stand(item, Claim(State.STALE), make_facts(NOON)).state is State.VERIFIED


def test_an_automatic_item_whose_rule_is_not_built_is_not_verifiable_whatever_is_claimed() -> None:
    item = next(item for item in load_template().items if item.kind is Kind.AUTOMATIC and item.rule not in RULES)

    assert not is_verified_by_facts(item)
    assert stand(item, Claim(State.VERIFIED), make_facts(NOON)).state is State.UNVERIFIABLE
    assert stand(item, Claim(State.NOT_APPLICABLE), make_facts(NOON)).state is State.NOT_APPLICABLE


@pytest.mark.parametrize("state", list(STORED_STATES))
def test_a_manual_item_stands_where_people_left_it(state: State) -> None:
    assert stand(find_item(Kind.MANUAL), Claim(state), make_facts(NOON)).state is state


@pytest.mark.parametrize(
    ("status", "state"),
    [("pass", State.VERIFIED), ("fail", State.FAILING), ("error", State.UNVERIFIABLE), (None, State.UNVERIFIABLE)],
)
def test_a_hybrid_item_takes_a_fact_and_a_person(status: str | None, state: State) -> None:
    item = replace(find_item(Kind.HYBRID), rule="postgres.answers")
    facts = with_probe("postgres", status=status, reason="wrong_engine" if status == "fail" else "")

    assert stand(item, Claim(State.VERIFIED), facts).state is state
    assert not stand(item, Claim(State.SUBMITTED), facts).is_done
    assert not stand(item, Claim(State.TODO), facts).is_done


def test_it_tells_when_the_fact_behind_it_was_observed() -> None:
    at = NOON - timedelta(seconds=30)
    facts = make_facts(NOON, [make_fact("tls", "fail", observed_at=at)])

    assert stand(find_item(Kind.AUTOMATIC, rule="tls.trusted"), Claim(), facts).since == at


def test_it_tells_since_when_it_is_stale_and_not_when_it_was_looked_at_last() -> None:
    item, long_ago = find_item(Kind.AUTOMATIC, rule="tls.trusted"), NOON - timedelta(days=2)
    facts = with_probe("tls", status="fail")

    assert stand(item, Claim(State.STALE, long_ago), facts).since == long_ago
    assert stand(item, Claim(State.VERIFIED, long_ago), facts).since == NOON


def test_it_tells_out_of_date_from_aged() -> None:
    late = stand(find_item(Kind.AUTOMATIC, rule="tls.trusted"), Claim(), with_probe("tls", is_stale=True))
    old = BackupFacts(newest_proven_at=NOON - timedelta(days=8))
    aged = stand(find_item(Kind.AUTOMATIC, rule="backups.proven"), Claim(), make_facts(NOON, backups=old))

    assert (late.state, late.is_out_of_date) == (State.STALE, True)
    assert (aged.state, aged.is_out_of_date) == (State.STALE, False)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"tls": False, "local": True}, VERIFIED),
        ({"tls": False}, FAILING),
        ({"tls": None, "local": False}, FAILING),
        ({"application": {"sessions": 3, "protected": 2}}, FAILING),
        ({"application": {"sessions": 3, "protected": None}}, UNKNOWN),
        ({"application": {"sessions": 0, "protected": 0}}, UNKNOWN),
        ({"application": None}, UNKNOWN),
    ],
)
def test_it_wants_encrypted_sessions_of_the_application(change: dict[str, Any], state: EvidenceState) -> None:
    facts = with_probe("postgres", data={**GOOD_DATA["postgres"], **change})

    assert read("postgres.encrypted_sessions", facts).state is state


def test_a_pool_that_nobody_saw_is_not_verifiable() -> None:
    facts = with_probe("postgres", data={**GOOD_DATA["postgres"], "pooling": {"seen": False}})

    assert read("postgres.pooled", facts).state is UNKNOWN


@pytest.mark.parametrize(
    ("tables", "state"), [([{"rows": 1}], VERIFIED), ([{"rows": 0}, {"rows": 0}], FAILING), ([], UNKNOWN)]
)
def test_it_wants_rows(tables: list[dict[str, int]], state: EvidenceState) -> None:
    facts = with_probe("postgres", data={**GOOD_DATA["postgres"], "largest_tables": tables})

    assert read("migration.rows_equal", facts).state is state


@pytest.mark.parametrize(
    ("data", "findings", "state"),
    [
        ({"grade": "A"}, ({"id": "profile", "status": "pass"},), FAILING),
        ({"grade": None}, (), FAILING),
        ({"grade": "A+"}, ({"id": "profile", "status": "warn", "detail": "nosniff"},), FAILING),
        ({"grade": "A+"}, ({"id": "profile", "status": "pass"}, {"id": "profile", "status": "warn"}), FAILING),
        ({"grade": "A+"}, (), UNKNOWN),
    ],
)
def test_it_wants_the_best_grade_and_the_whole_profile(
    data: dict[str, Any], findings: tuple[dict[str, str], ...], state: EvidenceState
) -> None:
    assert read("headers.strict", with_probe("headers", data=data, findings=findings)).state is state


def test_the_frontend_has_to_hold_its_content() -> None:
    lacks = {"id": "content", "status": "fail", "summary": "It does not hold the expected text."}
    facts = with_probe("http", status="fail", findings=(lacks,))

    assert read("http.frontend_answers", facts) == Evidence(FAILING, lacks["summary"], NOON)
    assert read("http.api_healthy", facts).state is VERIFIED


@pytest.mark.parametrize(
    ("change", "state"),
    [({"redirects": 1}, FAILING), ({"status_code": 503}, FAILING), ({"status_code": None}, FAILING), ({}, VERIFIED)],
)
def test_the_health_path_answers_itself(change: dict[str, Any], state: EvidenceState) -> None:
    facts = with_probe("http", data={"endpoints": [{"role": "api", "status_code": 200, "redirects": 0, **change}]})

    assert read("http.health_path", facts).state is state


@pytest.mark.parametrize(("shown", "state"), [(True, FAILING), (False, VERIFIED), (None, UNKNOWN)])
def test_an_api_shows_no_stack_trace(shown: bool | None, state: EvidenceState) -> None:
    apis = [{"role": "api", "stack_trace": False}, {"role": "api", "stack_trace": shown}]

    assert read("http.no_stack_trace", with_probe("http", data={"endpoints": apis})).state is state


def test_the_health_path_is_not_judged_where_there_is_none() -> None:
    facts = make_facts(NOON, endpoints=(EndpointFact("api", "https://api.shop.example.org/"),))

    assert read("http.health_path", facts).state is UNKNOWN


@pytest.mark.parametrize(
    ("url", "state"),
    [
        ("https://shop.example.org/", VERIFIED),
        ("https://shop.onrender.com/", FAILING),
        ("https://shop.vercel.app/", FAILING),
        ("https://127.0.0.1/", FAILING),
        ("https://localhost/", FAILING),
    ],
)
def test_a_name_that_a_provider_lends_is_not_ones_own(url: str, state: EvidenceState) -> None:
    assert read("http.custom_domain", make_facts(NOON, endpoints=(EndpointFact("frontend", url),))).state is state


@pytest.mark.parametrize("lack", ["manifest_url", "service_worker"])
def test_an_app_has_a_manifest_and_a_worker(lack: str) -> None:
    facts = with_probe("browser", data={**GOOD_CHECKLIST_DATA["browser"], lack: False})

    assert read("browser.installable", facts).state is FAILING


@pytest.mark.parametrize(
    ("posted", "state", "text"),
    [
        ({"setting.SENTRY_DSN": False}, FAILING, "Not set: SENTRY_DSN."),
        ({"secret_bits.JWT_SECRET": 128}, FAILING, "Shorter than 256 bits: JWT_SECRET."),
        ({"schema_provider": "sqlite"}, FAILING, "The schema’s provider is sqlite."),
        ({"setting.NODE_ENV": True}, VERIFIED, "2 settings are set, and 1 secrets are long enough."),
    ],
)
def test_it_reads_what_ci_posts(posted: dict[str, Any], state: EvidenceState, text: str) -> None:
    facts = make_facts(NOON)
    news = {name: PostedValue(value, NOON) for name, value in posted.items()}
    facts = replace(facts, posted={**facts.posted, **news})

    assert read("ci.env_vars", facts) == Evidence(state, text, NOON)


def test_what_ci_posts_ages() -> None:
    facts = make_facts(NOON)
    old = {name: replace(fact, at=NOON - timedelta(days=7, seconds=1)) for name, fact in facts.posted.items()}

    assert read("ci.env_vars", replace(facts, posted=old)).state is STALE
    assert read("ci.env_vars", replace(facts, posted={})).state is UNKNOWN
    one = {name: fact for name, fact in facts.posted.items() if name != "schema_provider"}
    assert read("ci.env_vars", replace(facts, posted=one)).state is UNKNOWN


def test_an_acknowledged_alert_ages() -> None:
    assert read("alerts.acknowledged", make_facts(NOON, alert_acknowledged_at=None)).state is UNKNOWN
    old = make_facts(NOON, alert_acknowledged_at=NOON - timedelta(days=91))
    assert read("alerts.acknowledged", old).state is STALE


def role(name: str, **fields: Any) -> RoleFacts:
    return RoleFacts(role=name, project=name, **fields)


@pytest.mark.parametrize(
    ("rule", "tracker", "state"),
    [
        ("tracker.answers", {"error": "The token is refused."}, FAILING),
        ("tracker.backend_events", {"roles": (role("frontend", newest_event_at=NOON),)}, UNKNOWN),
        ("tracker.backend_events", {"roles": (role("backend"),)}, UNKNOWN),
        ("tracker.backend_events", {"roles": (role("backend", newest_event_at=NOON - timedelta(days=31)),)}, STALE),
        ("tracker.frontend_events", {"roles": (role("backend", newest_event_at=NOON),)}, UNKNOWN),
        ("tracker.alert_rules", {"roles": (role("backend", rules_there={"new_issue": True}),)}, UNKNOWN),
        ("tracker.alert_rules", {"roles": (role("backend", rules_there=dict.fromkeys(RULE_KEYS, False)),)}, FAILING),
        ("tracker.alert_rules", {"roles": (role("backend"),), "rules_here": frozenset(RULE_KEYS)}, VERIFIED),
        ("tracker.test_error", {"acknowledged_at": None}, UNKNOWN),
        ("tracker.test_error", {"roles": (role("backend"),)}, UNKNOWN),
        ("tracker.replays", {"roles": (role("frontend", has_replay=False),)}, FAILING),
        ("tracker.replays", {"roles": (role("frontend"),)}, UNKNOWN),
        ("tracker.scrubbing", {"roles": (role("a", is_scrubbed=True), role("b", is_scrubbed=False))}, FAILING),
        ("tracker.scrubbing", {"roles": (role("a", is_scrubbed=True), role("b"))}, UNKNOWN),
    ],
)
def test_it_reads_what_the_tracker_says(rule: str, tracker: dict[str, Any], state: EvidenceState) -> None:
    assert read(rule, make_facts(NOON, tracker=make_tracker_facts(NOON, **tracker))).state is state


@pytest.mark.parametrize("rule", sorted(rule for rule in RULES if rule.startswith("tracker.")))
def test_no_tracker_is_nothing_known_and_an_old_word_is_stale(rule: str) -> None:
    assert read(rule, make_facts(NOON, tracker=None)).state is UNKNOWN
    assert read(rule, make_facts(NOON, tracker=make_tracker_facts(NOON, synced_at=None))).state is UNKNOWN
    late = read(rule, make_facts(NOON, tracker=make_tracker_facts(NOON, is_stale=True)))
    assert (late.state, late.is_out_of_date) == (STALE, True)


PASSED: list[dict[str, Any]] = [{"status": "pass", "cleanup": False}]
WALK: dict[str, Any] = {"name": "login", "steps": PASSED, "all_https": True, "cookies": []}
FAILED = {**WALK, "steps": [*PASSED, {"status": "fail", "cleanup": False}]}
UNTIDY = {**WALK, "steps": [*PASSED, {"status": "fail", "cleanup": True}]}
UNSURE = {**WALK, "steps": [{"status": "error", "cleanup": False}, {"status": "skipped", "cleanup": False}]}


@pytest.mark.parametrize(
    ("runs", "state"),
    [
        ((WALK, WALK, WALK), VERIFIED),
        ((UNTIDY, WALK, WALK), VERIFIED),
        (({"targets": {"login": WALK, "create": FAILED}}, WALK, WALK), VERIFIED),
        ((WALK, WALK), UNKNOWN),
        ((WALK, FAILED, WALK), UNKNOWN),
        ((WALK, {}, WALK), UNKNOWN),
        ((FAILED, WALK, WALK), FAILING),
        ((UNSURE, WALK, WALK), UNKNOWN),
        (({}, WALK, WALK), UNKNOWN),
        (({"targets": {"create": WALK}}, WALK, WALK), UNKNOWN),
        ((), UNKNOWN),
    ],
)
def test_it_believes_a_scenario_after_three_good_runs(runs: tuple[Any, ...], state: EvidenceState) -> None:
    assert read("scenario.login", make_facts(NOON, scenario_runs=runs)).state is state


VIEW = GOOD_CHECKLIST_DATA["browser"]["views"][0]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"views": [{**VIEW, "horizontal_scroll": True}]}, FAILING),
        ({"views": [{**VIEW, "status_code": 500}]}, FAILING),
        ({"views": [{**VIEW, "error": "net::ERR_FAILED", "status_code": None}]}, FAILING),
        ({"views": [{**VIEW, "view": "1440x900"}]}, UNKNOWN),
        ({"views": []}, UNKNOWN),
        ({"viewport_meta": None}, FAILING),
    ],
)
def test_it_looks_at_the_page_in_a_phones_window(change: dict[str, Any], state: EvidenceState) -> None:
    facts = with_probe("browser", data={**GOOD_CHECKLIST_DATA["browser"], **change})

    assert read("browser.mobile", facts).state is state


@pytest.mark.parametrize(
    ("browser", "scenario", "state"),
    [
        ({"all_https": True}, {}, VERIFIED),
        ({"all_https": False, "plain_requests": ["http://x/"]}, {"all_https": True}, FAILING),
        ({"all_https": True, "local_requests": ["https://localhost/"]}, {"all_https": True}, FAILING),
        ({"all_https": None}, {"name": "login", "all_https": True}, VERIFIED),
        (None, {"name": "login", "all_https": True}, VERIFIED),
        (None, {"targets": {"login": {"all_https": True}, "create": {"all_https": False}}}, FAILING),
        (None, {}, UNKNOWN),
        (None, None, UNKNOWN),
    ],
)
def test_it_takes_the_browsers_word_for_https_before_that_of_scenarios(
    browser: dict[str, Any] | None, scenario: dict[str, Any] | None, state: EvidenceState
) -> None:
    given = {"browser": browser, "scenario": scenario}
    probes = [make_fact(kind, data=data) for kind, data in given.items() if data is not None]

    assert read("browser.https_only", make_facts(NOON, probes)).state is state


COOKIE = {"name": "sid", "secure": True, "httponly": True, "samesite": "strict", "max_age": None, "sign_in": True}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"max_age": 86_400}, ""),
        ({"secure": False}, "sid lacks Secure."),
        ({"httponly": False}, "sid lacks HttpOnly."),
        ({"samesite": None}, "sid lacks SameSite."),
        ({"samesite": "none"}, "sid lacks SameSite."),
        ({"max_age": 86_401}, "sid lacks a lifetime of 24 hours at most."),
    ],
)
def test_it_judges_the_cookies_of_sign_in(change: dict[str, Any], words: str) -> None:
    unrelated = {**COOKIE, "name": "theme", "secure": False, "sign_in": False}
    facts = with_probe("scenario", data={"name": "login", "cookies": [unrelated, {**COOKIE, **change}]})

    evidence = read("headers.session_cookies", facts)

    assert evidence.state is (FAILING if words else VERIFIED)
    assert not words or evidence.text == words


def test_it_cannot_judge_cookies_that_nobody_saw_at_sign_in() -> None:
    facts = with_probe("scenario", data={"name": "login", "cookies": [{**COOKIE, "sign_in": False}]})

    assert read("headers.session_cookies", facts).state is UNKNOWN
