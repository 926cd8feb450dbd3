"""Sends a test event to a project's DSN and waits until the tracker has it; writes TrackerProject.test_event.

It proves that the DSN takes events and that they can be read, and nothing about the application: that its own SDK
works, only an event of its own shows.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.utils import timezone

from portal.secrets import SecretError
from readiness.models import Tracker, TrackerProject
from readiness.probes import http_client, net
from readiness.probes.addresses import AddressPolicy
from readiness.trackers.base import Adapter, ProjectFound, TrackerError
from readiness.trackers.events import TEST_SDK
from readiness.trackers.sync import make_adapter

SEND_SECONDS = 15
ARRIVAL_SECONDS = 40
POLL_SECONDS = 1.5


@dataclass(frozen=True)
class Sent:
    """How it went for one project; ``error`` is empty when the event arrived."""

    project: str
    role: str
    error: str = ""
    arrived_after_seconds: float | None = None


def send_test_event(row: TrackerProject, sleep: Callable[[float], None] = time.sleep) -> Sent:
    """One event to the project's DSN, waited for. What went wrong is kept with the project and returned."""
    try:
        adapter = make_adapter(row.tracker, total_seconds=SEND_SECONDS + ARRIVAL_SECONDS)
        return _send_one(row.tracker, row, adapter, sleep)
    except (TrackerError, SecretError) as error:
        return _keep(row, timezone.now(), "", str(error), None)


def _send_one(tracker: Tracker, row: TrackerProject, adapter: Adapter, sleep: Callable[[float], None]) -> Sent:
    sent_at, event_id = timezone.now(), uuid.uuid4().hex
    project = adapter.find_project(row.name)
    dsn = adapter.read_dsn(project)
    host = _read_host(dsn)
    error = _post(dsn, make_event(event_id, sent_at, tracker.tracker_environment), tracker) if dsn else _NO_KEY
    if error:
        return _keep(row, sent_at, event_id, error, None, host)
    if not _arrives(adapter, project, event_id, sleep):
        error = f"The DSN took the event, but the tracker did not have it {ARRIVAL_SECONDS} seconds later."
        return _keep(row, sent_at, event_id, error, None, host)
    return _keep(row, sent_at, event_id, "", timezone.now(), host)


_NO_KEY = "The project has no key that is switched on: make one in the tracker."


def make_event(event_id: str, at: datetime, environment: str) -> dict[str, Any]:
    """An event that is recognised as ours, below the level that alerts."""
    return {
        "event_id": event_id,
        "timestamp": at.isoformat(),
        "platform": "other",
        "level": "info",
        "logger": TEST_SDK,
        "message": {"formatted": "Test event from Preflight"},
        "sdk": {"name": f"{TEST_SDK}.test", "version": "1"},
        "tags": {"preflight.test": "1"},
        "environment": environment or TEST_SDK,
    }


def _post(dsn: str, event: dict[str, Any], tracker: Tracker) -> str:
    """Sends the envelope; returns why it was not taken, or nothing. What the tracker answers is not repeated."""
    parts = urlsplit(dsn)
    path, _, project_id = parts.path.rpartition("/")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.username or not project_id:
        return "The project's DSN is not in a form that is known."
    netloc = parts.netloc.rpartition("@")[2]
    payload = json.dumps(event).encode()
    lines = [{"event_id": event["event_id"]}, {"type": "event", "length": len(payload)}]
    content = b"\n".join([*(json.dumps(line).encode() for line in lines), payload, b""])
    policy = AddressPolicy(allow_loopback=tracker.allow_loopback, allow_private=tracker.allow_http)
    door = net.Door(net.Deadline(SEND_SECONDS), policy, ca_pem=tracker.environment.ca_bundle)
    headers = [
        ("Content-Type", "application/x-sentry-envelope"),
        ("X-Sentry-Auth", f"Sentry sentry_version=7, sentry_key={parts.username}, sentry_client={TEST_SDK}/1"),
    ]
    try:
        answer = http_client.send_request(
            f"{parts.scheme}://{netloc}{path}/api/{project_id}/envelope/",
            door,
            method="POST",
            headers=headers,
            content=content,
            body_bytes=65_536,
        )
    except net.NetError as error:
        return f"The DSN's host cannot be reached: {str(error).rstrip('.')}."
    if answer.status == 429:
        return "The tracker takes no more events at the moment (429): look at its quota and rate limits."
    return "" if answer.status == 200 else f"The DSN's host answered {answer.status} to the event."


def _read_host(dsn: str) -> str:
    """Where the project's SDKs send events; nothing of a DSN that cannot be read."""
    try:
        return (urlsplit(dsn).hostname or "")[:255]
    except ValueError:
        return ""


def _arrives(adapter: Adapter, project: ProjectFound, event_id: str, sleep: Callable[[float], None]) -> bool:
    ends = time.monotonic() + ARRIVAL_SECONDS
    while not adapter.has_event(project, event_id):
        if time.monotonic() >= ends:
            return False
        sleep(POLL_SECONDS)
    return True


def _keep(
    row: TrackerProject, sent_at: datetime, event_id: str, error: str, arrived_at: datetime | None, host: str = ""
) -> Sent:
    kept = {
        "sent_at": sent_at.isoformat(),
        "event_id": event_id,
        "error": error[:300],
        "arrived_at": arrived_at.isoformat() if arrived_at else None,
        "host": host,
    }
    TrackerProject.objects.filter(pk=row.pk).update(test_event=kept)
    return Sent(row.name, row.role, error, (arrived_at - sent_at).total_seconds() if arrived_at else None)
