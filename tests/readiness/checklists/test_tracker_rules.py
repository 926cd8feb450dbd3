"""What the facts of an error tracker say about items: the DSN, and rules here that never reached anybody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from readiness.checklists import tracker_rules
from readiness.checklists.evidence import EvidenceState
from readiness.trackers.base import RULE_KEYS
from tests.readiness.factories import make_facts, make_tracker_facts

NOW = timezone.now()


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, EvidenceState.VERIFIED),
        ({"trial_arrived_at": None}, EvidenceState.UNKNOWN),
        ({"trial_arrived_at": None, "trial_error": "The DSN's host answered 403 to the event."}, EvidenceState.FAILING),
        ({"trial_arrived_at": NOW - timedelta(days=31)}, EvidenceState.STALE),
    ],
)
def test_it_wants_a_test_event_in_every_project(fields: dict[str, object], state: EvidenceState) -> None:
    backend, frontend = make_tracker_facts(NOW).roles
    tracker = make_tracker_facts(NOW, roles=(backend, replace(frontend, **fields)))  # type: ignore[arg-type]

    assert tracker_rules.dsn_accepts_events(make_facts(NOW, tracker=tracker)).state is state


def test_it_does_not_take_a_rule_for_one_that_reaches_somebody() -> None:
    roles = tuple(replace(role, rules_there={}) for role in make_tracker_facts(NOW).roles)

    def judge(here: set[str], unproven: set[str]) -> EvidenceState:
        tracker = make_tracker_facts(NOW, roles=roles, rules_here=frozenset(here), rules_unproven=frozenset(unproven))
        return tracker_rules.alert_rules_are_there(make_facts(NOW, tracker=tracker)).state

    assert judge(set(RULE_KEYS), set()) is EvidenceState.VERIFIED
    assert judge(set(), set(RULE_KEYS)) is EvidenceState.UNKNOWN
    assert judge({"new_issue", "database", "error_rate"}, {"auth_failure"}) is EvidenceState.UNKNOWN
