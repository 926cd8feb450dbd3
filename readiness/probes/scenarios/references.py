"""Resolves what a scenario refers to (env:NAME, file:PATH); reads the environment and files.

No text here quotes a value. Who may refer to what is for the caller to decide: an administrator's command line to
everything, a form in the portal not to the portal's own secrets.
"""

import dataclasses
import os
from pathlib import Path

from readiness.probes.scenarios.model import Scenario, ScenarioError
from readiness.probes.scenarios.parser import check_base_url

MAX_SECRET_BYTES = 16 * 1024


def resolve_base_url(scenario: Scenario) -> Scenario:
    """Return the scenario with the address that `base_url = "env:NAME"` refers to. Raises ScenarioError."""
    if not scenario.base_url.startswith("env:"):
        return scenario
    url = read_reference(scenario.base_url, "base_url")
    return dataclasses.replace(scenario, base_url=check_base_url(url))


def resolve_secrets(scenario: Scenario) -> dict[str, str]:
    """Return the value of every secret that the steps use. Raises ScenarioError when one is nowhere to be found."""
    found: dict[str, str] = {}
    for name in sorted(scenario.secret_names):
        if name not in scenario.secrets:
            raise ScenarioError(f"Scenario, secrets: {name} is used and not listed.")
        found[name] = read_reference(scenario.secrets[name], f"secrets.{name}")
    return found


def read_reference(reference: str, field: str) -> str:
    """Return what env:NAME or file:PATH refers to, without white space around it. Raises ScenarioError."""
    kind, _, where = reference.partition(":")
    if kind == "env":
        value = os.environ.get(where, "").strip()
        if not value:
            raise ScenarioError(f"Scenario, {field}: the environment variable {where} is not set.")
        return value
    try:
        with Path(where).open("rb") as file:
            value = file.read(MAX_SECRET_BYTES).decode("utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ScenarioError(f"Scenario, {field}: the file {where} cannot be read: {why}.") from None
    if not value:
        raise ScenarioError(f"Scenario, {field}: the file {where} is empty.")
    return value
