"""The rules themselves: what they must see on a bad page, so that a good one means something."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.browsing import PAGE_RULES, Person
from tests.e2e.conftest import Portal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

GOOD = """<!doctype html><html lang="en"><title>Good</title><h1>Good</h1>
<label for="a">Name</label><input id="a"><label>Kind <select><option>x</select></label><input type="hidden">
<button>Save</button><button aria-label="Close"><svg aria-hidden="true"></svg></button>
<svg role="img" aria-label="The last 30 runs"></svg><img alt="" src="data:,"></html>"""


def test_it_accepts_a_good_page(page: Page) -> None:
    page.set_content(GOOD)

    assert page.evaluate(PAGE_RULES) == []


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("<h1>Another</h1>", "the page has 2 h1"),
        ("<input name=b>", 'no label: <input name="b">'),
        ("<textarea id=c></textarea>", 'no label: <textarea id="c">'),
        ("<button><svg aria-hidden=true></svg></button>", "no name: <button>"),
        ("<a href=/x></a>", 'no name: <a href="/x">'),
        ("<svg width=9 height=9></svg>", "no label: <svg"),
        ("<img src=data:,>", "no alt: <img"),
        ("<progress value=1 max=2></progress>", "no label: <progress"),
        ("<p id=a>again</p>", "two elements are #a"),
        ("<p style='width: 3000px'>wide</p>", "px the page is 30"),
    ],
)
def test_it_says_what_is_wrong_with_a_bad_page(page: Page, bad: str, said: str) -> None:
    page.set_content(GOOD.replace("</html>", f"{bad}</html>"))

    broken = page.evaluate(PAGE_RULES)

    assert len(broken) == 1
    assert said in broken[0]


def test_it_hears_what_the_policy_forbids(browser: Browser, portal: Portal) -> None:
    stranger = Person(browser, portal.url, "stranger")
    stranger.visit("/accounts/login/")
    stranger.page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: '1'}))")

    with pytest.raises(AssertionError, match="Content Security Policy"):
        stranger.look()
    stranger.context.close()
