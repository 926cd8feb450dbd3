"""What error trackers tell the checklist and the dashboard about environments; one query, writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q, Subquery

from readiness.models import Alert, AlertRule, Tracker, TrackerProject
from readiness.trackers.base import RULE_KEYS, read_time
from readiness.trackers.sync import is_stale


@dataclass(frozen=True)
class RoleFacts:
    """One project of the environment. None: the tracker cannot tell, which is "not verifiable", never failed.

    ``newest_event_at`` is of an event that the application's own SDK sent.
    """

    role: str
    project: str
    newest_event_at: datetime | None = None
    sdk: str = ""
    environment: str = ""
    release: str = ""
    is_scrubbed: bool | None = None
    has_replay: bool | None = None
    rules_there: Mapping[str, bool | None] = field(default_factory=dict)


@dataclass(frozen=True)
class TrackerFacts:
    """The error tracker of one environment. ``is_stale``: nothing of it says anything about now.

    ``rules_here`` holds the keys of RULE_KEYS that a rule of the portal watches with at least one channel;
    ``acknowledged_at`` is when somebody last acknowledged the notice of an application error.
    """

    provider: str
    is_stale: bool
    synced_at: datetime | None = None
    error: str = ""
    errors_24h: int | None = None
    new_24h: int | None = None
    roles: tuple[RoleFacts, ...] = ()
    rules_here: frozenset[str] = frozenset()
    acknowledged_at: datetime | None = None

    def role(self, role: str) -> RoleFacts | None:
        """The project of that role (backend, frontend), if there is one."""
        return next((one for one in self.roles if one.role == role), None)

    def has_rule(self, key: str) -> bool | None:
        """Whether a rule is in the tracker or here; None when neither is known."""
        told = [one.rules_there.get(key) for one in self.roles]
        if key in self.rules_here or True in told:
            return True
        return None if None in told or not told else False


def read_tracker_facts(environment_ids: Iterable[int], now: datetime | None = None) -> dict[int, TrackerFacts]:
    """Facts of each environment that has a tracker, in one query however many there are."""
    about = OuterRef("tracker__environment_id")
    rules = AlertRule.objects.filter(
        Q(environment__isnull=True) | Q(environment_id=about),
        is_enabled=True,
        kind__in=RULE_KEYS,
        channels__is_enabled=True,
    )
    acknowledged = Alert.objects.filter(
        environment_id=about, rule__kind__in=RULE_KEYS, acknowledged_at__isnull=False
    ).order_by("-acknowledged_at")
    rows = (
        TrackerProject.objects.filter(tracker__environment_id__in=list(environment_ids))
        .select_related("tracker")
        .defer("tracker__token", "tracker__minutes")
        .annotate(
            rules_here=ArraySubquery(rules.order_by().values("kind").distinct()),
            acknowledged=Subquery(acknowledged.values("acknowledged_at")[:1]),
        )
        .order_by("tracker__environment_id", "pk")
    )
    found: dict[int, TrackerFacts] = {}
    projects: dict[int, list[RoleFacts]] = {}
    for row in rows:
        tracker: Tracker = row.tracker
        projects.setdefault(tracker.environment_id, []).append(_read_role(row))
        found[tracker.environment_id] = TrackerFacts(
            provider=tracker.provider,
            is_stale=is_stale(tracker, now),
            synced_at=tracker.synced_at,
            error=tracker.error,
            errors_24h=tracker.errors_24h,
            new_24h=tracker.new_24h,
            roles=tuple(projects[tracker.environment_id]),
            rules_here=frozenset(row.rules_here),
            acknowledged_at=row.acknowledged,
        )
    return found


def _read_role(row: TrackerProject) -> RoleFacts:
    newest = row.newest_event
    return RoleFacts(
        role=row.role,
        project=row.name,
        newest_event_at=read_time(newest.get("at")),
        sdk=newest.get("sdk") or "",
        environment=newest.get("environment") or "",
        release=newest.get("release") or "",
        is_scrubbed=row.is_scrubbed,
        has_replay=row.has_replay,
        rules_there=row.rules,
    )
