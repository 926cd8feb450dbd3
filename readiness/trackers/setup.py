"""Tries a tracker's URL, token and scopes, and lists what can be picked; reads the tracker, writes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from portal.secrets import SecretError
from readiness.models import Tracker
from readiness.trackers.base import ProjectFound, TrackerError, TrackerErrorReason
from readiness.trackers.sync import make_adapter

TEST_SECONDS = 30


@dataclass(frozen=True)
class Tested:
    """How a test went: each thing tried with why it failed, or nothing; ``error`` when it did not get that far."""

    checks: tuple[tuple[str, str], ...] = ()
    missing_scopes: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    projects: tuple[ProjectFound, ...] = ()
    error: str = ""
    reasons: frozenset[TrackerErrorReason] = frozenset()

    @property
    def is_good(self) -> bool:
        return not self.error and not self.reasons


def test_tracker(tracker: Tracker, project_names: list[str] | None = None) -> Tested:
    """Tries what sync will need, with the tracker's projects unless others are named. ``tracker`` may be unsaved."""
    names = [one.name for one in tracker.projects.all()] if project_names is None else project_names
    try:
        adapter = make_adapter(tracker, total_seconds=TEST_SECONDS)
    except SecretError as error:
        return Tested(error=str(error), reasons=frozenset({TrackerErrorReason.SECRET}))
    except TrackerError as error:
        return Tested(error=str(error), reasons=frozenset({error.reason}))
    tried = []
    for what, failure in adapter.test_scopes(names):
        tried.append((what, failure))
        if failure is not None and failure.reason in {TrackerErrorReason.UNREACHABLE, TrackerErrorReason.TIMEOUT}:
            break  # whatever comes next would take as long to say the same
    failures = [failure for _, failure in tried if failure is not None]
    organizations, projects = [], []
    if not any(failure.reason is not TrackerErrorReason.SCOPE_MISSING for failure in failures) or not names:
        try:
            projects = adapter.list_projects() if tracker.organization or tracker.provider == "bugsink" else []
            organizations = adapter.list_organizations()
        except TrackerError as error:
            # Listing helps to choose; what sync needs was tried above.
            if not names:
                failures.append(error)
    return Tested(
        checks=tuple((what, "" if failure is None else str(failure)) for what, failure in tried),
        missing_scopes=tuple(dict.fromkeys(failure.scope for failure in failures if failure.scope)),
        organizations=tuple(organizations),
        projects=tuple(projects),
        error=str(failures[0]) if failures else "",
        reasons=frozenset(failure.reason for failure in failures),
    )
