"""The words every adapter speaks: issues, events, projects as found, and what went wrong. Opens nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlsplit

from django.utils.crypto import salted_hmac

Bucket = tuple[int, int]
"""Epoch seconds of its start, and how many events."""

KEPT_TAGS = (
    *("browser", "os", "release", "environment", "transaction", "route", "url", "geo.country_code", "country"),
    *("auth-failure", "replayId", "level", "preflight.test"),
)
TEXT_LENGTH = 500
PROJECTS_NAMED = 8


class TrackerErrorReason(StrEnum):
    """Why a tracker could not be read. Closed: a new reason is added here, nowhere else."""

    BAD_URL = "bad_url"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    REDIRECT = "redirect"
    UNAUTHORIZED = "unauthorized"
    SCOPE_MISSING = "scope_missing"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    BROWN_OUT = "brown_out"
    SERVER_ERROR = "server_error"
    NOT_JSON = "not_json"
    BAD_SHAPE = "bad_shape"
    TOO_LARGE = "too_large"
    TOO_MANY_PAGES = "too_many_pages"
    CURSOR_REPEATED = "cursor_repeated"
    SECRET = "secret"  # noqa: S105  a reason, not a secret


class TrackerError(Exception):
    """The tracker could not be read; the message is one sentence without anything it answered."""

    def __init__(self, reason: TrackerErrorReason, message: str, *, scope: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.scope = scope


@dataclass(frozen=True)
class ProjectFound:
    """A project as the tracker lists it."""

    remote_id: str
    slug: str
    name: str
    organization: str = ""


@dataclass(frozen=True)
class IssueFound:
    """An issue as the tracker told it; None is what it does not know."""

    remote_id: str
    title: str
    short_id: str = ""
    culprit: str = ""
    level: str = ""
    status: str = ""
    count_24h: int | None = None
    count_7d: int | None = None
    count_30d: int | None = None
    count_total: int | None = None
    users: int | None = None
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    permalink: str = ""
    hourly: tuple[Bucket, ...] | None = None
    daily: tuple[Bucket, ...] | None = None


@dataclass(frozen=True)
class EventFound:
    """An event without its contents; ``user`` is an id, never an address or a name."""

    remote_id: str
    at: datetime
    user: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    is_read: bool = True
    """Whether user and tags were asked for; else they are unknown, not empty."""


@dataclass(frozen=True)
class ProjectFacts:
    """What the checklist asks about a project; None is what this tracker cannot tell.

    ``rules`` has new_issue, error_rate, database and auth_failure: whether the tracker itself alerts on it.
    """

    is_scrubbed: bool | None = None
    has_replay: bool | None = None
    rules: Mapping[str, bool | None] = field(default_factory=dict)
    warning: str = ""


@dataclass(frozen=True)
class Usage:
    """How much of the tracker is used, and what it knows of the application beside errors; None is unknown.

    ``dropped_*`` counts events that the tracker refused: beyond a quota or a rate limit, or not valid. What people
    chose to filter is not among them. ``is_accepting`` is False when it takes nothing at all at the moment.
    """

    accepted_30d: int | None = None
    dropped_24h: int | None = None
    dropped_30d: int | None = None
    is_accepting: bool | None = None
    users_24h: int | None = None
    mean_duration_ms: float | None = None


RULE_KEYS = ("new_issue", "error_rate", "database", "auth_failure")


class Adapter(Protocol):
    """One provider. Every method raises TrackerError."""

    lists_minutes: bool

    def list_organizations(self) -> list[str]: ...

    def list_projects(self) -> list[ProjectFound]: ...

    def find_project(self, name: str) -> ProjectFound: ...

    def list_issues(self, project: ProjectFound, now: datetime) -> list[IssueFound]:
        """All issues in every status."""
        ...

    def list_recent_issues(self, project: ProjectFound, now: datetime) -> list[IssueFound]:
        """One page, last seen first; windows may be unknown."""
        ...

    def list_events(self, issue: IssueFound, known_ids: frozenset[str] = frozenset()) -> list[EventFound]:
        """The newest events; contents of those in ``known_ids`` need not be asked for again."""
        ...

    def read_latest_event(self, issue: IssueFound) -> Mapping[str, Any]:
        """The newest event's contents in Sentry's event format, untrusted."""
        ...

    def read_facts(self, project: ProjectFound) -> ProjectFacts: ...

    def count_minutes(self, projects: Sequence[ProjectFound]) -> list[Bucket] | None:
        """Events of the last hour a minute; None when events must be counted instead."""
        ...

    def read_usage(self, projects: Sequence[ProjectFound]) -> Usage: ...

    def read_dsn(self, project: ProjectFound) -> str:
        """Where the project's SDKs send events; empty when it has no key."""
        ...

    def has_event(self, project: ProjectFound, event_id: str) -> bool:
        """Whether the event of those 32 hex digits has arrived."""
        ...

    def test_scopes(self, projects: Sequence[str]) -> Iterator[tuple[str, TrackerError | None]]:
        """Tries what sync will need: (what, None or why not)."""
        ...


