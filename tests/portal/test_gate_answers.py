"""The gate for pipelines: exit statuses, HTTP statuses, and exactly the JSON that was promised."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from portal.models import WorkerPulse
from readiness import tokens
from readiness.checklists import workflow
from readiness.models import Environment, ItemState
from tests.readiness.factories import make_environment, make_ready, make_state, wake_workers

pytestmark = pytest.mark.django_db

NOW = datetime.fromisoformat("2026-11-24T12:00:00+00:00")


def run(*arguments: str) -> tuple[int, str, str]:
    stdout, stderr, status = StringIO(), StringIO(), 0
    try:
        call_command("gate", *arguments, stdout=stdout, stderr=stderr)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, stdout.getvalue(), stderr.getvalue()


def ask(ada: User, query: str = "") -> tuple[int, Any]:
    secret = tokens.make_token("CI", ["gate"], environment=None, by=ada, now=timezone.now()).secret
    url = reverse("api_gate", args=["shop"]) + query
    answer = Client().get(url, headers={"authorization": f"Bearer {secret}"})
    assert answer["Cache-Control"].startswith("max-age=0")
    return answer.status_code, json.loads(answer.content)


def reopen(environment: Environment, key: str) -> None:
    ItemState.objects.filter(environment=environment, key=key).update(state="todo", changed_at=timezone.now())


def check(ada: User, verdict: str, status: int, strict: int, codes: tuple[int, int]) -> None:
    assert (run("shop", "--json")[0], run("shop", "--json", "--strict")[0]) == (status, strict)
    assert json.loads(run("shop", "--json")[1])["verdict"] == verdict
    assert (ask(ada)[0], ask(ada, "?strict=1")[0]) == codes
    assert ask(ada)[1]["verdict"] == verdict


def test_go_opens_the_gate(ada: User) -> None:
    make_ready()
    wake_workers()

    check(ada, "GO", 0, 0, (200, 200))


def test_conditional_opens_it_unless_it_is_strict(ada: User) -> None:
    reopen(make_ready(), "documentation")
    wake_workers()

    check(ada, "CONDITIONAL", 0, 1, (200, 409))


def test_no_go_closes_it(ada: User) -> None:
    make_state(make_ready(), "tls", "fail", data={"trusted": False})
    wake_workers()

    check(ada, "NO-GO", 1, 1, (409, 409))


def test_nobody_can_tell_while_workers_are_dead(ada: User) -> None:
    make_ready()

    check(ada, "NO-GO", 3, 3, (503, 503))
    assert "Could not tell: The default workers are silent." in run("shop")[2]
    wake_workers()
    WorkerPulse.objects.filter(cluster="long").update(returned_at=timezone.now() - timedelta(minutes=5))
    check(ada, "NO-GO", 3, 3, (503, 503))


def test_nobody_can_tell_from_evidence_that_is_out_of_date(ada: User) -> None:
    make_state(make_ready(), "tls", observed_at=timezone.now() - timedelta(hours=1))
    wake_workers()

    check(ada, "NO-GO", 3, 3, (503, 503))
    assert run("shop")[2] == "Could not tell: Evidence is out of date.\n"


@time_machine.travel(NOW, tick=False)
def test_the_json_has_exactly_this_shape(ada: User, lea: User, settings: Settings) -> None:
    settings.SITE_URL = "https://preflight.example.org"
    shop = make_ready()
    wake_workers()
    ItemState.objects.filter(key="postgresql.database_url").update(
        state="blocked", changed_at=NOW - timedelta(days=2), owner=lea
    )
    make_state(shop, "tls", "fail", data={"trusted": False}, observed_at=NOW - timedelta(seconds=90))
    waiver = workflow.request_waiver(
        shop, "https.certificates", reason="New CA", risk="Warnings", expires_on=NOW.date(), by=lea
    )
    workflow.approve_waiver(shop, waiver.pk, by=ada)
    url = "https://preflight.example.org/environments/shop/items"

    wanted = {
        "environment": "shop",
        "verdict": "NO-GO",
        "reasons": [
            {
                "item": "postgresql.database_url",
                "section": "postgresql",
                "state": "blocked",
                "severity": "must",
                "owner": "lea",
                "since": "2026-11-22T12:00:00+00:00",
                "url": f"{url}/postgresql.database_url/",
            }
        ],
        "waivers": [
            {
                "item": "https.certificates",
                "reason": "New CA",
                "risk": "Warnings",
                "requester": "lea",
                "approver": "ada",
                "expires_on": "2026-11-24",
                "url": f"{url}/https.certificates/",
            }
        ],
        "evaluated_at": "2026-11-24T12:00:00+00:00",
        "evidence_oldest_at": "2026-11-24T11:00:00+00:00",
    }
    assert json.loads(run("shop", "--json")[1]) == wanted
    assert ask(ada)[1] == wanted


@pytest.mark.parametrize("query", ["?strict=true", "?strict", "?strict=1", "?strict=yes", "?x=1&strict=ON"])
def test_strict_is_strict_however_it_is_spelled(ada: User, query: str) -> None:
    reopen(make_ready(), "documentation")
    wake_workers()

    assert ask(ada, query)[0] == 409


@pytest.mark.parametrize("query", ["?strict=0", "?strict=false", "?other=1"])
def test_it_is_not_strict_when_nobody_asks_for_it(ada: User, query: str) -> None:
    reopen(make_ready(), "documentation")
    wake_workers()

    assert ask(ada, query)[0] == 200


@pytest.mark.django_db(transaction=True)
def test_nobody_can_tell_without_a_database(client: Client) -> None:
    known = {name: connection.settings_dict[name] for name in ("HOST", "PORT")}
    connection.close()
    connection.settings_dict.update(HOST="127.0.0.1", PORT="1")
    try:
        told, plain = run("shop", "--json"), run("shop")
        gate = client.get(reverse("api_gate", args=["shop"]), headers={"authorization": "Bearer pf_any"})
        facts = client.post(reverse("api_facts", args=["shop"]), headers={"authorization": "Bearer pf_any"})
    finally:
        connection.settings_dict.update(known)
        connection.close()

    assert (told[0], plain[0], plain[1]) == (3, 3, "shop: NO-GO\n")
    assert (gate.status_code, facts.status_code, list(facts.json())) == (503, 503, ["error"])
    for answer in (json.loads(told[1]), gate.json()):
        assert answer["verdict"] == "NO-GO"
        assert list(answer) == [
            *("environment", "verdict", "reasons", "waivers", "evaluated_at", "evidence_oldest_at"),
        ]


def test_it_tells_people_in_words(lea: User) -> None:
    shop = make_ready()
    wake_workers()
    reopen(shop, "documentation")

    status, stdout, stderr = run("shop")

    assert (status, stderr) == (0, "")
    assert stdout.splitlines()[0] == "shop: CONDITIONAL"
    assert "  should documentation: todo, no owner, just now  " in stdout


def test_it_names_the_environments_there_are() -> None:
    make_environment("one")

    assert run("two") == (2, "", "There is no environment 'two'; there are: one.\n")
