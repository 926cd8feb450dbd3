"""Scenarios, their secrets and DNS records in the browser: what is wrong is said, what is secret never comes back."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from portal.models import AuditEvent
from readiness.models import Endpoint, Environment, ExpectedRecord, ProbeSchedule, Scenario, ScenarioSecret
from readiness.models.scenarios import parse_stored_scenario
from readiness.probes.scenarios.shipped import TEMPLATE_NAMES
from readiness.scenario_forms import make_draft
from tests.conftest import SignIn

STEPS = 'name = "Walk"\nbase_url = "https://shop.example.org"\n[[steps]]\nname = "Open"\nurl = "/"\n'


@pytest.fixture
def operator(otto: User, sign_in: SignIn) -> Client:
    return sign_in(otto)


def address(name: str, *more: object) -> str:
    return reverse(name, args=["shop", *more])


def make_scenario(shop: Environment, **fields: object) -> Scenario:
    return Scenario.objects.create(environment=shop, **{"name": "login", "text": STEPS, **fields})


@pytest.mark.parametrize("template", [*TEMPLATE_NAMES, ""])
def test_it_starts_from_every_template_with_what_may_be_stored(shop: Environment, template: str) -> None:
    Endpoint.objects.create(environment=shop, role="frontend", url="https://app.example.org/shop/?a=1")

    scenario = parse_stored_scenario(make_draft(template, shop))

    assert scenario.base_url == "https://app.example.org/shop"


def test_it_adds_a_scenario_that_is_off_until_it_is_adapted(shop: Environment, operator: Client) -> None:
    answer = operator.post(address("add_scenario"), {"template": "login", "name": ""}, follow=True)

    scenario = Scenario.objects.get()
    assert (scenario.name, scenario.is_enabled) == ("login", False)
    page = answer.content.decode()
    assert "Adapt the steps to your application" in page
    assert "secrets that are not stored yet: email, password" in page
    assert not ProbeSchedule.objects.filter(kind="scenario").exists()
    assert AuditEvent.objects.filter(action="added the scenario", subject="login").exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"template": "", "name": ""}, "Give the empty scenario a name."),
        ({"template": "login", "name": ""}, "This environment has a scenario called login already."),
        ({"template": "astrology", "name": "x"}, "Select a valid choice"),
        ({"template": "", "name": "a b"}, "Enter a valid"),
    ],
)
def test_it_says_why_a_scenario_cannot_be_added(
    shop: Environment, operator: Client, data: dict[str, str], words: str
) -> None:
    make_scenario(shop)

    answer = operator.post(address("add_scenario"), data)

    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert Scenario.objects.count() == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "The scenario is not TOML"),
        (STEPS + 'method = "JUMP"\n', "Step 1 (Open), method"),
        (STEPS.replace("https://shop.example.org", "env:SECRET_KEY"), "Scenario, base_url: give the address itself"),
        (STEPS + '[secrets]\nkey = "env:SECRET_KEY"\n', "Scenario, secrets: leave this table out"),
        (STEPS + '[secrets]\nkey = "file:/etc/passwd"\n', "Scenario, secrets: leave this table out"),
    ],
)
def test_it_refuses_steps_in_words_and_shows_what_was_typed(
    shop: Environment, operator: Client, text: str, words: str
) -> None:
    scenario = make_scenario(shop)

    answer = operator.post(address("change_scenario", scenario.pk), {"text": text, "is_enabled": "on", "action": "try"})

    assert answer.status_code == 400
    assert words in answer.content.decode()
    scenario.refresh_from_db()
    assert scenario.text == STEPS
    assert not OrmQ.objects.exists()


def test_it_saves_and_tries_at_once(shop: Environment, operator: Client) -> None:
    scenario = make_scenario(shop, is_enabled=False)
    text = STEPS.replace("Open", "Look").replace("\n", "\r\n")

    answer = operator.post(address("change_scenario", scenario.pk), {"text": text, "action": "try"})

    assert answer["Location"] == f"{address('environment_probes')}#scenario"
    scenario.refresh_from_db()
    assert (scenario.text, scenario.is_enabled) == (STEPS.replace("Open", "Look"), True)
    schedule = ProbeSchedule.objects.get()
    assert (schedule.kind, schedule.requested_at is not None) == ("scenario", True)
    assert [queued.task["args"][0] for queued in OrmQ.objects.all()] == [[schedule.pk]]


def test_it_switches_a_scenario_off_and_on_and_removes_it(shop: Environment, operator: Client) -> None:
    scenario = make_scenario(shop, is_enabled=False)

    operator.post(address("switch_scenario", scenario.pk))
    assert ProbeSchedule.objects.filter(kind="scenario").count() == 1
    operator.post(address("switch_scenario", scenario.pk))
    assert ProbeSchedule.objects.filter(kind="scenario").count() == 0
    operator.post(address("remove_scenario", scenario.pk))

    assert not Scenario.objects.exists()
    actions = list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))
    assert actions == ["switched on the scenario", "switched off the scenario", "removed the scenario"]


def test_it_keeps_a_secret_encrypted_and_never_shows_it_again(shop: Environment, operator: Client) -> None:
    scenario = make_scenario(shop, text=STEPS + 'headers = { X = "{{ secret.token }}" }\n')
    assert "secrets to store: token" in operator.get(address("environment_settings")).content.decode()

    for value in ("first-s3cret", " second-s3cret"):
        page = operator.post(address("store_secret"), {"name": "token", "value": value}, follow=True).content.decode()
        assert value.strip() not in page

    assert ScenarioSecret.objects.get().value == " second-s3cret"
    assert "s3cret" not in operator.get(address("environment_settings")).content.decode()
    assert "s3cret" not in operator.get(address("change_scenario", scenario.pk)).content.decode()
    assert "secrets to store" not in operator.get(address("environment_settings")).content.decode()
    assert not [event for event in AuditEvent.objects.all() if "s3cret" in f"{event.subject}{event.detail}"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM readiness_scenariosecret")
        assert "s3cret" not in cursor.fetchone()[0]

    operator.post(address("remove_secret", ScenarioSecret.objects.get().pk))
    assert not ScenarioSecret.objects.exists()


def test_it_does_not_send_a_secret_back_when_its_name_is_wrong(shop: Environment, operator: Client) -> None:
    answer = operator.post(address("store_secret"), {"name": "a-b", "value": "typed-s3cret"})

    assert answer.status_code == 400
    assert "Use letters, digits and underscores." in answer.content.decode()
    assert "typed-s3cret" not in answer.content.decode()


def test_it_expects_records_of_dns_and_asks_at_once(shop: Environment, operator: Client) -> None:
    Endpoint.objects.create(environment=shop, url="https://shop.example.org/")
    assert 'value="[]"' not in operator.get(address("environment_settings")).content.decode()

    operator.post(address("add_record"), {"name": "WWW.example.org.", "type": "A", "values": "192.0.2.8, 192.0.2.7"})

    record = ExpectedRecord.objects.get()
    assert (record.name, record.values) == ("www.example.org", ["192.0.2.7", "192.0.2.8"])
    assert ProbeSchedule.objects.exclude(requested_at=None).get().kind == "dns"
    assert "192.0.2.7, 192.0.2.8" in operator.get(address("environment_settings")).content.decode()

    operator.post(address("remove_record", record.pk))
    assert not ExpectedRecord.objects.exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"type": "A", "values": "2001:db8::1"}, "2001:db8::1 is not an IPv4 address."),
        ({"type": "AAAA", "values": "192.0.2.1"}, "192.0.2.1 is not an IPv6 address."),
        ({"type": "CNAME", "values": "192.0.2.1"}, "192.0.2.1 is an address; a CNAME holds a name."),
        ({"name": "https://x.org/", "type": "A", "values": ""}, "Give a host name"),
        ({"name": "taken.example.org", "type": "A", "values": ""}, "is there already"),
    ],
)
def test_it_says_why_a_record_cannot_be_expected(
    shop: Environment, operator: Client, data: dict[str, str], words: str
) -> None:
    ExpectedRecord.objects.create(environment=shop, name="taken.example.org", type="A")

    answer = operator.post(address("add_record"), data)

    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert ExpectedRecord.objects.count() == 1


def test_it_does_not_change_what_belongs_to_another_environment(shop: Environment, operator: Client) -> None:
    other = Environment.objects.create(slug="other", name="Other")
    scenario, record = make_scenario(other), ExpectedRecord.objects.create(environment=other, type="A")
    secret = ScenarioSecret.objects.create(environment=other, name="token", value="s3cret")

    for name, row in (
        ("change_scenario", scenario),
        ("switch_scenario", scenario),
        ("remove_scenario", scenario),
        ("remove_secret", secret),
        ("remove_record", record),
    ):
        assert operator.post(address(name, row.pk)).status_code == 404
