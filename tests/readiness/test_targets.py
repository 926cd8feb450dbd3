"""What probes are given: everything of an environment, resolved now, and an address policy by setting."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from portal.secrets import SecretError
from readiness.models import Database, Endpoint, Environment, Scenario, ScenarioSecret, TrackerProject
from readiness.models import ExpectedRecord as StoredRecord
from readiness.probes.base import ExpectedRecord, PlanLimits, TargetEndpoint
from readiness.probes.scenarios.model import ScenarioError
from readiness.targets import build_targets
from tests.readiness.factories import hear_from_outside, make_environment, make_state


@pytest.fixture
def shop(db: None) -> Environment:
    environment = make_environment()
    Endpoint.objects.create(environment=environment, role="frontend", url="https://shop.example.org/")
    Endpoint.objects.create(environment=environment, role="api", url="https://api.example.org/", health_path="/health")
    return environment


def test_it_makes_one_target_of_all_endpoints(shop: Environment, settings: Settings) -> None:
    settings.PROBE_TIMEOUT_SECONDS = 7

    (target,) = build_targets(shop, "http")

    assert target.endpoints == (
        TargetEndpoint("frontend", "https://shop.example.org/"),
        TargetEndpoint("api", "https://api.example.org/", "/health"),
    )
    assert target.timeout_seconds == 7


def test_it_tells_the_headers_probe_where_the_frontend_sends_its_errors(shop: Environment) -> None:
    hear_from_outside(shop)
    assert build_targets(shop, "headers")[0].report_hosts == ()
    for role in ("backend", "frontend"):
        sent = {"arrived_at": None, "error": "no", "host": f"{role}.ingest.sentry.example"}
        TrackerProject.objects.filter(role=role).update(test_event=sent)

    assert build_targets(shop, "headers")[0].report_hosts == ("frontend.ingest.sentry.example",)
    assert build_targets(shop, "http")[0].report_hosts == ()


def test_it_makes_one_target_of_each_database_and_resolves_references(
    shop: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DSN", "postgresql://u:s3cret@db.example.org/shop")
    Database.objects.create(environment=shop, name="main", dsn="env:SHOP_DSN")
    Database.objects.create(environment=shop, name="log", dsn="postgresql://u:0ther@db.example.org/log")

    targets = build_targets(shop, "postgres")

    assert [(target.label, target.dsn) for target in targets] == [
        ("main", "postgresql://u:s3cret@db.example.org/shop"),
        ("log", "postgresql://u:0ther@db.example.org/log"),
    ]
    assert "s3cret" not in repr(targets)


def test_it_hands_on_what_is_known_of_a_database(shop: Environment) -> None:
    Database.objects.create(
        environment=shop,
        name="main",
        dsn="postgresql://u:s3cret@db.example.org/shop",
        application_role="shop_app",
        thresholds={"connections_warn_percent": 60},
        plan_connections=20,
        plan_storage_bytes=2**30,
        region="eu-central-1",
    )

    (target,) = build_targets(shop, "postgres")

    assert (target.application_role, target.thresholds) == ("shop_app", {"connections_warn_percent": 60})
    assert target.plan == PlanLimits(20, 2**30, "eu-central-1")


def test_it_says_which_reference_leads_nowhere(shop: Environment) -> None:
    Database.objects.create(environment=shop, name="main", dsn="env:NOT_THERE")

    with pytest.raises(SecretError, match="NOT_THERE is not set"):
        build_targets(shop, "postgres")


@pytest.mark.parametrize("allowed", [True, False])
def test_it_takes_the_address_policy_from_the_settings(shop: Environment, settings: Settings, allowed: bool) -> None:
    settings.PROBE_ALLOW_LOOPBACK = settings.PROBE_ALLOW_PRIVATE = allowed

    (target,) = build_targets(shop, "tls")

    assert target.address_policy.allow_loopback is allowed
    assert target.address_policy.allow_private is allowed


def test_it_gives_what_keeps_answers_the_newest_result_and_says_how_old_they_may_be(
    shop: Environment, settings: Settings
) -> None:
    settings.PROBE_DETAIL_SECONDS = 600
    settings.CERTIFICATE_EXPIRY_DAYS = [30, 10]
    make_state(shop, "tls", data={"endpoints": []})
    now = timezone.now()

    (target,) = build_targets(shop, "tls")
    (asked_for,) = build_targets(shop, "tls", ask_everything=True)

    assert (target.previous, target.expiry_days) == ({"endpoints": []}, (30, 10))
    assert target.oldest_answer_at is not None and asked_for.oldest_answer_at is not None
    assert abs(target.oldest_answer_at - (now - timedelta(seconds=600))) < timedelta(seconds=10)
    assert asked_for.oldest_answer_at >= now
    assert build_targets(shop, "http")[0].previous is None
    assert build_targets(shop, "headers")[0].oldest_answer_at is None


def test_it_gives_dns_the_records_that_are_expected_and_whom_to_ask(shop: Environment, settings: Settings) -> None:
    settings.PROBE_NAMESERVERS = ["192.0.2.53"]
    StoredRecord.objects.create(environment=shop, name="www.example.org", type="A", values=["192.0.2.7"])

    (target,) = build_targets(shop, "dns")

    assert target.expected_records == (ExpectedRecord("A", ("192.0.2.7",), "www.example.org"),)
    assert target.nameservers == ("192.0.2.53",)
    assert build_targets(shop, "http")[0].expected_records == ()


STEPS = 'name = "Walk"\nbase_url = "https://shop.example.org"\n[[steps]]\nname = "Open"\nurl = "/"\n'


def test_it_makes_one_target_of_each_enabled_scenario_with_the_secrets_it_uses(shop: Environment) -> None:
    using = STEPS + 'headers = { X = "{{ secret.token }}" }\n'
    Scenario.objects.create(environment=shop, name="create", text="deadline_seconds = 500\n" + using)
    Scenario.objects.create(environment=shop, name="login", text="deadline_seconds = 7\n" + STEPS)
    Scenario.objects.create(environment=shop, name="off", text=STEPS, is_enabled=False)
    ScenarioSecret.objects.create(environment=shop, name="token", value="s3cret")
    ScenarioSecret.objects.create(environment=shop, name="other", value="unused-s3cret")

    targets = build_targets(shop, "scenario")

    assert [(target.label, dict(target.secrets), target.timeout_seconds) for target in targets] == [
        ("create", {"token": "s3cret"}, 60),
        ("login", {}, 7),
    ]
    assert [target.scenario.name for target in targets if target.scenario] == ["create", "login"]
    assert "s3cret" not in repr(targets)


@pytest.mark.parametrize(
    "text",
    [
        STEPS.replace("https://shop.example.org", "env:SHOP_DSN"),
        STEPS + '[secrets]\ntoken = "env:SHOP_DSN"\n',
    ],
)
def test_it_follows_no_reference_of_a_stored_scenario_however_it_was_stored(
    shop: Environment, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SHOP_DSN", "https://s3cret.example.org")
    Scenario.objects.create(environment=shop, name="login", text=text)

    with pytest.raises(ScenarioError):
        build_targets(shop, "scenario")
