"""What facts say about items: each rule in each state, and that nothing but a fresh good fact ever verifies one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from readiness.checklists.facts import BackupFacts, Facts
from readiness.checklists.template import Item, Kind, load_template
from readiness.checklists.verification import RULES, Claim, Evidence, EvidenceState, is_verified_by_facts, stand
from tests.readiness.factories import GOOD_CHECKLIST_DATA, GOOD_DATA, make_fact, make_facts

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PROBE_RULES = {
    "postgres.answers": "postgres",
    "postgres.has_tables": "postgres",
    "http.frontend_answers": "http",
    "http.api_healthy": "http",
    "http.redirects": "http",
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
    assert set(RULES) == {*PROBE_RULES, "backups.proven", "browser.https_only"}


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


def test_it_takes_no_tick_for_an_automatic_item() -> None:
    item = find_item(Kind.AUTOMATIC, rule="tls.trusted")
    claim = Claim(is_ticked=True, changed_at=NOON, changed_by="lea")

    standing = stand(item, claim, with_probe("tls", status="fail"))

    assert standing.is_automatic
    assert not standing.is_done


@pytest.mark.parametrize("status", ["error", "skipped", None])
def test_it_does_not_call_an_automatic_item_done_when_nobody_could_tell(status: str | None) -> None:
    item = find_item(Kind.AUTOMATIC, rule="postgres.answers")

    assert not stand(item, Claim(is_ticked=True), with_probe("postgres", status=status)).is_done


def test_it_takes_a_tick_for_a_manual_item() -> None:
    item = find_item(Kind.MANUAL)

    assert stand(item, Claim(is_ticked=True), make_facts(NOON)).is_done
    assert not stand(item, Claim(is_ticked=False), make_facts(NOON)).is_done


@pytest.mark.parametrize(("status", "is_done"), [("pass", True), ("fail", False), ("error", True)])
def test_it_lets_a_fact_contradict_the_tick_of_a_hybrid_item(status: str, is_done: bool) -> None:
    item = replace(find_item(Kind.HYBRID), rule="postgres.answers")
    facts = with_probe("postgres", status=status, reason="wrong_engine" if status == "fail" else "")

    standing = stand(item, Claim(is_ticked=True), facts)

    assert not standing.is_automatic
    assert standing.is_done is is_done


def test_it_lets_people_tick_an_automatic_item_whose_rule_is_not_built_yet() -> None:
    item = next(item for item in load_template().items if item.kind is Kind.AUTOMATIC and item.rule not in RULES)

    assert not is_verified_by_facts(item)
    assert stand(item, Claim(is_ticked=True), make_facts(NOON)).is_done


def test_it_tells_when_the_fact_behind_it_was_observed() -> None:
    at = NOON - timedelta(seconds=30)
    facts = make_facts(NOON, [make_fact("tls", observed_at=at)])

    assert stand(find_item(Kind.AUTOMATIC, rule="tls.trusted"), Claim(), facts).changed_at == at


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
