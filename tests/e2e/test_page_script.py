"""What the pages' own script does, in a real browser and on a page that holds nothing else."""

from __future__ import annotations

import pytest
from playwright.sync_api import Dialog, Page

from tests.conftest import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SCRIPT = PROJECT / "static/portal/portal.js"
ASKING = """<!doctype html><html lang="en"><title>Rules</title><iframe name="sink" title="Sink"></iframe>
<form target="sink" action="data:text/html,gone"><button data-ask="Remove disk?">Remove</button></form>"""
MENU = """<!doctype html><html lang="en"><title>Menu</title>
<nav style="display: flex; overflow-x: auto; width: 200px">
<a href="#1" style="flex: none; width: 150px">One</a><a href="#2" style="flex: none; width: 150px">Two</a>
<a href="#3" style="flex: none; width: 150px" {current}>Three</a></nav>"""


@pytest.mark.parametrize("is_meant", [True, False])
def test_a_removal_asks_first_and_goes_on_only_when_it_is_meant(page: Page, is_meant: bool) -> None:
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept() if is_meant else dialog.dismiss()

    page.on("dialog", answer)
    page.set_content(ASKING)
    page.add_script_tag(path=SCRIPT)

    page.get_by_role("button", name="Remove").click()

    assert asked == ["Remove disk?"]
    assert (page.locator("form[data-sent]").count() == 1) is is_meant


def test_who_has_thought_better_of_it_is_asked_again(page: Page) -> None:
    asked: list[str] = []

    def decline(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", decline)
    page.set_content(ASKING)
    page.add_script_tag(path=SCRIPT)

    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Remove").click()

    assert len(asked) == 2


@pytest.mark.parametrize(("current", "is_in_sight"), [('aria-current="page"', True), ("", False)])
def test_a_menu_that_scrolls_shows_where_one_is(page: Page, current: str, is_in_sight: bool) -> None:
    page.set_content(MENU.format(current=current))
    page.add_script_tag(path=SCRIPT)

    place = page.evaluate(
        """() => { const nav = document.querySelector("nav").getBoundingClientRect();
        const link = document.querySelector("a:last-child").getBoundingClientRect();
        return [link.left - nav.left, nav.right - link.right]; }"""
    )

    assert (min(place) >= 0) is is_in_sight
