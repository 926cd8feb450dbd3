"""Whether the process lives, and whether the portal can do its work: database, migrations, workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from portal.models import WorkerPulse
from tests.readiness.factories import connect, make_backup, make_environment


def beat(**ages: int) -> None:
    for cluster, seconds in ages.items():
        WorkerPulse.objects.create(cluster=cluster, returned_at=timezone.now() - timedelta(seconds=seconds))


def ask(client: Client) -> tuple[int, Any]:
    answer = client.get("/readyz")
    return answer.status_code, answer.json()


def test_it_says_that_the_process_lives_without_asking_the_database(client: Client) -> None:
    # No database fixture: any query would fail this test.
    answer = client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
def test_it_is_not_ready_before_any_worker_was_seen(client: Client) -> None:
    assert ask(client) == (503, {"database": True, "migrations": True, "workers": False})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("ages", "is_ready"),
    [
        ({"default": 5, "long": 5}, True),
        ({"default": 5}, False),
        ({"default": 5, "long": 300}, False),
        ({"default": 300, "long": 5}, False),
    ],
)
def test_it_is_ready_when_every_cluster_is_alive(client: Client, ages: dict[str, int], is_ready: bool) -> None:
    beat(**ages)

    assert ask(client) == (
        200 if is_ready else 503,
        {"database": True, "migrations": True, "workers": is_ready},
    )


@pytest.mark.django_db
def test_it_takes_a_running_dump_for_a_sign_of_life(client: Client) -> None:
    beat(default=5, long=3600)
    make_backup(connect(make_environment()), state="running", lease_expires_at=timezone.now() + timedelta(seconds=20))

    assert ask(client)[0] == 200


@pytest.mark.django_db
def test_it_is_not_ready_while_a_migration_is_missing(client: Client) -> None:
    beat(default=5, long=5)
    MigrationRecorder.Migration.objects.filter(app="portal", name="0002_cache_table").delete()

    assert ask(client) == (503, {"database": True, "migrations": False, "workers": False})


@pytest.mark.django_db(transaction=True)
def test_it_is_not_ready_without_a_database(client: Client, settings: Settings) -> None:
    port = connection.settings_dict["PORT"]
    host = connection.settings_dict["HOST"]
    connection.close()
    connection.settings_dict.update(HOST="127.0.0.1", PORT="1")
    try:
        answer = ask(client)
        assert client.get("/healthz").status_code == 200
    finally:
        connection.settings_dict.update(HOST=host, PORT=port)
        connection.close()

    assert answer == (503, {"database": False, "migrations": False, "workers": False})


@pytest.mark.django_db
def test_it_answers_nothing_but_questions(client: Client) -> None:
    assert client.post("/readyz").status_code == 405
    assert client.head("/healthz").status_code == 200


def test_it_answers_whoever_asks_by_address_over_plain_http(client: Client, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["preflight.example.org"]

    assert client.get("/healthz", headers={"host": "10.1.2.3:8000"}).status_code == 200
