"""Answers as GlitchTip does, where it differs from Sentry; its shapes were read from a GlitchTip that ran.

Its Link header is the text of a Python set, buckets without events are left out, users are never counted, issues are
reached outside the organisation only, and an unknown path is a page with status 200.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.sentry_stub import TOKEN, answer_json
from tests.servers.web import Answer, Request


@dataclass
class GlitchTipStub:
    """What the server knows; ``requests`` holds what it was asked."""

    issues: list[dict[str, Any]] = field(default_factory=list)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    is_accepting: bool = True
    page_length: int = 2
    requests: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return answer_json({"detail": "Unauthorized"}, 401)
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        match parts.path.removeprefix("/api/0/").strip("/").split("/"):
            case ["organizations"]:
                return answer_json([{"slug": "acme"}])
            case ["organizations", "acme"]:
                return answer_json({"slug": "acme", "isAcceptingEvents": self.is_accepting})
            case ["organizations", "acme", "projects"]:
                return answer_json([_PROJECT])
            case ["projects", "acme", "shop-api"]:
                return answer_json(_PROJECT)
            case ["projects", "acme", "shop-api", "alerts"]:
                return answer_json(self.alerts)
            case ["projects", "acme", "shop-api", "keys"]:
                return answer_json([{"dsn": {"public": "http://key@glitchtip.example.org/7"}}])
            case ["organizations", "acme", "issues"]:
                if not query.get("project", "0").isdigit():
                    return answer_json({"detail": []}, 422)
                return self._page([self._group(one, query) for one in self.issues], query)
            case ["issues", issue, "events"]:
                return self._page(self.events.get(issue, []), query)
            case ["issues", issue, "events", "latest"]:
                return answer_json(self.events[issue][0]) if self.events.get(issue) else answer_json({}, 404)
        return Answer(200, [("Content-Type", "text/html")], b"<!doctype html><title>GlitchTip</title>")

    def _group(self, issue: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        shown = {name: value for name, value in issue.items() if name not in {"buckets", "lifetime"}}
        period = query.get("groupStatsPeriod", "")
        buckets = [one for one in issue["buckets"].get(period, []) if one[1]]
        return {**shown, "userCount": 0, "stats": {period: buckets}}

    def _page(self, rows: list[Any], query: dict[str, str]) -> Answer:
        start = int(query.get("cursor", "0"))
        end = start + self.page_length
        following = f'<http://elsewhere.example/?cursor={end}>; rel="next"; '
        following += f'results="{str(end < len(rows)).lower()}"; cursor="{end}"'
        link = str({following, '<x>; rel="previous"; results="false"'})
        return answer_json(rows[start:end], headers=[("Link", link)])


_PROJECT = {"id": "7", "slug": "shop-api", "name": "Shop API", "scrubIPAddresses": True}
