"""Fixtures of readiness: an environment, and people made quickly."""

from __future__ import annotations

import pytest

from readiness.checklists.template_values import Template
from readiness.models import Environment
from readiness.probes.postgres_health import server as health_of_server
from tests.conftest import MakeUser
from tests.readiness.factories import make_environment, make_person, wake_workers
from tests.readiness.small_template import make_small_template


@pytest.fixture
def shop(db: None) -> Environment:
    """An environment with its checklist and nothing connected."""
    return make_environment()


@pytest.fixture
def make_user(db: None) -> MakeUser:
    return make_person


@pytest.fixture
def any_minor(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of healthy databases: what the machine has installed may lack the newest fixes."""
    monkeypatch.setattr(health_of_server, "KNOWN_MINORS", dict.fromkeys(health_of_server.KNOWN_MINORS, 0))


@pytest.fixture
def small_template(db: None, monkeypatch: pytest.MonkeyPatch) -> Template:
    """Every environment follows a checklist of three manual items, and the workers live."""
    wake_workers()
    small = make_small_template()
    monkeypatch.setattr("readiness.checklists.assigned_template.load_template", lambda: small)
    return small
