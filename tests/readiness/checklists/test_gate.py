"""The verdict is GO only when nothing speaks against it, and every reason against it is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from readiness.checklists.facts import BackupFacts, Facts
from readiness.checklists.gate import Decision, Reason, Verdict, decide
from readiness.checklists.template import Severity, load_template
from readiness.checklists.verification import Claim, ItemStanding, stand
from tests.readiness.factories import GOOD_CHECKLIST_DATA, GOOD_DATA, make_fact, make_facts

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
KINDS = list(GOOD_DATA)


def judge(facts: Facts, standings: list[ItemStanding] | None = None) -> Decision:
    return decide(standings if standings is not None else stand_all(facts), facts, KINDS)


def stand_all(facts: Facts, *, is_ticked: bool = True) -> list[ItemStanding]:
    return [stand(item, Claim(is_ticked, NOON, "lea"), facts) for item in load_template().items]


def only_reason(decision: Decision) -> Reason:
    assert decision.verdict is Verdict.NO_GO
    assert len(decision.reasons) == 1, decision.reasons
    return decision.reasons[0]


def test_it_says_go_when_all_is_well() -> None:
    assert judge(make_facts(NOON)) == Decision(Verdict.GO, ())


def test_it_lets_a_warning_pass() -> None:
    facts = make_facts(NOON, [make_fact(kind, "warn", observed_at=NOON) for kind in (*KINDS, *GOOD_CHECKLIST_DATA)])

    assert judge(facts).verdict is Verdict.GO


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"status": None}, "Security headers: no result yet"),
        ({"is_stale": True}, "Security headers: the last result is out of date"),
        ({"status": "fail", "summary": "Two are missing."}, "Security headers: Two are missing."),
        ({"status": "error", "summary": "No answer."}, "Security headers: could not tell: No answer."),
        ({"status": "skipped", "summary": "No right."}, "Security headers: was skipped: No right."),
        ({"status": "fail", "summary": ""}, "Security headers"),
    ],
)
def test_it_names_a_probe_that_is_not_fresh_and_good(change: dict[str, Any], text: str) -> None:
    facts = make_facts(NOON)
    bad = replace(facts.probes["headers"], **change)
    facts = replace(facts, probes={**facts.probes, "headers": bad})

    reason = only_reason(judge(facts))

    assert (reason.kind, reason.key, reason.text) == ("probe", "headers", text)


def test_it_wants_every_required_kind_even_one_with_nothing_to_probe() -> None:
    kinds = [kind for kind in (*KINDS, *GOOD_CHECKLIST_DATA) if kind != "headers"]
    facts = make_facts(NOON, [make_fact(kind, observed_at=NOON) for kind in kinds])

    assert only_reason(judge(facts)).text == "Security headers: nothing to probe yet"


@pytest.mark.parametrize("status", ["pass", "warn", "fail", "error", "skipped", None])
def test_it_never_takes_a_stale_result_for_a_good_one(status: str | None) -> None:
    facts = make_facts(NOON, [make_fact(kind, status, is_stale=True, observed_at=NOON) for kind in KINDS])

    decision = judge(facts, [])

    assert decision.verdict is Verdict.NO_GO
    assert {reason.key for reason in decision.reasons if reason.kind == "probe"} == set(KINDS)


@pytest.mark.parametrize(
    ("backups", "text"),
    [
        (BackupFacts(), "No backup has been proven by a restore yet"),
        (
            BackupFacts(last_error="The disk is full."),
            "No backup has been proven by a restore yet; the last attempt failed: The disk is full.",
        ),
        (BackupFacts(newest_proven_at=NOON - timedelta(days=7, seconds=1)), "No backup was proven within 7 days"),
        (
            BackupFacts(newest_proven_at=NOON, databases_without_proof=("main", "log")),
            "No proven backup of main, log",
        ),
    ],
)
def test_it_names_what_is_wrong_with_the_backups(backups: BackupFacts, text: str) -> None:
    reason = only_reason(judge(make_facts(NOON, backups=backups), []))

    assert (reason.kind, reason.text) == ("backup", text)


def test_it_takes_a_backup_proven_exactly_as_long_ago_as_allowed() -> None:
    facts = make_facts(NOON, backups=BackupFacts(newest_proven_at=NOON - timedelta(days=7)))

    assert judge(facts).verdict is Verdict.GO


def test_it_names_every_open_must_item_and_no_other() -> None:
    facts = make_facts(NOON)
    standings = stand_all(facts, is_ticked=False)

    reasons = judge(facts, standings).reasons

    open_musts = {
        standing.item.key
        for standing in standings
        if standing.item.severity is Severity.MUST and not standing.is_automatic
    }
    assert {reason.key for reason in reasons} == open_musts
    assert len(open_musts) > 10


def test_it_says_since_when_a_probe_is_bad() -> None:
    facts = make_facts(NOON)
    since = NOON - timedelta(minutes=1)
    facts = replace(facts, probes={**facts.probes, "headers": make_fact("headers", "fail", observed_at=since)})

    assert only_reason(judge(facts)).since == since
