"""Looks for Playwright and a Chromium on this machine; starts neither."""

import importlib.util
import shutil

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str:
    """Return the path of the Chromium that is installed; "" leaves it to Playwright to have one of its own."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), "")


def has_playwright() -> bool:
    return importlib.util.find_spec("playwright") is not None


def has_browser() -> bool:
    """Say whether the browser probe can run here, as far as looking tells."""
    return has_playwright() and bool(find_chromium())
