"""The life of an item: its states, and which action leads from which to which; pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where an item stands. The last two are never stored: they are what facts say right now."""

    TODO = "todo"
    IN_PROGRESS = "in_progress"
    SUBMITTED = "submitted"
    VERIFIED = "verified"
    BLOCKED = "blocked"
    NOT_APPLICABLE = "not_applicable"
    STALE = "stale"
    FAILING = "failing"
    UNVERIFIABLE = "unverifiable"

    @property
    def is_done(self) -> bool:
        """Whether an item in this state speaks for GO."""
        return self in {State.VERIFIED, State.NOT_APPLICABLE}


STORED_STATES = tuple(state for state in State if state not in {State.FAILING, State.UNVERIFIABLE})


class Action(StrEnum):
    """What moves an item. Verify and age are done by facts alone, everything else by people."""

    START = "start"
    SUBMIT = "submit"
    ASK_NOT_APPLICABLE = "ask_not_applicable"
    APPROVE = "approve"
    REJECT = "reject"
    BLOCK = "block"
    REOPEN = "reopen"
    VERIFY = "verify"
    AGE = "age"


FROM: Mapping[Action, frozenset[State]] = {
    Action.START: frozenset({State.TODO, State.BLOCKED, State.STALE}),
    Action.SUBMIT: frozenset({State.TODO, State.IN_PROGRESS, State.BLOCKED, State.STALE}),
    Action.ASK_NOT_APPLICABLE: frozenset({State.TODO, State.IN_PROGRESS, State.BLOCKED, State.STALE, State.VERIFIED}),
    Action.APPROVE: frozenset({State.SUBMITTED}),
    Action.REJECT: frozenset({State.SUBMITTED}),
    Action.BLOCK: frozenset({State.TODO, State.IN_PROGRESS, State.SUBMITTED, State.STALE}),
    Action.REOPEN: frozenset({State.SUBMITTED, State.VERIFIED, State.NOT_APPLICABLE}),
    Action.VERIFY: frozenset({State.TODO, State.IN_PROGRESS, State.BLOCKED, State.STALE}),
    Action.AGE: frozenset({State.SUBMITTED, State.VERIFIED, State.NOT_APPLICABLE}),
}


def is_possible(action: Action, state: State) -> bool:
    """Whether an item in this stored state can be moved so."""
    return state in FROM[action]
