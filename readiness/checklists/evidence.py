"""The words of rules: what facts say about one item, and what a rule needs to say anything; pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from readiness.checklists.facts import Facts


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


class Need(StrEnum):
    """What has to be connected before a rule can say anything."""

    FRONTEND = "frontend"
    API = "api"
    DATABASE = "database"
    BACKUP = "backup"
    SCENARIO = "scenario"
    TRACKER = "tracker"
    ALERT = "alert"
    CI = "ci"


@dataclass(frozen=True)
class Rule:
    """What a rule needs, and the function that reads the facts."""

    need: Need
    read: Callable[[Facts], Evidence]


def unknown(text: str, observed_at: datetime | None = None) -> Evidence:
    """Evidence that says nothing: ``text`` says what would help."""
    return Evidence(EvidenceState.UNKNOWN, text, observed_at)


def judged(is_true: bool, text: str, observed_at: datetime | None) -> Evidence:
    """Evidence for the item, or against it."""
    return Evidence(EvidenceState.VERIFIED if is_true else EvidenceState.FAILING, text, observed_at)
