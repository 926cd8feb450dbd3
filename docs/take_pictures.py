"""Takes the README's pictures of a running demonstration; reads its pages in Chromium, writes docs/pictures/*.png.

    .venv/bin/python docs/take_pictures.py URL PASSWORD_FILE

PASSWORD_FILE holds the password of the account `admin` alone: a password has no place on a command line.
"""

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = Path(__file__).resolve().parent / "pictures"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTH, HEIGHT = 1440, 900
PATHS = {"dashboard": "/", "environment": "/environments/demo-production/"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("url", help="where the portal runs, for example http://127.0.0.1:8000")
    parser.add_argument("password_file", type=Path, help="a file that holds the password of admin")
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.stderr.write("Chromium is missing: install it (apt install chromium).\n")
        return 2
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        take_pictures(browser, options.url.rstrip("/"), options.password_file.read_text(encoding="utf-8").strip())
        browser.close()
    return 0


def take_pictures(browser: Browser, url: str, password: str) -> None:
    """Sign in, then photograph each page at the top, in the light look."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", locale="en-GB")
    sign_in(page, url, password)
    PICTURES.mkdir(exist_ok=True)
    for name, path in PATHS.items():
        page.goto(f"{url}{path}", wait_until="load")
        page.evaluate("document.fonts.ready")
        page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")


def sign_in(page: Page, url: str, password: str) -> None:
    page.goto(f"{url}/accounts/login/")
    page.locator("input[name=login]").fill("admin")
    page.locator("input[name=password]").fill(password)
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url(f"{url}/")


if __name__ == "__main__":
    sys.exit(main())
