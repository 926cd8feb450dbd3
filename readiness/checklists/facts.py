"""What the verdict and the automatic items may know about an environment: frozen values, read by others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from readiness.trackers.facts import TrackerFacts


@dataclass(frozen=True)
class BackupFacts:
    """What the backups room reports about one environment. Times are aware; None means never.

    ``awaited_since`` is when the earliest scheduled backup that is not done was or will be due.
    """

    newest_proven_at: datetime | None = None
    newest_done_at: datetime | None = None
    last_failed_at: datetime | None = None
    last_error: str = ""
    databases_without_proof: tuple[str, ...] = ()
    awaited_since: datetime | None = None


@dataclass(frozen=True)
class ProbeFact:
    """The newest result of one kind: ``status`` is None while there is none; ``is_stale`` when it says nothing now."""

    kind: str
    status: str | None = None
    observed_at: datetime | None = None
    is_stale: bool = False
    summary: str = ""
    reason: str = ""
    findings: tuple[Mapping[str, str], ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Fresh, and pass or warn."""
        return not self.is_stale and self.status in {"pass", "warn"}

    def finding(self, finding_id: str) -> Mapping[str, str] | None:
        """The first finding of that id, or None."""
        return next((finding for finding in self.findings if finding.get("id") == finding_id), None)


@dataclass(frozen=True)
class EndpointFact:
    """One address of the environment."""

    role: str
    url: str
    health_path: str = ""

    @property
    def host(self) -> str:
        return (urlsplit(self.url).hostname or "").lower()


@dataclass(frozen=True)
class PostedValue:
    """A fact from outside, and when it was posted."""

    value: Any
    at: datetime


@dataclass(frozen=True)
class Facts:
    """All that is known about one environment at ``now``; ``probes`` holds every configured kind.

    ``scenario_runs`` holds the data of the last runs of its scenarios, newest first; ``posted`` what came from outside,
    by name; ``tracker`` is None while there is none; ``alert_acknowledged_at`` is of a delivered alert of its own.
    """

    now: datetime
    probes: Mapping[str, ProbeFact]
    backups: BackupFacts
    roles: frozenset[str] = frozenset()
    proof_valid_for: timedelta = timedelta(days=7)
    scenario_runs: tuple[Mapping[str, Any], ...] = ()
    endpoints: tuple[EndpointFact, ...] = ()
    posted: Mapping[str, PostedValue] = field(default_factory=dict)
    posted_valid_for: timedelta = timedelta(days=7)
    tracker: TrackerFacts | None = None
    alert_acknowledged_at: datetime | None = None

    @property
    def is_backup_proven(self) -> bool:
        """Whether every database has a backup that a restore proved recently enough."""
        proven_at = self.backups.newest_proven_at
        return (
            proven_at is not None
            and self.now - proven_at <= self.proof_valid_for
            and not self.backups.databases_without_proof
        )
