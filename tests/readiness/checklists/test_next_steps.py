"""A new environment says what to connect next, and how many items that will verify."""

from __future__ import annotations

import pytest
from django.utils import timezone

from readiness.checklists.assessment import assess
from readiness.checklists.evidence import Need
from readiness.checklists.next_steps import NextStep, suggest_next_steps
from readiness.checklists.template import load_template
from readiness.checklists.verification import is_verified_by_facts
from readiness.models import Database, Endpoint, Environment
from tests.readiness.factories import make_environment, make_ready

pytestmark = pytest.mark.django_db


def suggest(environment: Environment) -> list[NextStep]:
    return suggest_next_steps(assess([environment], timezone.now())[environment.pk])


def test_it_starts_with_everything_and_counts_every_rule_once() -> None:
    steps = suggest(make_environment())

    assert [step.need for step in steps] == [
        Need.FRONTEND,
        Need.API,
        Need.DATABASE,
        Need.BACKUP,
        Need.SCENARIO,
        Need.TRACKER,
        Need.ALERT,
        Need.CI,
    ]
    assert sum(step.item_count for step in steps) == sum(map(is_verified_by_facts, load_template().items))
    assert all(step.item_count > 0 for step in steps)


def test_it_does_not_ask_again_for_what_is_connected() -> None:
    environment = make_environment()
    Endpoint.objects.create(environment=environment, role="frontend", url="https://shop.example.org/")
    Database.objects.create(environment=environment, name="main", dsn="env:SHOP")

    assert [step.need for step in suggest(environment)] == [
        *(Need.API, Need.BACKUP, Need.SCENARIO),
        *(Need.TRACKER, Need.ALERT, Need.CI),
    ]


def test_it_has_nothing_to_suggest_when_all_is_connected_and_proven() -> None:
    assert suggest(make_ready()) == []