def bad_shape(what: str) -> TrackerError:
    """The error for an answer that is JSON, and not what was promised."""
    return TrackerError(TrackerErrorReason.BAD_SHAPE, f"The tracker's list of {what} is not in a form that is known.")


def choose_project(name: str, projects: Sequence[ProjectFound]) -> ProjectFound:
    """The project with that id, slug or name. Raises TrackerError (not_found) that says which there are."""
    for project in projects:
        if name in (project.remote_id, project.slug, project.name):
            return project
    there = ", ".join(project.slug or project.name for project in projects[:PROJECTS_NAMED])
    more = f" and {len(projects) - PROJECTS_NAMED} more" if len(projects) > PROJECTS_NAMED else ""
    has = f"it has {there}{more}" if there else "the token sees none there"
    raise TrackerError(TrackerErrorReason.NOT_FOUND, f"The tracker has no project {name}: {has}.")


def read_text(value: Any, length: int = TEXT_LENGTH) -> str:
    """``value`` as storable text of at most ``length`` characters; anything but text and numbers is empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).replace("\x00", "?").encode("utf-8", "replace").decode()[:length]


def read_count(value: Any) -> int | None:
    """A count that may be a number or its text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return max(0, min(value, 2**62))
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value):
        return int(value)
    return None


def read_time(value: Any) -> datetime | None:
    """An ISO time or epoch seconds as an aware time; no zone means UTC; None for anything else."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if not isinstance(value, str):
            return None
        parsed = datetime.fromisoformat(value)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def read_permalink(value: Any, base_url: str) -> str:
    """A link to follow, only when it is http(s) on the tracker's own host or below it; else nothing."""
    text = read_text(value)
    try:
        parts, base = urlsplit(text), urlsplit(base_url)
        host, own = (parts.hostname or "").lower(), (base.hostname or "").lower()
    except ValueError:
        return ""
    if parts.scheme not in ("https", base.scheme) or "@" in parts.netloc or any(c.isspace() for c in text):
        return ""
    # Sentry SaaS answers from sentry.io with links to ORGANISATION.sentry.io.
    return text if host and (host == own or host.endswith(f".{own}")) else ""


def read_buckets(value: Any) -> tuple[Bucket, ...] | None:
    """[[seconds, count], ...] as pairs; None when it is anything else."""
    if not isinstance(value, list):
        return None
    found = []
    for one in value:
        if not (isinstance(one, list) and len(one) == 2):
            return None
        at, count = read_count(one[0]), read_count(one[1])
        if at is None or count is None:
            return None
        found.append((at, count))
    return tuple(found)


def read_tags(value: Any) -> dict[str, str]:
    """Tags of either shape ({key: value} or [{"key", "value"}] or pairs) that are worth keeping."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, list):
        for one in value:
            if isinstance(one, Mapping):
                pairs.append((one.get("key"), one.get("value")))
            elif isinstance(one, list) and len(one) == 2:
                pairs.append((one[0], one[1]))
    return {str(key): read_text(each, 200) for key, each in pairs if key in KEPT_TAGS and read_text(each, 200)}


def read_user(value: Any) -> str:
    """The id of an event's user, and nothing else of it; empty without one."""
    if not isinstance(value, Mapping):
        return ""
    return read_text(value.get("id"), 100)


def tell_user_apart(value: Any) -> str:
    """What tells an event's user from others so that users can be counted: the id, else a code made of name or address.

    The code leads back to nobody. An IP address is no user: trackers add one to every event.
    """
    if not isinstance(value, Mapping):
        return ""
    known = next((text for name in ("username", "email") if (text := read_text(value.get(name)))), "")
    return read_user(value) or (known and f"~{salted_hmac(__name__, known).hexdigest()[:20]}")


def read_country(user: Any) -> dict[str, str]:
    """The country of an event's user as a tag, where the tracker has looked it up."""
    geo = user.get("geo") if isinstance(user, Mapping) else None
    code = read_text(geo.get("country_code"), 10) if isinstance(geo, Mapping) else ""
    return {"country": code} if code else {}


def sum_since(buckets: Sequence[Bucket] | None, since: datetime) -> int | None:
    """Events in buckets that start at or after ``since``; None when there are no buckets."""
    if buckets is None:
        return None
    return sum(count for at, count in buckets if at >= since.timestamp())


def fill_windows(issue: IssueFound, now: datetime) -> dict[str, int | None]:
    """Counts of the three windows; one that the tracker left out is known when all or none of the events lie in it."""
    counts: dict[str, int | None] = {}
    for name, days in (("count_24h", 1), ("count_7d", 7), ("count_30d", 30)):
        since = now - timedelta(days=days)
        count: int | None = getattr(issue, name)
        if count is None and issue.first_seen is not None and issue.first_seen >= since:
            count = issue.count_total
        if count is None and issue.last_seen is not None and issue.last_seen < since:
            count = 0
        counts[name] = count
    return counts
