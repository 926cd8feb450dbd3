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
    read_text,
    sum_since,
)
from readiness.trackers.sentry import SentryAdapter, read_group, read_groups, read_stats

# It answers for 200 issues at most.
STATS_CHUNK = 100


class GlitchTipAdapter(SentryAdapter):
    """GlitchTip ignores periods, counts users wrongly and knows neither minutes nor replays.

    The ``stats`` in its list of issues are a placeholder, always empty; buckets have to be asked for on their own.
    """

    lists_minutes = False
    _event_pages = 40
    _event_page: Mapping[str, int] = {"limit": 100}

    def list_issues(self, project: ProjectFound, now: datetime) -> list[IssueFound]:
        return self._read_issues(self._list(project, {"sort": "-last_seen"}), now)

    def list_recent_issues(self, project: ProjectFound, now: datetime) -> list[IssueFound]:
        query = self._issue_query(project, {"sort": "-last_seen"})
        page = self._client.get(f"{self._root}/issues/", query, scope="event:read").data
        return self._read_issues(read_groups(page), now)

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

    def _read_issues(self, groups: Sequence[Mapping[str, Any]], now: datetime) -> list[IssueFound]:
        by_id = self._by_id(groups)
        hours = self._ask_stats(list(by_id), "24h")
        days = self._ask_stats(list(by_id), "14d")
        return [self._read_group(one, days.get(key), hours.get(key), now) for key, one in by_id.items()]

    def _ask_stats(self, ids: Sequence[str], period: str) -> dict[str, tuple[Bucket, ...]]:
        """Buckets of each issue; nothing where they are not known, and for one environment they never are."""
        found: dict[str, tuple[Bucket, ...]] = {}
        for start in range(0, 0 if self._environment else len(ids), STATS_CHUNK):
            query = {"groups": ids[start : start + STATS_CHUNK], "statsPeriod": period}
            answer = self._ask("issues-stats", query)
            if answer is None:
                break
            for one in read_groups(answer):
                buckets = read_stats(one)
                if buckets is not None:
                    found[read_text(one["id"], 64)] = buckets
        return found

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

    def _test_rules(self, slugs: Sequence[str]) -> Iterator[tuple[str, TrackerError | None]]:
        if slugs:
            yield self._try("alert rules", f"{self._project_path(slugs[0])}alerts/", "project:read")

    def _issue_path(self, issue: IssueFound) -> str:
        # Only the paths outside the organisation lead to an issue.
        return f"/api/0/issues/{quote(issue.remote_id, safe='')}/"

    def _read_group(
        self,
        whole: Mapping[str, Any],
        days: Sequence[Bucket] | None,
        hours: tuple[Bucket, ...] | None,
        now: datetime,
    ) -> IssueFound:
        told = read_group(whole, self._client.base_url)
        if not told["permalink"]:
            organization, issue = (quote(part, safe="") for part in (self._organization, told["remote_id"]))
            told["permalink"] = f"{self._client.base_url}/{organization}/issues/{issue}"
        return IssueFound(
            **told,
            count_24h=sum_since(hours, now - timedelta(hours=25)),
            count_7d=sum_since(days, now - timedelta(days=7)),
            count_total=read_count(whole.get("count")),
            hourly=hours,
        )
