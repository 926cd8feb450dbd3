"""The demonstration as somebody meets it: staging is NO-GO for good reasons, production can go live with conditions."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from playwright.sync_api import Browser, expect

from portal import roles
from tests.conftest import PASSWORD
from tests.e2e.browsing import Person
from tests.e2e.conftest import choose_in_bulk, choose_password, invite, run_portal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PROBED = 120_000


def test_the_demonstration_from_nothing_to_conditional(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with run_portal(tmp_path_factory.mktemp("demo") / "var", DEMO="1") as portal:
        ada = Person(browser, portal.url, "admin", portal.admin_password)
        ada.sign_in()
        lea = Person(browser, portal.url, "lea", PASSWORD)
        choose_password(lea, invite(ada, "lea", roles.TEAM_LEAD))
        lea.sign_in()

        ada.visit("/environments/demo-staging/")
        for title in ("Database created", "TLS certificates active", "HTTPS redirect configured"):
            row = ada.page.locator("li.item", has=ada.page.get_by_role("link", name=title, exact=True))
            word = "Verified" if title == "Database created" else "Failing"
            expect(row.locator(".status").first).to_have_text(word, timeout=PROBED)
        expect(ada.page.locator(".gate h2")).to_have_text("NO-GO")
        for title in ("TLS certificates active", "HTTPS redirect configured", "Helmet security headers enabled"):
            expect(ada.page.locator(".gate")).to_contain_text(title)
        expect(ada.page.locator(".gate")).not_to_contain_text("Database created")

        production = "/environments/demo-production/"
        lea.visit(production)
        for title in ("Database created", "TLS certificates active", "Backend is deployed", "Frontend is deployed"):
            row = lea.page.locator("li.item", has=lea.page.get_by_role("link", name=title, exact=True))
            expect(row.locator(".status").first).to_have_text("Verified", timeout=PROBED)
        expect(lea.page.locator(".gate h2")).to_have_text("NO-GO")
        choose_in_bulk(lea, "Ask for a waiver", without="Verified")
        lea.page.get_by_label("Reason of the waiver").fill("The demonstration has no tracker and no scenarios.")
        lea.page.get_by_label("Risk of the waiver").fill("None: nobody uses it.")
        lea.page.get_by_label("Waived until").fill((date.today() + timedelta(days=90)).isoformat())
        lea.press("Change the marked items")
        expect(lea.page.locator(".gate h2")).to_have_text("NO-GO")

        ada.visit(production)
        choose_in_bulk(ada, "Approve the waiver", without="Verified")
        ada.press("Change the marked items")
        expect(ada.page.locator(".gate h2")).to_have_text("CONDITIONAL")
        ada.visit("/")
        expect(ada.page.locator(".fleet")).to_contain_text("CONDITIONAL")
        expect(ada.page.locator(".fleet")).to_contain_text("NO-GO")
