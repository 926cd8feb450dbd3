"""Turns environments into what probes are given; reads Environment, Endpoint and Database rows and their secrets."""

from __future__ import annotations

from django.conf import settings

from readiness.claims import DATABASE_KINDS
from readiness.models import Database, Environment
from readiness.probes.addresses import AddressPolicy
from readiness.probes.base import Target, TargetEndpoint


def address_policy() -> AddressPolicy:
    """Which addresses probes of stored environments may reach, by setting."""
    return AddressPolicy(
        allow_loopback=settings.PROBE_ALLOW_LOOPBACK,
        allow_private=settings.PROBE_ALLOW_PRIVATE,
    )


def build_targets(environment: Environment, kind: str) -> list[Target]:
    """The frozen inputs of one kind: one for all endpoints, or one for each database. Wants both prefetched.

    Raises SecretError when the reference of a database leads nowhere.
    """
    if kind in DATABASE_KINDS:
        return [build_database_target(environment, database) for database in environment.databases.all()]
    endpoints = tuple(
        TargetEndpoint(
            role=endpoint.role,
            url=endpoint.url,
            health_path=endpoint.health_path,
            expected_text=endpoint.expected_text,
            latency_budget_ms=endpoint.latency_budget_ms,
        )
        for endpoint in environment.endpoints.all()
    )
    return [
        Target(
            label=environment.slug,
            endpoints=endpoints,
            ca_pem=environment.ca_bundle,
            timeout_seconds=settings.PROBE_TIMEOUT_SECONDS,
            address_policy=address_policy(),
        )
    ]


def build_database_target(environment: Environment, database: Database) -> Target:
    """The frozen input for one database. Raises SecretError when its reference leads nowhere."""
    return Target(
        label=database.name,
        dsn=database.read_dsn(),
        ca_pem=environment.ca_bundle,
        timeout_seconds=settings.PROBE_TIMEOUT_SECONDS,
        address_policy=address_policy(),
    )
