"""Reads Sentry, SaaS and self-hosted, through its web API; writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from readiness.trackers import sentry_usage
from readiness.trackers.base import (
    Bucket,
    EventFound,
    IssueFound,
    ProjectFacts,
    ProjectFound,
    TrackerError,
    TrackerErrorReason,
    Usage,
    bad_shape,
    choose_project,
    read_buckets,
    read_count,
    read_country,
    read_permalink,
    read_tags,
    read_text,
    read_time,
    sum_since,
    tell_user_apart,
)
from readiness.trackers.client import ApiClient, Query
from readiness.trackers.sentry_rules import read_legacy_rules, read_workflows

EVENT_PAGES = 5
_NOT_TOLD = {
    TrackerErrorReason.NOT_FOUND,
    TrackerErrorReason.BROWN_OUT,
    TrackerErrorReason.SCOPE_MISSING,
    # 400, where a dataset or a field is not known.
    TrackerErrorReason.BAD_SHAPE,
    TrackerErrorReason.NOT_JSON,
}


class SentryAdapter:
    """Sentry's organisation API. ``environment`` filters by Sentry's own environments."""

    lists_minutes = True
    _event_pages = EVENT_PAGES
    _event_page: Mapping[str, int] = {}

    def __init__(self, client: ApiClient, organization: str, environment: str = "", budget: int = 400) -> None:
        self._client = client
        self._organization = organization
        self._environment = environment
        self._root = f"/api/0/organizations/{quote(organization, safe='')}"

    def list_organizations(self) -> list[str]:
        found = self._client.get("/api/0/organizations/", scope="org:read").data
        if not isinstance(found, list):
            raise bad_shape("organisations")
        return [slug for one in found if isinstance(one, Mapping) and (slug := read_text(one.get("slug"), 100))]

    def list_projects(self) -> list[ProjectFound]:
        found: list[ProjectFound] = []
        for page in self._client.get_pages(f"{self._root}/projects/", {}, scope="org:read"):
            if not isinstance(page, list):
                raise bad_shape("projects")
            found += [project for one in page if (project := self._read_project(one)) is not None]
        return found

    def find_project(self, name: str) -> ProjectFound:
        try:
            project = self._read_project(self._client.get(self._project_path(name), scope="project:read").data)
        except TrackerError as error:
            if error.reason is not TrackerErrorReason.NOT_FOUND:
                raise
            return self._look_for(name, error)
        if project is None:
            raise bad_shape("projects")
        return project

    def _look_for(self, name: str, refusal: TrackerError) -> ProjectFound:
        """Among all projects, by id, slug or name; what is asked for by its path is found by its slug alone."""
        try:
            projects = self.list_projects()
        except TrackerError:
            raise refusal from None
        return choose_project(name, projects)

    def list_issues(self, project: ProjectFound, now: datetime) -> list[IssueFound]:
        """Three passes: all issues of all times, then their buckets of 30 days and of 24 hours."""
        everything = self._list(project, {"sort": "date"})
        by_day = self._by_id(self._list(project, {"statsPeriod": "30d", "groupStatsPeriod": "auto"}))
        by_hour = self._by_id(self._list(project, {"statsPeriod": "24h", "groupStatsPeriod": "24h"}))
        ids = dict.fromkeys([*self._by_id(everything), *by_day, *by_hour])
        whole = self._by_id(everything)
        return [
            self._read_issue(
                {**by_hour.get(one, {}), **by_day.get(one, {}), **whole.get(one, {})},
                by_day.get(one),
                by_hour.get(one),
                now,
            )
            for one in ids
        ]

    def list_recent_issues(self, project: ProjectFound, now: datetime) -> list[IssueFound]:
        query = self._issue_query(project, {"sort": "date", "statsPeriod": "24h", "groupStatsPeriod": "24h"})
        page = self._client.get(f"{self._root}/issues/", query, scope="event:read").data
        return [self._read_issue(one, None, one, now) for one in read_groups(page)]

    def list_events(self, issue: IssueFound, known_ids: frozenset[str] = frozenset()) -> list[EventFound]:
        query: dict[str, str | int] = {"environment": self._environment} if self._environment else {}
        found: list[EventFound] = []
        pages = self._client.get_pages(
            f"{self._issue_path(issue)}events/", {**query, **self._event_page}, scope="event:read"
        )
        for number, page in enumerate(pages, start=1):
            if not isinstance(page, list):
                raise bad_shape("events")
            found += [event for one in page if (event := _read_event(one)) is not None]
            if number == self._event_pages or any(event.remote_id in known_ids for event in found):
                break
        return found

    def read_latest_event(self, issue: IssueFound) -> Mapping[str, Any]:
        found = self._client.get(f"{self._issue_path(issue)}events/latest/", scope="event:read").data
        if not isinstance(found, Mapping):
            raise bad_shape("events")
        return found

    def read_facts(self, project: ProjectFound) -> ProjectFacts:
        found = self._client.get(self._project_path(project.slug), scope="project:read").data
        if not isinstance(found, Mapping):
            raise bad_shape("projects")
        rules, warning = self._read_rules(project)
        scrubber, defaults, addresses = (
            found.get(name) for name in ("dataScrubber", "dataScrubberDefaults", "scrubIPAddresses")
        )
        known = [value for value in (scrubber, defaults, addresses) if isinstance(value, bool)]
        return ProjectFacts(
            is_scrubbed=all(known) if len(known) == 3 else None,
            has_replay=found["hasReplays"] if isinstance(found.get("hasReplays"), bool) else None,
            rules=rules,
            warning=warning,
        )

    def count_minutes(self, projects: Sequence[ProjectFound]) -> list[Bucket] | None:
        totals: dict[int, int] = {}
        for project in projects:
            query = {"yAxis": "count()", "interval": "1m", "statsPeriod": "1h", "project": project.remote_id}
            if self._environment:
                query["environment"] = self._environment
            try:
                found = self._client.get(f"{self._root}/events-stats/", query, scope="org:read").data
            except TrackerError as error:
                if error.reason in {TrackerErrorReason.NOT_FOUND, TrackerErrorReason.BROWN_OUT}:
                    return None
                raise
            if not isinstance(found, Mapping) or not isinstance(found.get("data"), list):
                return None
            for at, counts in (one for one in found["data"] if isinstance(one, list) and len(one) == 2):
                counted = [one.get("count") for one in counts or [] if isinstance(one, Mapping)]
                if isinstance(at, int):
                    totals[at] = totals.get(at, 0) + sum(read_count(one) or 0 for one in counted)
        return sorted(totals.items())

    def read_usage(self, projects: Sequence[ProjectFound]) -> Usage:
        ids = [project.remote_id for project in projects]
        month, day = (
            self._ask("stats_v2", {**sentry_usage.OUTCOMES_QUERY, "statsPeriod": period, "project": ids})
            for period in ("30d", "24h")
        )
        here: dict[str, str] = {"environment": self._environment} if self._environment else {}
        sessions = self._ask("sessions", {**sentry_usage.SESSIONS_QUERY, "project": ids, **here})
        return Usage(
            accepted_30d=sentry_usage.sum_outcomes(month, sentry_usage.ACCEPTED),
            dropped_24h=sentry_usage.sum_outcomes(day, sentry_usage.DROPPED),
            dropped_30d=sentry_usage.sum_outcomes(month, sentry_usage.DROPPED),
            users_24h=sentry_usage.read_session_users(sessions),
            mean_duration_ms=self._read_mean_duration({"statsPeriod": "24h", "project": ids, **here}),
        )

    def read_dsn(self, project: ProjectFound) -> str:
        keys = self._client.get(f"{self._project_path(project.slug)}keys/", scope="project:read").data
        for key in keys if isinstance(keys, list) else []:
            dsn = key.get("dsn") if isinstance(key, Mapping) and key.get("isActive", True) else None
            if isinstance(dsn, Mapping) and read_text(dsn.get("public")):
                return read_text(dsn["public"])
        return ""

    def has_event(self, project: ProjectFound, event_id: str) -> bool:
        query: Query = {"project": project.remote_id, "query": event_id, "limit": 1}
        return bool(read_groups(self._client.get(f"{self._root}/issues/", query, scope="event:read").data))

    def _read_mean_duration(self, query: Query) -> float | None:
        for field, dataset in sentry_usage.DURATION_QUERIES:
            data = self._ask("events", {**query, **dataset, "field": [field, "count()"]})
            if (mean := sentry_usage.read_mean(data, field)) is not None:
                return mean
        return None

    def _ask(self, what: str, query: Query) -> Any:
        """What not every Sentry and not every token tells; None then. Raises TrackerError when it does not answer."""
        try:
            return self._client.get(f"{self._root}/{what}/", query, scope="org:read").data
        except TrackerError as error:
            if error.reason in _NOT_TOLD:
                return None
            raise

    def test_scopes(self, projects: Sequence[str]) -> Iterator[tuple[str, TrackerError | None]]:
        yield self._try("organisation", f"{self._root}/", "org:read")
        slugs = []
        for name in projects:
            try:
                slugs.append(self.find_project(name).slug)
            except TrackerError as error:
                yield f"project {name}", error
            else:
                yield f"project {name}", None
        yield self._try("issues", f"{self._root}/issues/", "event:read", {"query": "", "limit": 1})
        yield from self._test_rules(slugs)

    def _test_rules(self, slugs: Sequence[str]) -> Iterator[tuple[str, TrackerError | None]]:
        what, error = self._try("alert rules", f"{self._root}/workflows/", "alerts:read", {"per_page": 1})
        if error is not None and error.reason is TrackerErrorReason.NOT_FOUND and slugs:
            what, error = self._try("alert rules", f"{self._project_path(slugs[0])}rules/", "alerts:read")
        yield what, error

    def _try(
        self, what: str, path: str, scope: str, query: Mapping[str, str | int] | None = None
    ) -> tuple[str, TrackerError | None]:
        try:
            self._client.get(path, query, scope=scope)
        except TrackerError as error:
            return what, error
        return what, None

    def _read_rules(self, project: ProjectFound) -> tuple[Mapping[str, bool | None], str]:
        """New rules first; a self-hosted Sentry may know only the old ones. A brown-out is no "no rules"."""
        unknown = {TrackerErrorReason.NOT_FOUND, TrackerErrorReason.BROWN_OUT, TrackerErrorReason.SCOPE_MISSING}
        warning = ""
        for path, query, read in (
            (f"{self._root}/workflows/", {"project": project.remote_id}, read_workflows),
            (f"{self._project_path(project.slug)}rules/", {}, read_legacy_rules),
        ):
            try:
                pages = list(self._client.get_pages(path, query, scope="alerts:read"))
            except TrackerError as error:
                if error.reason not in unknown:
                    raise
                warning = str(error)
                continue
            rows = [one for page in pages if isinstance(page, list) for one in page if isinstance(one, Mapping)]
            return read(rows), ""
        return {}, warning

    def _list(self, project: ProjectFound, extra: Mapping[str, str]) -> list[Mapping[str, Any]]:
        query = self._issue_query(project, extra)
        pages = self._client.get_pages(f"{self._root}/issues/", query, scope="event:read")
        return [one for page in pages for one in read_groups(page)]

    def _issue_query(self, project: ProjectFound, extra: Mapping[str, str]) -> dict[str, str | int]:
        # An empty query is all statuses; none at all would be the unresolved ones.
        query: dict[str, str | int] = {"project": project.remote_id, "query": "", "limit": 100, **extra}
        if self._environment:
            query["environment"] = self._environment
        return query

    def _by_id(self, groups: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        return {read_text(one["id"], 64): one for one in groups}

    def _issue_path(self, issue: IssueFound) -> str:
        return f"{self._root}/issues/{quote(issue.remote_id, safe='')}/"

    def _project_path(self, name: str) -> str:
        return f"/api/0/projects/{quote(self._organization, safe='')}/{quote(name, safe='')}/"

    def _read_project(self, found: Any) -> ProjectFound | None:
        if not isinstance(found, Mapping) or not read_text(found.get("id"), 64):
            return None
        slug = read_text(found.get("slug"), 100)
        return ProjectFound(
            read_text(found["id"], 64), slug, read_text(found.get("name"), 100) or slug, self._organization
        )

    def _read_issue(
        self,
        whole: Mapping[str, Any],
        by_day: Mapping[str, Any] | None,
        by_hour: Mapping[str, Any] | None,
        now: datetime,
    ) -> IssueFound:
        lifetime = whole.get("lifetime") if isinstance(whole.get("lifetime"), Mapping) else {}
        assert isinstance(lifetime, Mapping)  # noqa: S101  narrows the type
        days, hours = read_stats(by_day), read_stats(by_hour)
        count_30d = sum_since(days, now - timedelta(days=31)) if days is not None else _count_of(by_day)
        count_24h = sum_since(hours, now - timedelta(hours=25)) if hours is not None else _count_of(by_hour)
        total = read_count(lifetime.get("count"))
        users = read_count(lifetime.get("userCount"))
        return IssueFound(
            **read_group(whole, self._client.base_url),
            count_24h=count_24h,
            count_7d=sum(count for _, count in days[-7:]) if days is not None else None,
            count_30d=count_30d,
            count_total=total if total is not None else read_count(whole.get("count")),
            users=users if users is not None else read_count(whole.get("userCount")),
            hourly=hours,
            daily=days,
        )


def read_group(group: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """What Sentry and GlitchTip say about an issue in the same words."""
    return {
        "remote_id": read_text(group.get("id"), 64),
        "title": read_text(group.get("title")) or "(no title)",
        "short_id": read_text(group.get("shortId"), 100),
        "culprit": read_text(group.get("culprit"), 300),
        "level": read_text(group.get("level"), 20),
        "status": read_text(group.get("status"), 30),
        "first_seen": read_time(group.get("firstSeen")),
        "last_seen": read_time(group.get("lastSeen")),
        "permalink": read_permalink(group.get("permalink"), base_url),
    }


def read_groups(page: Any) -> list[Mapping[str, Any]]:
    if not isinstance(page, list) or not all(isinstance(one, Mapping) for one in page):
        raise bad_shape("issues")
    return [one for one in page if read_text(one.get("id"), 64)]


def read_stats(group: Mapping[str, Any] | None) -> tuple[Bucket, ...] | None:
    stats = group.get("stats") if group is not None else None
    if not isinstance(stats, Mapping):
        return None
    return next((found for one in stats.values() if (found := read_buckets(one)) is not None), None)


def _count_of(group: Mapping[str, Any] | None) -> int | None:
    """What a pass over one period counted; an issue that it left out had nothing in that period."""
    return 0 if group is None else read_count(group.get("count"))


def _read_event(found: Any) -> EventFound | None:
    if not isinstance(found, Mapping):
        return None
    # GlitchTip's list of events spells its names the other way.
    at = read_time(found.get("dateCreated") or found.get("date_created"))
    remote_id = read_text(found.get("eventID") or found.get("event_id") or found.get("id"), 64)
    if at is None or not remote_id:
        return None
    user = found.get("user")
    return EventFound(remote_id, at, tell_user_apart(user), {**read_country(user), **read_tags(found.get("tags"))})
