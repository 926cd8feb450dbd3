"""How people hear of what breaks, told in Chromium: a tracker, a channel, a notice, the weekly mail."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Team
from tests.servers.receiver import Posts, serve_webhook
from tests.servers.sentry_stub import TOKEN, SentryStub, make_event, make_group, serve_sentry

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def test_an_operator_connects_a_tracker_and_is_told_of_a_new_issue(team: Team, shop: str) -> None:
    otto, posts = team.otto, Posts()
    stub = SentryStub([make_group(1)], {"1": [make_event(1)]})
    with serve_webhook(posts) as hook, serve_sentry(stub) as sentry:
        otto.visit("/alerts/channels/add/")
        otto.page.get_by_label("Name").fill("Team hook")
        otto.page.get_by_label("Kind").select_option("webhook")
        otto.page.get_by_label("Address").fill(hook.url)
        otto.press("Save")
        otto.press("Test Team hook")
        assert posts.received[0][1]["reason"] == "test"
        otto.follow("Change New issue at error or fatal")
        otto.page.get_by_label("Team hook").check()
        otto.press("Save")

        otto.visit(f"{shop}tracker/")
        otto.page.get_by_label("Provider").select_option("sentry")
        otto.page.get_by_label("URL").fill(f"http://127.0.0.1:{sentry.port}")
        otto.page.get_by_label("Organization").fill("acme")
        otto.page.get_by_label("Token").fill(TOKEN)
        otto.page.get_by_label("Plain HTTP and private addresses").check()
        otto.press("Test")
        expect(otto.page.get_by_text("All fine")).to_be_visible()
        # What was typed stays, except the token; projects can be picked from what the test has found.
        assert otto.page.locator("#projects option").get_attribute("value") == "shop-api"
        otto.page.get_by_label("Token").fill(TOKEN)
        otto.page.get_by_label("Backend project").fill("shop-api")
        otto.press("Save")
        expect(otto.page.get_by_role("link", name="ValueError: number 1")).to_be_visible(timeout=60_000)
        otto.look()

        stub.events["2"] = [make_event(0)]
        stub.issues.append(make_group(2, firstSeen=datetime.now(UTC).isoformat()))
        ends = time.monotonic() + 90
        while len(posts.received) < 2:
            assert time.monotonic() < ends, "nobody was told of the new issue within 90 seconds"
            time.sleep(0.2)
    assert posts.received[1][1]["alerts"][0]["title"] == "ValueError: number 2"
    otto.visit("/alerts/")
    otto.press("Acknowledge ValueError: number 2")
    expect(otto.page.get_by_text("acknowledged by otto")).to_be_visible()


def test_a_stakeholder_asks_for_the_weekly_mail(team: Team) -> None:
    team.sam.visit("/")
    team.sam.follow("Notices")
    team.sam.page.get_by_label("A weekly summary").check()
    team.sam.page.get_by_label("Language").select_option("de")
    team.sam.press("Save")

    team.sam.visit("/alerts/mine/")
    expect(team.sam.page.get_by_label("A weekly summary")).to_be_checked()
