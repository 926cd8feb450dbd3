"""Reads GlitchTip, which speaks a part of Sentry's API in its own way; writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from readiness.trackers.base import (
    Bucket,
    IssueFound,
    ProjectFacts,
    ProjectFound,
    TrackerError,
    TrackerErrorReason,
    Usage,
    bad_shape,
    read_count,
    sum_since,
)
from readiness.trackers.sentry import SentryAdapter, read_group, read_stats


class GlitchTipAdapter(SentryAdapter):
    """GlitchTip ignores periods, counts users wrongly and knows neither minutes nor replays."""

    lists_minutes = False

    def list_issues(self, project: ProjectFound, now: datetime) -> list[IssueFound]:
        by_day = self._list(project, {"sort": "-last_seen", "groupStatsPeriod": "14d"})
        hours = self._by_id(self._list(project, {"sort": "-last_seen", "groupStatsPeriod": "24h"}))
        return [self._read_group(one, one, hours.get(key), now) for key, one in self._by_id(by_day).items()]

    def list_recent_issues(self, project: ProjectFound, now: datetime) -> list[IssueFound]:
        query = self._issue_query(project, {"sort": "-last_seen", "groupStatsPeriod": "24h"})
        page = self._client.get(f"{self._root}/issues/", query, scope="event:read").data
        if not isinstance(page, list):
            raise bad_shape("issues")
        groups = [one for one in page if isinstance(one, Mapping) and one.get("id")]
        return [self._read_group(one, None, one, now) for one in groups]

    def read_facts(self, project: ProjectFound) -> ProjectFacts:
        found = self._client.get(self._project_path(project.slug), scope="project:read").data
        if not isinstance(found, Mapping):
            raise bad_shape("projects")
        scrubbed = found.get("scrubIPAddresses")
        return ProjectFacts(
            is_scrubbed=scrubbed if isinstance(scrubbed, bool) else None, rules=self._read_rate(project)
        )

    def count_minutes(self, projects: Sequence[ProjectFound]) -> list[Bucket] | None:
        return None

    def read_usage(self, projects: Sequence[ProjectFound]) -> Usage:
        """It neither counts what it drops nor sessions nor durations; it says whether it takes events."""
        found = self._ask_organization()
        accepting = found.get("isAcceptingEvents")
        return Usage(is_accepting=accepting if isinstance(accepting, bool) else None)

    def _ask_organization(self) -> Mapping[str, Any]:
        try:
            found = self._client.get(f"{self._root}/", scope="org:read").data
        except TrackerError as error:
            if error.reason in {TrackerErrorReason.NOT_FOUND, TrackerErrorReason.SCOPE_MISSING}:
                return {}
            raise
        return found if isinstance(found, Mapping) else {}

    def _read_rate(self, project: ProjectFound) -> Mapping[str, bool | None]:
        """Its alerts are a quantity in a time span; the other three rules it cannot express."""
        try:
            found = self._client.get(f"{self._project_path(project.slug)}alerts/", scope="project:read").data
        except TrackerError as error:
            if error.reason in {TrackerErrorReason.NOT_FOUND, TrackerErrorReason.SCOPE_MISSING}:
                return {}
            raise
        rows = [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
        return {
            "error_rate": any(
                (read_count(one.get("timespanMinutes") or one.get("timespan_minutes")) == 1)
                and (read_count(one.get("quantity")) or 2**31) <= 10
                and bool(one.get("alertRecipients", True))
                for one in rows
            )
        }

    def _test_rules(self, projects: Sequence[str]) -> Iterator[tuple[str, TrackerError | None]]:
        if projects:
            yield self._try("alert rules", f"{self._project_path(projects[0])}alerts/", "project:read")

    def _issue_path(self, issue: IssueFound) -> str:
        # Only the paths outside the organisation lead to an issue.
        return f"/api/0/issues/{quote(issue.remote_id, safe='')}/"

    def _read_group(
        self,
        whole: Mapping[str, Any],
        by_day: Mapping[str, Any] | None,
        by_hour: Mapping[str, Any] | None,
        now: datetime,
    ) -> IssueFound:
        days, hours = read_stats(by_day), read_stats(by_hour)
        return IssueFound(
            **read_group(whole, self._client.base_url),
            count_24h=sum_since(hours, now - timedelta(hours=25)),
            count_7d=sum_since(days, now - timedelta(days=7)),
            count_total=read_count(whole.get("count")),
            hourly=hours,
        )
