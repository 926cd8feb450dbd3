"""A team lead makes a small checklist of her own in Chromium, and an environment follows it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.browsing import Person
from tests.e2e.conftest import Team

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def add_item(lea: Person, title: str, how: str = "") -> None:
    """An item of the section People, with what its how will look like while it is typed."""
    lea.follow("Add an item to People")
    lea.page.get_by_label("Title", exact=True).fill(title)
    if how:
        field = lea.page.get_by_role("textbox", name="How", exact=False).first
        field.press_sequentially(how)
    lea.page.get_by_label("Approvals").select_option("0")
    lea.page.get_by_label("a note").check()


def test_a_team_lead_makes_a_small_checklist_and_an_environment_follows_it(team: Team, shop: str) -> None:
    lea = team.lea
    lea.visit("/")
    lea.follow_in("nav[aria-label=Main]", "Checklists")
    expect(lea.page.get_by_text("Nothing of your own yet.")).to_be_visible()
    lea.follow("Make a checklist")
    lea.page.get_by_label("Name", exact=False).first.fill("Before we open")
    lea.press("Make the draft")
    expect(lea.page.get_by_text("There are no items.")).to_be_visible()

    lea.follow("Add section")
    lea.page.get_by_label("Title", exact=True).fill("People")
    lea.press("Save")
    add_item(lea, "Everybody knows the date", "Ask **each** of them.\n\n<b>not bold</b><script>alert(1)</script>")
    preview = lea.page.locator("#preview-how_en")
    expect(preview.locator("strong")).to_have_text("each")
    expect(preview).to_contain_text("<b>not bold</b><script>alert(1)</script>")
    expect(preview.locator("b, script")).to_have_count(0)
    lea.press("Save")
    add_item(lea, "The shop has a name")
    lea.press("Save")

    lea.press("Move The shop has a name up")
    items = lea.page.locator("#section-people ul.lines > li")
    expect(items).to_have_count(2)
    expect(items.first).to_contain_text("The shop has a name")

    lea.follow("As text")
    text = lea.page.get_by_label("Template as TOML")
    right = text.input_value()
    text.fill(right.replace('severity = "must"', 'severity = "urgent"', 1))
    lea.press("Save", status=400)
    expect(lea.page.locator(".errorlist")).to_contain_text('severity "urgent" is not one of must, should, optional')
    lea.follow("Cancel")

    lea.follow("Publish")
    lea.press("Publish version 1")
    expect(lea.page.get_by_text("Version 1 is published.")).to_be_visible()

    lea.follow("Let Shop production follow it")
    expect(lea.page.get_by_text("Now: the shipped checklist.")).to_be_visible()
    lea.press("Follow Before we open, version 1")
    expect(lea.page.get_by_role("link", name="The shop has a name").first).to_be_visible()
    expect(lea.page.get_by_role("link", name="Database created")).to_have_count(0)
    lea.page.locator(".items").get_by_role("link", name="Everybody knows the date", exact=True).click()
    expect(lea.page.locator(".prose strong")).to_have_text("each")
    lea.look()

    lea.visit(shop)
    lea.follow("Follow another checklist")
    lea.page.get_by_label("Checklist", exact=True).select_option("shipped")
    lea.press("Show what changes")
    expect(lea.page.get_by_text("Database created")).to_be_visible()
    lea.press("Follow the shipped checklist")
    expect(lea.page.get_by_role("link", name="Database created").first).to_be_visible()


def test_a_pasted_document_becomes_a_draft_that_can_be_deleted(team: Team) -> None:
    lea = team.lea
    lea.visit("/templates/new/")
    lea.page.get_by_label("Name", exact=False).first.fill("Pasted")
    lea.page.get_by_label("Start from").select_option("markdown")
    lea.page.get_by_label("Text", exact=False).fill(
        "## One\n\n- [ ] First\n\n  **Why:** because\n\n## Two\n\n- [x] Second\n"
    )
    lea.press("Make the draft")
    expect(lea.page.get_by_text("Pasted is a draft with 2 items.")).to_be_visible()
    lea.follow("First")
    expect(lea.page.locator("#preview-why_en")).to_have_text("because")
    lea.follow("Cancel")
    lea.follow("Delete this draft")
    expect(lea.page.get_by_text("2 items in 2 sections")).to_be_visible()
    lea.press("Delete this draft")
    expect(lea.page.get_by_role("link", name="Pasted")).to_have_count(0)


def test_every_page_of_checklists_keeps_the_rules(team: Team) -> None:
    lea = team.lea
    for path in ("", "new/", "go-live/", "go-live/?lang=de", "go-live/items/https.security_headers/?lang=en"):
        lea.visit(f"/templates/{path}")
