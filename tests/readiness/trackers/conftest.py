"""Fixtures of error trackers: a stub that is served, and an environment connected to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from readiness.models import Environment, Tracker, TrackerProject
from tests.servers.sentry_stub import TOKEN, SentryStub, make_event, make_group, serve_sentry


@pytest.fixture
def stub() -> SentryStub:
    """Two issues with an event each."""
    return SentryStub(
        issues=[make_group(1), make_group(2, level="warning")],
        events={"1": [make_event(1), make_event(2)], "2": [make_event(3)]},
        project={"dataScrubber": True, "dataScrubberDefaults": True, "scrubIPAddresses": True, "hasReplays": False},
    )


@pytest.fixture
def sentry_url(stub: SentryStub) -> Iterator[str]:
    with serve_sentry(stub) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def tracker(shop: Environment, sentry_url: str) -> Tracker:
    """The shop's Sentry, connected and not read yet."""
    tracker = Tracker.objects.create(
        environment=shop,
        provider="sentry",
        url=sentry_url,
        organization="acme",
        token=TOKEN,
        allow_http=True,
        allow_loopback=True,
    )
    TrackerProject.objects.create(tracker=tracker, name="shop-api", role="backend")
    return tracker
