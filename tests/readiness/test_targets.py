"""What probes are given: everything of an environment, resolved now, and an address policy by setting."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from portal.secrets import SecretError
from readiness.models import Database, Endpoint, Environment
from readiness.probes.base import TargetEndpoint
from readiness.targets import build_targets
from tests.readiness.factories import make_environment


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
