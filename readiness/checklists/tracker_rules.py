"""Rules about the error tracker; pure. What a tracker cannot tell is not verifiable, never failed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from readiness.checklists.evidence import Evidence, EvidenceState, judged, unknown
from readiness.checklists.facts import Facts

if TYPE_CHECKING:
    from readiness.trackers.facts import TrackerFacts

EVENTS_FOR = timedelta(days=30)
ALERT_RULES = {
    "new_issue": "new issues",
    "error_rate": "many errors",
    "database": "“database”",
    "auth_failure": "failed sign-ins",
}


def tracker_answers(facts: Facts) -> Evidence:
    """The tracker answers with the stored token."""

    def judge(tracker: TrackerFacts) -> Evidence:
        if tracker.error:
            return judged(False, tracker.error, tracker.synced_at)
        return judged(True, "The tracker answers with the stored token.", tracker.synced_at)

    return _from_tracker(facts, judge)


def events_arrive(role: str) -> Callable[[Facts], Evidence]:
    """An event of the application itself within 30 days."""

    def rule(facts: Facts) -> Evidence:
        def judge(tracker: TrackerFacts) -> Evidence:
            project = tracker.role(role)
            if project is None:
                return unknown(f"Say which project of the tracker is the {role}.")
            at = project.newest_event_at
            if at is None:
                return unknown(f"No event of the application’s {role} has been seen yet.", tracker.synced_at)
            if facts.now - at > EVENTS_FOR:
                text = f"The last event of the {role} is older than {EVENTS_FOR.days} days."
                return Evidence(EvidenceState.STALE, text, at)
            return judged(True, f"An event of the application’s {role} has arrived.", tracker.synced_at)

        return _from_tracker(facts, judge)

    return rule


def dsn_accepts_events(facts: Facts) -> Evidence:
    """A test event that the portal sent to each project's DSN arrived; it proves the DSN, and no SDK."""

    def judge(tracker: TrackerFacts) -> Evidence:
        failed = [f"{project.project}: {project.trial_error}" for project in tracker.roles if project.trial_error]
        if failed:
            return judged(False, failed[0], tracker.synced_at)
        arrived = [project.trial_arrived_at for project in tracker.roles]
        oldest = min((at for at in arrived if at is not None), default=None)
        if oldest is None or None in arrived:
            return unknown("Send a test event to each project, in the tracker’s settings.", tracker.synced_at)
        if facts.now - oldest > EVENTS_FOR:
            return Evidence(EvidenceState.STALE, f"The test event is older than {EVENTS_FOR.days} days.", oldest)
        return judged(True, "A test event to each project’s DSN has arrived.", oldest)

    return _from_tracker(facts, judge)


def alert_rules_are_there(facts: Facts) -> Evidence:
    """The four rules are in the tracker, or here with a channel."""

    def judge(tracker: TrackerFacts) -> Evidence:
        told = {words: tracker.has_rule(key) for key, words in ALERT_RULES.items()}
        unproven = [words for key, words in ALERT_RULES.items() if key in tracker.rules_unproven and not told[words]]
        if unproven:
            text = (
                f"The rules here for {', '.join(unproven)} have delivered nothing yet: send a test through the channel."
            )
            return unknown(text, tracker.synced_at)
        missing = [words for words, is_there in told.items() if is_there is False]
        if missing:
            return judged(False, f"No alert rule for {', '.join(missing)}.", tracker.synced_at)
        if None in told.values():
            return unknown("The tracker does not tell its alert rules; rules here count too.", tracker.synced_at)
        return judged(True, "The four alert rules are there.", tracker.synced_at)

    return _from_tracker(facts, judge)


def error_is_acknowledged(facts: Facts) -> Evidence:
    """An error of the application arrived, and somebody acknowledged its notice."""

    def judge(tracker: TrackerFacts) -> Evidence:
        if not any(project.newest_event_at for project in tracker.roles):
            return unknown("No error of the application has arrived yet.", tracker.synced_at)
        if tracker.acknowledged_at is None:
            return unknown("Nobody has acknowledged the notice of an error yet.", tracker.synced_at)
        return judged(True, "An error arrived, and its notice was acknowledged.", tracker.acknowledged_at)

    return _from_tracker(facts, judge)


def replays_arrive(facts: Facts) -> Evidence:
    """The tracker says that replays arrive from the frontend."""

    def judge(tracker: TrackerFacts) -> Evidence:
        told = [project.has_replay for project in tracker.roles]
        if True in told:
            return judged(True, "Session replays arrive.", tracker.synced_at)
        if None in told or not told:
            text = "This tracker has no session replays, or does not tell: call the item not applicable."
            return unknown(text, tracker.synced_at)
        return judged(False, "No session replay has arrived.", tracker.synced_at)

    return _from_tracker(facts, judge)


def data_is_scrubbed(facts: Facts) -> Evidence:
    """Every project of the environment scrubs sensitive data."""

    def judge(tracker: TrackerFacts) -> Evidence:
        bare = [project.project for project in tracker.roles if project.is_scrubbed is False]
        if bare:
            return judged(False, f"Sensitive data is not scrubbed in {', '.join(bare)}.", tracker.synced_at)
        if not tracker.roles or any(project.is_scrubbed is None for project in tracker.roles):
            return unknown("The tracker does not tell whether it scrubs sensitive data.", tracker.synced_at)
        return judged(True, "Sensitive data is scrubbed.", tracker.synced_at)

    return _from_tracker(facts, judge)


def _from_tracker(facts: Facts, judge: Callable[[TrackerFacts], Evidence]) -> Evidence:
    """The part all of these rules share: no tracker, never read, out of date."""
    tracker = facts.tracker
    if tracker is None:
        return unknown("Connect the error tracker.")
    if tracker.synced_at is None:
        return unknown(tracker.error or "The tracker has not been read yet.")
    if tracker.is_stale:
        text = tracker.error or "What the tracker said is out of date."
        return Evidence(EvidenceState.STALE, text, tracker.synced_at, True)
    return judge(tracker)
