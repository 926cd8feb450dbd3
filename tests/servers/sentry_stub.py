"""A Sentry with issues, events, projects and rules of the test's choice, and every way to misbehave."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.sockets import LocalServer
from tests.servers.web import Answer, Request, serve_site

JSON = ("Content-Type", "application/json")
TOKEN = "stub-token-0123456789"
Trouble = Callable[[Request], Answer | None]


@dataclass
class SentryStub:
    """What the server knows. ``trouble`` may answer in its place; ``requests`` holds what it was asked."""

    issues: list[dict[str, Any]] = field(default_factory=list)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    project: dict[str, Any] = field(default_factory=dict)
    workflows: list[dict[str, Any]] = field(default_factory=list)
    page_length: int = 100
    trouble: Trouble | None = None
    requests: list[Request] = field(default_factory=list)
    minutes: list[Any] = field(default_factory=list)
    # outcome -> (events in 24 hours, events in 30 days)
    outcomes: dict[str, tuple[int, int]] = field(default_factory=dict)
    sessions: tuple[int, int] = (0, 0)
    # field of the dataset that this Sentry knows -> (mean, transactions)
    durations: dict[str, tuple[float, int]] = field(default_factory=dict)

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return answer_json({"detail": "Invalid token"}, 401)
        if self.trouble is not None and (answer := self.trouble(request)) is not None:
            return answer
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        return self._route(parts.path.removeprefix("/api/0/").strip("/").split("/"), query)

    def _route(self, path: list[str], query: dict[str, str]) -> Answer:
        match path:
            case ["organizations"]:
                return answer_json([{"slug": "acme"}])
            case ["organizations", "acme"]:
                return answer_json({"slug": "acme"})
            case ["organizations", "acme", "projects"]:
                return answer_json([self._project()])
            case ["projects", "acme", _]:
                return answer_json(self._project())
            case ["organizations", "acme", "workflows"]:
                return answer_json(self.workflows)
            case ["organizations", "acme", "events-stats"]:
                return answer_json({"data": self.minutes})
            case ["organizations", "acme", "stats_v2"]:
                place = 0 if query["statsPeriod"] == "24h" else 1
                groups = [
                    {"by": {"outcome": outcome}, "totals": {"sum(quantity)": counts[place]}, "series": {}}
                    for outcome, counts in self.outcomes.items()
                ]
                return answer_json({"groups": groups, "intervals": []})
            case ["organizations", "acme", "sessions"]:
                users, sessions = self.sessions
                totals = {"count_unique(user)": users, "sum(session)": sessions}
                return answer_json({"groups": [{"by": {}, "totals": totals, "series": {}}]})
            case ["organizations", "acme", "events"]:
                if query["field"] not in self.durations:
                    return answer_json({"detail": "Invalid dataset"}, 400)
                mean, count = self.durations[query["field"]]
                return answer_json({"data": [{query["field"]: mean, "count()": count}], "meta": {}})
            case ["projects", "acme", _, "keys"]:
                off, on = ({"public": f"https://{name}@o1.ingest.example.org/7"} for name in ("off", "on"))
                return answer_json([{"isActive": False, "dsn": off}, {"isActive": True, "dsn": on}])
            case ["organizations", "acme", "issues"]:
                return self._page([self._group(one, query) for one in self._in_period(query)], query)
            case ["organizations", "acme", "issues", issue, "events"]:
                return self._page(self.events.get(issue, []), query)
            case ["organizations", "acme", "issues", issue, "events", "latest"]:
                return answer_json(self.events[issue][0]) if self.events.get(issue) else answer_json({}, 404)
        return answer_json({"detail": "not found"}, 404)

    def _project(self) -> dict[str, Any]:
        return {"id": "7", "slug": "shop-api", "name": "Shop API", **self.project}

    def _in_period(self, query: dict[str, str]) -> list[dict[str, Any]]:
        days = {"24h": 1, "30d": 30}.get(query.get("statsPeriod", ""), 3650)
        limit = datetime.now(UTC) - timedelta(days=days)
        wanted = [one for one in self.issues if datetime.fromisoformat(one["lastSeen"]) >= limit]
        return wanted if "query" in query else [one for one in wanted if one["status"] == "unresolved"]

    def _group(self, issue: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        shown = {name: value for name, value in issue.items() if name != "buckets"}
        period = query.get("groupStatsPeriod")
        return {**shown, "stats": {period: issue["buckets"][period]}} if period in issue.get("buckets", {}) else shown

    def _page(self, rows: list[Any], query: dict[str, str]) -> Answer:
        start = int(query.get("cursor", "0:0:0").split(":")[1] or 0)
        end = start + min(self.page_length, int(query.get("limit", "100")))
        has_more = "true" if end < len(rows) else "false"
        link = f'<http://elsewhere.example/?cursor=0:{end}:0>; rel="next"; results="{has_more}"; cursor="0:{end}:0"'
        return answer_json(rows[start:end], headers=[("Link", link)])


def answer_json(data: Any, status: int = 200, headers: list[tuple[str, str]] | None = None) -> Answer:
    return Answer(status, [JSON, *(headers or [])], json.dumps(data).encode())


def make_group(number: int, **fields: Any) -> dict[str, Any]:
    """An issue seen a minute ago with 3 events today and 10 in its 30 days."""
    now = datetime.now(UTC)
    hour, day = int(now.timestamp()) // 3600 * 3600, int(now.timestamp()) // 86_400 * 86_400
    made = {
        "id": str(number),
        "shortId": f"SHOP-{number}",
        "title": f"ValueError: number {number}",
        "culprit": "shop.views.pay",
        "level": "error",
        "status": "unresolved",
        "count": "10",
        "userCount": 2,
        "firstSeen": (now - timedelta(days=20)).isoformat(),
        "lastSeen": (now - timedelta(minutes=1)).isoformat(),
        "permalink": "http://127.0.0.1/issues/1/",
        "lifetime": {"count": "40", "userCount": 5},
        "buckets": {
            "24h": [[hour - 3600 * place, 3 if place == 1 else 0] for place in reversed(range(24))],
            "auto": [[day - 86_400 * place, {0: 3, 3: 2, 20: 5}.get(place, 0)] for place in reversed(range(30))],
        },
    }
    return {**made, **fields}


def make_event(number: int, **fields: Any) -> dict[str, Any]:
    """An event with a stack, a breadcrumb, a request with a secret in its query, and a user with an address."""
    made = {
        "eventID": f"{number:032x}",
        "dateCreated": (datetime.now(UTC) - timedelta(minutes=number)).isoformat(),
        "user": {"id": f"u{number % 2}", "email": "somebody@example.org", "ip_address": "203.0.113.9"},
        "tags": [{"key": "browser", "value": "Firefox 140"}, {"key": "environment", "value": "production"}],
        "sdk": {"name": "sentry.python", "version": "2.75"},
        "release": {"version": "shop@1.2"},
        "entries": [
            {
                "type": "exception",
                "data": {
                    "values": [
                        {
                            "type": "ValueError",
                            "value": "bad",
                            "stacktrace": {
                                "frames": [
                                    {"filename": "django/base.py", "function": "call", "lineNo": 1, "inApp": False},
                                    {"filename": "shop/views.py", "function": "pay", "lineNo": 12, "inApp": True},
                                    {"filename": "lib/decimal.py", "function": "new", "lineNo": 3, "inApp": False},
                                ]
                            },
                        }
                    ]
                },
            },
            {"type": "breadcrumbs", "data": {"values": [{"category": "query", "message": "SELECT 1"}]}},
            {"type": "request", "data": {"method": "POST", "url": "https://shop.example.org/pay?token=verysecret"}},
        ],
    }
    return {**made, **fields}


@contextlib.contextmanager
def serve_sentry(stub: SentryStub) -> Iterator[LocalServer]:
    """Serve ``stub`` over plain HTTP until the block ends."""
    with serve_site(stub.answer) as server:
        yield server
