"""Answers as GlitchTip does, where it differs from Sentry; its shapes were read from a GlitchTip that ran.

Its Link header is the text of a Python set, the list of issues has a placeholder for buckets and for users, buckets
without events are left out, the list of an issue's events spells its names with underscores, issues are reached outside
the organisation only, projects by their slug only, and an unknown path is a page with status 200.
"""

from __future__ import annotations

import re
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
    has_stats: bool = True
    page_length: int = 2
    requests: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return answer_json({"detail": "Unauthorized"}, 401)
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        groups = parse_qs(parts.query).get("groups", [])
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
                return self._page([_hide_buckets(one) for one in self._of_environment(query)], query)
            case ["organizations", "acme", "issues-stats"] if self.has_stats:
                return answer_json([_tell_buckets(one, query) for one in self.issues if one["id"] in groups])
            case ["projects", "acme", _]:
                return answer_json({"detail": "Not Found"}, 404)
            case ["issues", issue, "events"]:
                return self._page([_spell_otherwise(one) for one in self.events.get(issue, [])], query)
            case ["issues", issue, "events", "latest"]:
                return answer_json(self.events[issue][0]) if self.events.get(issue) else answer_json({}, 404)
        return Answer(200, [("Content-Type", "text/html")], b"<!doctype html><title>GlitchTip</title>")

    def _of_environment(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """The issues with an event of the environment; their counts are of all environments all the same."""
        tag = {"key": "environment", "value": query.get("environment")}
        return [
            one
            for one in self.issues
            if "environment" not in query or any(tag in each["tags"] for each in self.events.get(one["id"], []))
        ]

    def _page(self, rows: list[Any], query: dict[str, str]) -> Answer:
        start = int(query.get("cursor", "0"))
        end = start + self.page_length
        following = f'<http://elsewhere.example/?cursor={end}>; rel="next"; '
        following += f'results="{str(end < len(rows)).lower()}"; cursor="{end}"'
        link = str({following, '<x>; rel="previous"; results="false"'})
        return answer_json(rows[start:end], headers=[("Link", link)])


_PROJECT = {"id": "7", "slug": "shop-api", "name": "Shop API", "scrubIPAddresses": True}


def _hide_buckets(issue: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in issue.items() if name not in {"buckets", "lifetime"}}
    return {**shown, "userCount": 0, "stats": {"24h": []}, "permalink": "Not implemented"}


def _tell_buckets(issue: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    period = query["statsPeriod"]
    told = [one for one in issue["buckets"][period] if one[1]]
    stats = {"24h": None, "14d": None, period: told}
    return {"id": issue["id"], "count": issue["count"], "userCount": int(issue["count"]), "stats": stats}


def _spell_otherwise(event: dict[str, Any]) -> dict[str, Any]:
    spelled = {re.sub("[A-Z]+", lambda found: f"_{found[0].lower()}", name): value for name, value in event.items()}
    return {**spelled, "id": f"0199{event['eventID'][4:]}"}
