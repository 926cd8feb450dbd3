"""Reads the scenario templates that are shipped beside this module; each is a scenario to be adapted."""

from pathlib import Path

TEMPLATE_NAMES = ("login", "create", "upload", "notification", "chatbot")  # as the checklist's keys: testing.NAME
_FOLDER = Path(__file__).with_name("templates")


def read_template(name: str) -> str:
    """Return the TOML of a shipped template. Raises KeyError for any other name."""
    if name not in TEMPLATE_NAMES:
        raise KeyError(name)
    return (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
