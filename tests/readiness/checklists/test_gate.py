"""The verdict: GO only when nothing is open, CONDITIONAL when what is open is waived or a should, NO-GO otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest

from readiness.checklists.evidence import Evidence, EvidenceState
from readiness.checklists.gate import Decision, Verdict, decide
from readiness.checklists.life import State
from readiness.checklists.template import Kind, Severity, load_template
from readiness.checklists.verification import Claim, ItemStanding, WaiverFact, stand
from tests.readiness.factories import make_facts

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MANUAL = next(item for item in load_template().items if item.kind is Kind.MANUAL)
AUTOMATIC = next(item for item in load_template().items if item.kind is Kind.AUTOMATIC)


def standing(state: State, severity: Severity = Severity.MUST, *, is_waived: bool = False) -> ItemStanding:
    item = replace(MANUAL, severity=severity, key=f"{severity}.{state}")
    waiver = WaiverFact(item.key, "No time", "Little", "lea", "ada", date(2026, 12, 1)) if is_waived else None
    return ItemStanding(item, Claim(state, NOON, owner="otto"), None, waiver)


def judge(*standings: ItemStanding) -> Decision:
    return decide(standings, NOON)


DONE = [State.VERIFIED, State.NOT_APPLICABLE]
OPEN = [State.TODO, State.IN_PROGRESS, State.SUBMITTED, State.BLOCKED, State.STALE]


@pytest.mark.parametrize("states", list(product(DONE, DONE)))
def test_it_is_go_when_must_and_should_items_are_done(states: tuple[State, State]) -> None:
    decision = judge(standing(states[0]), standing(states[1], Severity.SHOULD), standing(State.TODO, Severity.OPTIONAL))

    assert (decision.verdict, decision.reasons, decision.waivers) == (Verdict.GO, (), ())


@pytest.mark.parametrize("state", OPEN)
def test_it_is_no_go_for_any_open_must_item(state: State) -> None:
    decision = judge(standing(State.VERIFIED), standing(state))

    assert decision.verdict is Verdict.NO_GO
    (reason,) = decision.reasons
    assert (reason.key, reason.state, reason.severity, reason.owner) == (f"must.{state}", state, "must", "otto")
    assert (reason.section, reason.since) == (MANUAL.section, NOON)


def test_it_is_no_go_where_there_is_nothing_to_verify() -> None:
    decision = judge()

    assert (decision.verdict, decision.could_tell) == (Verdict.NO_GO, False)
    assert decision.blind_spots == ("No item of the checklist is for this kind of environment.",)


@pytest.mark.parametrize("state", OPEN)
def test_it_is_conditional_when_only_should_items_are_open(state: State) -> None:
    decision = judge(standing(State.VERIFIED), standing(state, Severity.SHOULD))

    assert decision.verdict is Verdict.CONDITIONAL
    assert [reason.is_blocker for reason in decision.reasons] == [False]
    assert decision.conditions == decision.reasons


@pytest.mark.parametrize("state", OPEN)
def test_it_is_conditional_when_open_must_items_are_waived(state: State) -> None:
    decision = judge(standing(State.VERIFIED), standing(state, is_waived=True))

    assert (decision.verdict, decision.reasons) == (Verdict.CONDITIONAL, ())
    assert [waiver.approver for waiver in decision.waivers] == ["ada"]


def test_it_does_not_count_a_waiver_that_nobody_needs_any_more() -> None:
    decision = judge(standing(State.VERIFIED, is_waived=True))

    assert (decision.verdict, decision.waivers) == (Verdict.GO, ())


def test_one_waiver_does_not_cover_another_item() -> None:
    assert judge(standing(State.TODO, is_waived=True), standing(State.BLOCKED)).verdict is Verdict.NO_GO


def test_it_puts_blockers_before_conditions() -> None:
    decision = judge(standing(State.TODO, Severity.SHOULD), standing(State.STALE))

    assert [reason.severity for reason in decision.reasons] == ["must", "should"]
    assert [reason.key for reason in decision.blockers] == ["must.stale"]


def test_it_puts_what_is_wrong_before_what_is_open() -> None:
    decision = judge(standing(State.TODO), standing(State.STALE), standing(State.SUBMITTED), standing(State.BLOCKED))

    assert [reason.state for reason in decision.reasons] == ["stale", "blocked", "todo", "submitted"]


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (EvidenceState.FAILING, State.FAILING),
        (EvidenceState.STALE, State.STALE),
        (EvidenceState.UNKNOWN, State.UNVERIFIABLE),
    ],
)
def test_no_claim_covers_what_facts_do_not_verify(found: EvidenceState, state: State) -> None:
    for kind in (Kind.AUTOMATIC, Kind.HYBRID):
        item = replace(AUTOMATIC, kind=kind)
        decision = judge(ItemStanding(item, Claim(State.VERIFIED), Evidence(found, "It says so.", NOON)))

        assert decision.verdict is Verdict.NO_GO
        assert [(reason.state, reason.text) for reason in decision.reasons] == [(state, "It says so.")]


def test_nobody_can_tell_while_evidence_is_out_of_date() -> None:
    late = ItemStanding(AUTOMATIC, Claim(), Evidence(EvidenceState.STALE, "Out of date.", NOON, is_out_of_date=True))
    aged = ItemStanding(AUTOMATIC, Claim(), Evidence(EvidenceState.STALE, "The proof is old.", NOON))
    waiver = WaiverFact(AUTOMATIC.key, "No time", "Little", "lea", "ada", date(2026, 12, 1))

    assert not judge(late).could_tell
    assert judge(late).verdict is Verdict.NO_GO
    assert judge(aged).could_tell
    assert judge(replace(late, waiver=waiver)).could_tell
    assert judge(replace(late, item=replace(AUTOMATIC, severity=Severity.SHOULD))).could_tell


def test_a_blind_spot_makes_no_go_of_whatever_else_holds() -> None:
    decision = decide([standing(State.VERIFIED)], NOON, ["The default workers are silent."])

    assert (decision.verdict, decision.reasons) == (Verdict.NO_GO, ())
    assert decision.blind_spots == ("The default workers are silent.",)


def test_it_says_how_old_the_oldest_evidence_is_that_it_rests_on() -> None:
    def observed(hours: int, severity: Severity = Severity.MUST, state: State = State.TODO) -> ItemStanding:
        at = NOON - timedelta(hours=hours)
        item = replace(AUTOMATIC, severity=severity)
        return ItemStanding(item, Claim(state), Evidence(EvidenceState.VERIFIED, "", at))

    decision = judge(observed(2), observed(1), observed(5, Severity.OPTIONAL), observed(9, state=State.NOT_APPLICABLE))

    assert decision.evidence_oldest_at == NOON - timedelta(hours=2)
    assert decision.evaluated_at == NOON
    assert judge(standing(State.VERIFIED)).evidence_oldest_at is None


def test_with_all_facts_good_only_what_people_owe_is_open() -> None:
    facts = make_facts(NOON)
    standings = [stand(item, Claim(), facts) for item in load_template().items]

    open_keys = {reason.key for reason in decide(standings, NOON).reasons}

    owed = {one.item.key for one in standings if not one.is_done and one.item.severity is not Severity.OPTIONAL}
    assert open_keys == owed
    assert {"postgresql.database_url", "backup_strategy"} <= owed
    assert not owed & {"https.certificates", "testing.login", "errors.account"}
