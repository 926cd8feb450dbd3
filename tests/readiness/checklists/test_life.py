"""Whatever people do in whatever order: nothing is verified without what it demands, and no event is lost."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readiness.checklists import workflow
from readiness.checklists.evidence import EvidenceState
from readiness.checklists.life import FROM, Action, State
from readiness.checklists.template import Kind, load_template
from readiness.checklists.verification import RULES
from readiness.checklists.workflow import Exhibit, WorkflowError
from readiness.checklists.workflow.items import read_standing
from readiness.models import Environment, ItemEvent, ItemState
from readiness.outside import record_deploy
from tests.readiness.factories import connect, make_environment, make_person, make_state

KEYS = ["backup_strategy", "local_run", "postgresql.migration_done", "https.certificates"]
PEOPLE = ["lea", "ada", "otto"]
STEP = st.tuples(
    st.sampled_from([*Action, "tick", "deploy", "postgres pass", "postgres fail", "tls pass", "tls fail"]),
    st.sampled_from(KEYS),
    st.sampled_from(PEOPLE),
    # The version that was seen: the one that is there, or an older one.
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from(["", "because"]),
    st.sampled_from(["", "https://wiki.example.org/"]),
)


def test_every_action_starts_somewhere() -> None:
    assert set(FROM) == set(Action)


@pytest.mark.django_db
@given(steps=st.lists(STEP, min_size=5, max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_steps_never_verify_without_what_is_demanded_and_lose_no_event(steps: list[Any]) -> None:
    slug = f"random-{Environment.objects.count()}-{ItemEvent.objects.count()}"
    environment = connect(make_environment(slug))
    people = {name: User.objects.filter(username=name).first() or make_person(name, None) for name in PEOPLE}
    seen: list[dict[str, Any]] = []

    for action, key, name, behind, note, url in steps:
        with suppress(WorkflowError):
            act(environment, action, key, people[name], behind, note, url)
        events = [dict(event) for event in ItemEvent.objects.filter(environment=environment).order_by("pk").values()]
        assert events[: len(seen)] == seen
        seen = events
        for one in KEYS:
            check(environment, one, [event for event in events if event["key"] == one])


def act(environment: Environment, action: Any, key: str, by: User, behind: int, note: str, url: str) -> None:
    if action == "tick":
        workflow.settle(timezone.now())
    elif action == "deploy":
        record_deploy(environment, "1.0", by="CI", now=timezone.now())
    elif not isinstance(action, Action):
        kind, status = action.split()
        make_state(environment, kind, status, data={"tables": 0} if action == "postgres fail" else {"tables": 3})
        if action == "tls pass":
            make_state(environment, kind)
    else:
        version = ItemState.objects.get(environment=environment, key=key).version - behind
        workflow.move(environment, key, action, by=by, version=version, note=note, evidence=Exhibit(url=url))


def check(environment: Environment, key: str, events: list[dict[str, Any]]) -> None:
    item, state = load_template().item(key), ItemState.objects.get(environment=environment, key=key)
    moves = [event for event in events if event["to_state"]]
    # The events tell the whole story: each begins where the one before ended, and the last where the item is.
    assert [event["version"] for event in moves] == list(range(1, state.version + 1))
    states = ["todo", *(event["to_state"] for event in moves)]
    assert [event["from_state"] for event in moves] == states[:-1]
    assert states[-1] == state.state
    if state.state not in {State.VERIFIED, State.NOT_APPLICABLE}:
        return
    begun = max((place for place, event in enumerate(moves) if event["kind"] in SUBMITTING), default=0)
    submission, approvals = moves[begun], moves[begun + 1 :]
    approvers = {event["actor_id"] for event in approvals if event["kind"] == "approve"}
    if state.state == State.NOT_APPLICABLE:
        assert submission["kind"] == "ask_not_applicable"
        assert submission["text"]
        assert approvers - {submission["actor_id"]}
    elif item.kind is Kind.AUTOMATIC:
        assert moves[-1]["kind"] == "verify"
        assert moves[-1]["actor_id"] is None
    else:
        assert submission["kind"] == "submit"
        assert len(approvers - {submission["actor_id"]}) >= item.approvals
        assert not item.evidence or state.evidence_url
        # Of a hybrid item the facts agreed when it was verified; since then only a tick could tell that they do not.
        assert item.kind is not Kind.HYBRID or state.evidence_probe
    standing = read_standing(environment, key, timezone.now())
    if item.kind is not Kind.MANUAL and standing.state is State.VERIFIED:
        assert standing.evidence is not None
        assert standing.evidence.state is EvidenceState.VERIFIED
        assert item.rule in RULES


SUBMITTING = {"submit", "ask_not_applicable"}
