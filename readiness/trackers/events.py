"""Turns an event's contents into what the page of an issue shows: own frames first, nothing personal. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from readiness.trackers.base import read_tags, read_text, read_time, read_user

MAX_FRAMES = 60
MAX_CRUMBS = 50
TEST_SDK = "preflight"


def describe_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """The storable description of ``event``, of Sentry's two shapes: an API detail, or an event as an SDK sends it.

    {"at", "event_id", "level", "release", "environment", "sdk", "transaction", "user", "tags", "browser", "os",
     "replay", "exceptions": [{"type", "value", "frames": [...]}], "breadcrumbs": [...], "request": {...}}
    """
    entries = _read_entries(event)
    contexts = _map(event.get("contexts"))
    tags = read_tags(event.get("tags"))
    sdk = _map(event.get("sdk"))
    at = read_time(event.get("dateCreated")) or read_time(event.get("timestamp"))
    release = event.get("release")
    return {
        "at": at.isoformat() if at else None,
        "event_id": read_text(event.get("eventID") or event.get("event_id"), 64),
        "level": read_text(tags.get("level") or event.get("level"), 20),
        "release": read_text(release.get("version") if isinstance(release, Mapping) else release, 200)
        or tags.get("release", ""),
        "environment": tags.get("environment") or read_text(event.get("environment"), 64),
        "sdk": " ".join(read_text(sdk.get(name), 60) for name in ("name", "version")).strip(),
        "transaction": tags.get("transaction") or read_text(event.get("transaction"), 200),
        "user": read_user(event.get("user")),
        "tags": tags,
        "browser": _name_of(contexts.get("browser")),
        "os": _name_of(contexts.get("os")),
        "replay": tags.get("replayId", "") or read_text(_map(contexts.get("replay")).get("replay_id"), 32),
        "exceptions": [_read_exception(one) for one in _values(entries.get("exception"))][:5],
        "breadcrumbs": [_read_crumb(one) for one in _values(entries.get("breadcrumbs"))][-MAX_CRUMBS:],
        "request": _read_request(_map(entries.get("request") or event.get("request"))),
    }


def is_own(description: Mapping[str, Any]) -> bool:
    """Whether the application itself sent the event, and not the portal to test the DSN."""
    return bool(description) and not str(description.get("sdk", "")).startswith(TEST_SDK)


def _read_entries(event: Mapping[str, Any]) -> dict[str, Any]:
    entries = event.get("entries")
    if isinstance(entries, list):
        return {str(one.get("type")): one.get("data") for one in entries if isinstance(one, Mapping)}
    return {name: event.get(name) for name in ("exception", "breadcrumbs", "request")}


def _read_exception(found: Mapping[str, Any]) -> dict[str, Any]:
    """Own frames first, each group from where it was raised outwards."""
    stack = _map(found.get("stacktrace"))
    frames = [_read_frame(one) for one in reversed(_maps(stack.get("frames")))][:MAX_FRAMES]
    return {
        "type": read_text(found.get("type"), 200),
        "value": read_text(found.get("value"), 1000),
        "frames": sorted(frames, key=lambda frame: not frame["in_app"]),
    }


def _read_frame(found: Mapping[str, Any]) -> dict[str, Any]:
    line = found.get("lineNo", found.get("lineno"))
    return {
        "file": read_text(found.get("filename") or found.get("module"), 300),
        "function": read_text(found.get("function"), 200),
        "line": line if isinstance(line, int) and not isinstance(line, bool) else None,
        "code": read_text(_read_line(found, line), 300),
        "in_app": bool(found.get("inApp", found.get("in_app"))),
    }


def _read_line(found: Mapping[str, Any], line: Any) -> Any:
    if "context_line" in found:
        return found["context_line"]
    context = found.get("context")
    for one in context if isinstance(context, list) else []:
        if isinstance(one, list) and len(one) == 2 and one[0] == line:
            return one[1]
    return ""


def _read_crumb(found: Mapping[str, Any]) -> dict[str, Any]:
    at = read_time(found.get("timestamp"))
    return {
        "at": at.isoformat() if at else None,
        "category": read_text(found.get("category") or found.get("type"), 60),
        "message": read_text(found.get("message"), 300),
        "level": read_text(found.get("level"), 20),
    }


def _read_request(found: Mapping[str, Any]) -> dict[str, str]:
    """Method and URL without its query: queries, headers, cookies and bodies hold other people's secrets."""
    url = read_text(found.get("url"), 500)
    try:
        parts = urlsplit(url)
    except ValueError:
        return {}
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.scheme else parts.path
    return {"method": read_text(found.get("method"), 10), "url": place} if url else {}


def _name_of(found: Any) -> str:
    each = _map(found)
    return " ".join(text for name in ("name", "version") if (text := read_text(each.get(name), 60)))


def _values(found: Any) -> list[Mapping[str, Any]]:
    return _maps(found.get("values") if isinstance(found, Mapping) else found)


def _maps(found: Any) -> list[Mapping[str, Any]]:
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _map(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
