"""Whether every environment can be got back, as the page of backups says it first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from backups.recoverability import list_recoverability
from readiness.models import Database, Environment
from tests.conftest import SignIn
from tests.readiness.factories import make_backup
from tests.readiness.pages import read_main

pytestmark = pytest.mark.django_db


def make_environment(name: str) -> Environment:
    environment = Environment.objects.create(name=name, slug=name.lower())
    Database.objects.create(environment=environment, name="main", dsn="env:UNUSED")
    return environment


def test_it_says_of_each_environment_whether_it_can_be_got_back(otto: User, sign_in: SignIn) -> None:
    now = timezone.now()
    backups: dict[str, dict[str, Any]] = {
        "Proven": {"taken_at": now - timedelta(days=1), "proven_at": now},
        "Aged": {"taken_at": now - timedelta(days=30), "proven_at": now},
        "Unproven": {"taken_at": now, "proven_at": None},
        "Broken": {"state": "failed", "error": "The disk is full.", "proven_at": None},
    }
    for name, fields in backups.items():
        make_backup(make_environment(name), **fields)
    make_environment("Bare")
    Environment.objects.create(name="Gone", slug="gone", retired_at=now)

    found = [(one.environment.name, one.status, one.word) for one in list_recoverability(now)]
    assert found == [
        ("Bare", "fail", "no backup"),
        ("Broken", "fail", "no backup"),
        ("Aged", "warn", "too old"),
        ("Unproven", "warn", "not proven"),
        ("Proven", "pass", "proven"),
    ]
    page = read_main(sign_in(otto).get(reverse("backups")))
    assert "1 of 5 environments can be got back" in " ".join(page.split())
    assert "The disk is full." in page


def test_a_second_database_without_proof_counts(db: None) -> None:
    now = timezone.now()
    environment = make_environment("Shop")
    make_backup(environment, taken_at=now)
    Database.objects.create(environment=environment, name="search", dsn="env:UNUSED")
    (one,) = list_recoverability(now)
    assert (one.status, one.word, one.detail) == ("warn", "in part", "Never proven: search.")


def test_it_asks_twice_however_many_there_are(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for number in range(5):
        make_environment(f"E{number}")
    with django_assert_num_queries(2):
        list_recoverability(timezone.now())
