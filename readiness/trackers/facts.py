"""What error trackers tell the checklist and the dashboard about environments; one query, writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef, Q, Subquery

from readiness.models import Alert, AlertRule, Notification, Tracker, TrackerProject
from readiness.trackers.base import RULE_KEYS, read_time
from readiness.trackers.sync import is_stale


@dataclass(frozen=True)
class RoleFacts:
    """One project of the environment. None: the tracker cannot tell, which is "not verifiable", never failed.

    ``newest_event_at`` is of an event that the application's own SDK sent. ``trial_arrived_at`` is of the newest event
    that the portal sent to the DSN; ``trial_error`` is why it did not arrive; both are empty when none was sent.
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
    trial_arrived_at: datetime | None = None
    trial_error: str = ""


@dataclass(frozen=True)
class TrackerFacts:
    """The error tracker of one environment. ``is_stale``: nothing of it says anything about now.

    ``rules_here`` holds the keys of RULE_KEYS that a rule of the portal watches with a channel through which a message
    has been delivered; ``rules_unproven`` those whose channels have not delivered any yet. ``acknowledged_at`` is when
    somebody last acknowledged the delivered notice of an error that the application itself had raised.
    ``drops_events``: the tracker refuses some, so that no errors there does not mean no errors; None is unknown.
    """

    provider: str
    is_stale: bool
    synced_at: datetime | None = None
    error: str = ""
    errors_24h: int | None = None
    new_24h: int | None = None
    roles: tuple[RoleFacts, ...] = ()
    rules_here: frozenset[str] = frozenset()
    rules_unproven: frozenset[str] = frozenset()
    acknowledged_at: datetime | None = None
    drops_events: bool | None = None

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
        removed_at__isnull=True,
        kind__in=RULE_KEYS,
        channels__is_enabled=True,
    ).order_by()
    proven = rules.filter(channels__notifications__state=Notification.State.SENT)
    # Of issues only: whether the application itself raised them is known there.
    delivered = Notification.objects.filter(alert=OuterRef("pk"), state=Notification.State.SENT)
    acknowledged = Alert.objects.filter(
        Exists(delivered),
        environment_id=about,
        rule__kind__in=RULE_KEYS,
        facts__is_application=True,
        acknowledged_at__isnull=False,
    ).order_by("-acknowledged_at")
    rows = (
        TrackerProject.objects.filter(tracker__environment_id__in=list(environment_ids))
        .select_related("tracker")
        .defer("tracker__token", "tracker__minutes")
        .annotate(
            rules_watching=ArraySubquery(rules.values("kind").distinct()),
            rules_here=ArraySubquery(proven.values("kind").distinct()),
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
            rules_unproven=frozenset(row.rules_watching) - frozenset(row.rules_here),
            acknowledged_at=row.acknowledged,
            drops_events=drops_events(tracker),
        )
    return found


def drops_events(tracker: Tracker) -> bool | None:
    """Whether the tracker has refused events in the last 24 hours, or refuses all of them now; None when unknown."""
    if tracker.quota.get("is_accepting") is False:
        return True
    dropped = tracker.quota.get("dropped_24h")
    return None if dropped is None else dropped > 0


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
        trial_arrived_at=read_time(row.test_event.get("arrived_at")),
        trial_error=row.test_event.get("error") or "",
    )
