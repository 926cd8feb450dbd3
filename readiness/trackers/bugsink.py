"""Reads Bugsink through its canonical API; writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from readiness.trackers.base import (
    Bucket,
    EventFound,
    IssueFound,
    ProjectFacts,
    ProjectFound,
    TrackerError,
    Usage,
    bad_shape,
    choose_project,
    read_count,
    read_country,
    read_tags,
    read_text,
    read_time,
    tell_user_apart,
)
from readiness.trackers.client import ApiClient

_ROOT = "/api/canonical/0"
EVENT_PAGES = 40
ISSUES_SEARCHED = 5


class BugsinkAdapter:
    """Bugsink tells level, environment, user and tags only in each event's data, so every event is read, once.

    ``budget`` limits how many are read by one adapter; the rest is read by later ones.
    """

    lists_minutes = False

    def __init__(self, client: ApiClient, organization: str = "", environment: str = "", budget: int = 400) -> None:
        self._client = client
        self._environment = environment
        self._budget = budget

    def list_organizations(self) -> list[str]:
        return []

    def list_projects(self) -> list[ProjectFound]:
        return [
            ProjectFound(read_text(one.get("id"), 64), read_text(one.get("slug"), 100), read_text(one.get("name"), 100))
            for one in self._list("projects", {})
        ]

    def find_project(self, name: str) -> ProjectFound:
        return choose_project(name, self.list_projects())

    def list_issues(self, project: ProjectFound, now: datetime) -> list[IssueFound]:
        found = self._list("issues", {"project": project.remote_id, "sort": "digest_order", "order": "asc"})
        return [self._read_issue(one) for one in found if read_text(one.get("id"), 64)]

    def list_recent_issues(self, project: ProjectFound, now: datetime) -> list[IssueFound]:
        query = {"project": project.remote_id, "sort": "last_seen", "order": "desc"}
        found = _read_rows(self._client.get(f"{_ROOT}/issues/", query).data, "issues")
        return [self._read_issue(one) for one in found if read_text(one.get("id"), 64)]

    def list_events(self, issue: IssueFound, known_ids: frozenset[str] = frozenset()) -> list[EventFound]:
        found: list[EventFound] = []
        pages = self._client.get_pages(f"{_ROOT}/events/", {"issue": issue.remote_id})
        for number, page in enumerate(pages, start=1):
            for one in _read_rows(page, "events"):
                at, remote_id = read_time(one.get("timestamp")), read_text(one.get("id"), 64)
                if at is None or not remote_id:
                    continue
                if remote_id in known_ids:
                    found.append(EventFound(remote_id, at, is_read=False))
                else:
                    found.append(self._read_event(remote_id, at))
            if number == EVENT_PAGES:
                break
        return found

    def read_latest_event(self, issue: IssueFound) -> Mapping[str, Any]:
        rows = _read_rows(self._client.get(f"{_ROOT}/events/", {"issue": issue.remote_id}).data, "events")
        if not rows:
            return {}
        return self._read_contents(read_text(rows[0].get("id"), 64))

    def read_facts(self, project: ProjectFound) -> ProjectFacts:
        found = self._client.get(f"{_ROOT}/projects/{quote(project.remote_id, safe='')}/").data
        if not isinstance(found, Mapping):
            raise bad_shape("projects")
        alerts = found.get("alert_on_new_issue")
        return ProjectFacts(rules={"new_issue": alerts} if isinstance(alerts, bool) else {})

    def count_minutes(self, projects: Sequence[ProjectFound]) -> list[Bucket] | None:
        return None

    def read_usage(self, projects: Sequence[ProjectFound]) -> Usage:
        return Usage()

    def read_dsn(self, project: ProjectFound) -> str:
        found = self._client.get(f"{_ROOT}/projects/{quote(project.remote_id, safe='')}/").data
        return read_text(found.get("dsn")) if isinstance(found, Mapping) else ""

    def has_event(self, project: ProjectFound, event_id: str) -> bool:
        """Among the newest events of the issues seen last: an event cannot be asked for by its SDK's id."""
        query = {"project": project.remote_id, "sort": "last_seen", "order": "desc"}
        issues = _read_rows(self._client.get(f"{_ROOT}/issues/", query).data, "issues")
        for issue in issues[:ISSUES_SEARCHED]:
            events = self._client.get(f"{_ROOT}/events/", {"issue": read_text(issue.get("id"), 64)}).data
            if any(read_text(one.get("event_id")).replace("-", "") == event_id for one in _read_rows(events, "events")):
                return True
        return False

    def test_scopes(self, projects: Sequence[str]) -> Iterator[tuple[str, TrackerError | None]]:
        """Its tokens may do everything or nothing."""
        for name in projects:
            try:
                project = self.find_project(name)
                self._client.get(f"{_ROOT}/issues/", {"project": project.remote_id})
            except TrackerError as error:
                yield f"project {name}", error
            else:
                yield f"project {name}", None

    def _list(self, what: str, query: Mapping[str, str | int]) -> list[Mapping[str, Any]]:
        return [row for page in self._client.get_pages(f"{_ROOT}/{what}/", query) for row in _read_rows(page, what)]

    def _read_event(self, remote_id: str, at: datetime) -> EventFound:
        if self._budget <= 0:
            return EventFound(remote_id, at, is_read=False)
        self._budget -= 1
        data = self._read_contents(remote_id)
        tags = {**read_country(data.get("user")), **read_tags(data.get("tags")), **_read_contexts(data)}
        return EventFound(remote_id, at, tell_user_apart(data.get("user")), tags)

    def _read_contents(self, remote_id: str) -> Mapping[str, Any]:
        found = self._client.get(f"{_ROOT}/events/{quote(remote_id, safe='')}/").data
        data = found.get("data") if isinstance(found, Mapping) else None
        if not isinstance(data, Mapping):
            raise bad_shape("events")
        return data

    def _read_issue(self, found: Mapping[str, Any]) -> IssueFound:
        kind, value = read_text(found.get("calculated_type"), 200), read_text(found.get("calculated_value"))
        remote_id = read_text(found.get("id"), 64)
        status = "resolved" if found.get("is_resolved") else "ignored" if found.get("is_muted") else "unresolved"
        return IssueFound(
            remote_id=remote_id,
            title=": ".join(part for part in (kind, value) if part) or "(no title)",
            short_id=read_text(found.get("friendly_id"), 100),
            culprit=read_text(found.get("transaction"), 300),
            status=status,
            count_total=read_count(found.get("digested_event_count")),
            first_seen=read_time(found.get("first_seen")),
            last_seen=read_time(found.get("last_seen")),
            permalink=f"{self._client.base_url}/issues/issue/{quote(remote_id, safe='')}/event/last/",
        )


def _read_rows(page: Any, what: str) -> list[Mapping[str, Any]]:
    rows = page.get("results") if isinstance(page, Mapping) else page
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise bad_shape(what)
    return rows


def _read_contexts(data: Mapping[str, Any]) -> dict[str, str]:
    """What other trackers turn into tags by themselves."""
    found = {name: read_text(data.get(name), 200) for name in ("release", "environment", "level", "transaction")}
    contexts = data.get("contexts")
    if isinstance(contexts, Mapping):
        for name in ("browser", "os"):
            each = contexts.get(name)
            if isinstance(each, Mapping):
                found[name] = " ".join(read_text(each.get(part), 80) for part in ("name", "version")).strip()
    return {name: text for name, text in found.items() if text}
