"""A person in front of Chromium: visits pages of the running product, and every page is held to the same rules."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, Response

PAGE_RULES = Path(__file__).with_name("page_rules.js").read_text(encoding="utf-8")
WIDE, NARROW = (1440, 900), (390, 844)


class Person:
    """Somebody with a browser of their own. ``page`` is Playwright's."""

    def __init__(self, browser: Browser, url: str, name: str, password: str = "") -> None:
        self.name, self.password = name, password
        self.context = browser.new_context(base_url=url, locale="en-GB", accept_downloads=True)
        self.context.set_default_timeout(15_000)
        self.page: Page = self.context.new_page()
        self.page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        self._complaints: list[str] = []
        self._status = 200
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self._complaints.append(f"script error: {error}"))
        self.page.on("response", self._see)

    def visit(self, path: str, status: int = 200) -> None:
        """Open a page and hold it to the rules."""
        self.page.goto(path)
        self.look(status)

    def look(self, status: int = 200) -> None:
        """Hold the page that is open to the rules: its status, no error in the console, and page_rules.js."""
        self.page.wait_for_load_state("load")
        where = self.page.url
        assert self._status == status, f"{where} answered {self._status}: {self.page.title()}"
        broken = list(self._complaints)
        self._complaints.clear()
        for width, height in (NARROW, WIDE):
            self.page.set_viewport_size({"width": width, "height": height})
            broken += self.page.evaluate(PAGE_RULES)
        assert not broken, f"{self.name} at {where}: {list(dict.fromkeys(broken))}"

    def press(self, button: str, status: int = 200) -> None:
        """Press a button that leads to another page."""
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=button, exact=True).click()
        self.look(status)

    def remove(self, button: str) -> None:
        """Press a button that asks first, and mean it."""
        self.page.once("dialog", lambda dialog: dialog.accept())
        self.press(button)

    def follow(self, link: str) -> None:
        """Follow a link to another page."""
        self.follow_in("body", link)

    def follow_in(self, part: str, link: str) -> None:
        """Follow a link in one part of the page, a CSS selector, to another page."""
        with self.page.expect_navigation():
            self.page.locator(part).get_by_role("link", name=link, exact=True).click()
        self.look()

    def list_links(self, part: str) -> list[str]:
        """Where the links in one part of the page lead."""
        links = self.page.locator(f"{part} a[href]").all()
        return [link.get_attribute("href") or "" for link in links]

    def sign_in(self) -> None:
        self.visit("/accounts/login/")
        self.page.get_by_label("Login").fill(self.name)
        self.page.get_by_label("Password").fill(self.password)
        self.press("Sign in")

    def _see(self, response: Response) -> None:
        if response.request.is_navigation_request() and response.frame == self.page.main_frame:
            if response.status not in (301, 302, 303, 307, 308):
                self._status = response.status
        elif response.status >= 400:
            self._complaints.append(f"{response.url} answered {response.status}")

    def _hear(self, message: ConsoleMessage) -> None:
        # A document that is refused is told to the console as well; look() judges its status.
        is_own_status = message.text.startswith("Failed to load resource") and message.location["url"] == self.page.url
        if message.type in ("error", "warning") and not is_own_status:
            self._complaints.append(f"console: {message.text}")
