"""Fixtures of the site: people made quickly."""

from __future__ import annotations

import pytest

from tests.conftest import MakeUser
from tests.readiness.factories import make_person


@pytest.fixture
def make_user(db: None) -> MakeUser:
    return make_person
