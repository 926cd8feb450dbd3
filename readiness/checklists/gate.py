"""The verdict: GO, CONDITIONAL or NO-GO, with each reason; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from readiness.checklists.life import State
from readiness.checklists.template_values import Severity, Text
from readiness.checklists.verification import ItemStanding, WaiverFact

KIND_TITLES = {
    "http": "HTTP",
    "tls": "TLS",
    "headers": "Security headers",
    "postgres": "PostgreSQL",
    "dns": "DNS",
    "scenario": "Scenarios",
    "browser": "Browser",
}


class Verdict(StrEnum):
    GO = "GO"
    CONDITIONAL = "CONDITIONAL"
    NO_GO = "NO-GO"

    @property
    def may_go_live(self) -> bool:
        """Whether nothing forbids it: GO, or CONDITIONAL for those who accept the conditions."""
        return self is not Verdict.NO_GO


@dataclass(frozen=True)
class Reason:
    """One open item that speaks against GO: ``key`` and ``section`` are the template's, ``owner`` a user name or empty.

    ``since`` is when the item came into its state, None when nobody knows; ``text`` is one sentence, or empty.
    """

    key: str
    section: str
    title: Text
    state: State
    severity: Severity
    owner: str = ""
    since: datetime | None = None
    text: str = ""

    @property
    def is_blocker(self) -> bool:
        """Whether it alone makes the verdict NO-GO; the others make it CONDITIONAL."""
        return self.severity is Severity.MUST

    @property
    def is_urgent(self) -> bool:
        """Whether something is wrong, and not merely still to be done."""
        return self.state in {State.FAILING, State.STALE, State.BLOCKED}


@dataclass(frozen=True)
class Decision:
    """The verdict of one environment at ``evaluated_at``.

    ``reasons`` are the open items without a waiver, must before should, and of each what facts are against first;
    ``waivers`` are those in force on open items.
    ``evidence_oldest_at`` is when the oldest fact was observed that the verdict rests on, None when there is none.
    ``blind_spots`` says in one sentence each why nobody can tell; then the verdict is NO-GO, whatever else holds.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    waivers: tuple[WaiverFact, ...] = ()
    evaluated_at: datetime | None = None
    evidence_oldest_at: datetime | None = None
    blind_spots: tuple[str, ...] = ()

    @property
    def could_tell(self) -> bool:
        return not self.blind_spots

    @property
    def blockers(self) -> tuple[Reason, ...]:
        """The reasons that make it NO-GO."""
        return tuple(reason for reason in self.reasons if reason.is_blocker)

    @property
    def conditions(self) -> tuple[Reason, ...]:
        """The reasons that alone would make it CONDITIONAL."""
        return tuple(reason for reason in self.reasons if not reason.is_blocker)


def decide(standings: Sequence[ItemStanding], now: datetime, blind_spots: Sequence[str] = ()) -> Decision:
    """GO when every must item is verified or not applicable and no should item is open.

    CONDITIONAL when must items are under a waiver in force, or should items are open. NO-GO otherwise, and when nobody
    can tell: no item is for this environment, a must item's evidence is out of date, or ``blind_spots`` names what
    makes the evidence worthless.
    """
    open_ones = [one for one in standings if not one.state.is_done and one.item.severity is not Severity.OPTIONAL]
    waived = [one.waiver for one in open_ones if one.waiver is not None]
    reasons = tuple(sorted((_reason(one) for one in open_ones if one.waiver is None), key=_urgency))
    spots = [*blind_spots]
    if not standings:
        spots.append("No item of the checklist is for this kind of environment.")
    if any(one.is_out_of_date for one in open_ones if one.waiver is None and one.item.severity is Severity.MUST):
        spots.append("Evidence is out of date.")
    if spots or any(reason.is_blocker for reason in reasons):
        verdict = Verdict.NO_GO
    elif reasons or waived:
        verdict = Verdict.CONDITIONAL
    else:
        verdict = Verdict.GO
    observed = [one.evidence.observed_at for one in standings if one.evidence is not None and one.counts]
    return Decision(
        verdict=verdict,
        reasons=reasons,
        waivers=tuple(waived),
        evaluated_at=now,
        evidence_oldest_at=min((at for at in observed if at is not None), default=None),
        blind_spots=tuple(spots),
    )


def _urgency(reason: Reason) -> tuple[bool, bool]:
    return not reason.is_blocker, not reason.is_urgent


def _reason(standing: ItemStanding) -> Reason:
    return Reason(
        key=standing.item.key,
        section=standing.item.section,
        title=standing.item.title,
        state=standing.state,
        severity=standing.item.severity,
        owner=standing.claim.owner,
        since=standing.since,
        text=standing.sentence,
    )
