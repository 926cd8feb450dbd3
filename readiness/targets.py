"""Turns environments into what probes are given; reads their endpoints, databases, scenarios and expected records."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from readiness.claims import DATABASE_KINDS, deadline_seconds
from readiness.database_history import read_previous, read_size_history
from readiness.models import Database, Environment, ProbeState, Scenario, TrackerProject
from readiness.models.scenarios import parse_stored_scenario
from readiness.probes.addresses import AddressPolicy
from readiness.probes.base import ExpectedRecord, PlanLimits, Target, TargetEndpoint, TargetOptions
from readiness.probes.scenario import make_scenario_target

# Kinds that carry on what was in order and seldom changes: see readiness.probes.carried.
KEEPING_KINDS = frozenset({"http", "tls"})


def address_policy() -> AddressPolicy:
    """Which addresses probes of stored environments may reach, by setting."""
    return AddressPolicy(
        allow_loopback=settings.PROBE_ALLOW_LOOPBACK,
        allow_private=settings.PROBE_ALLOW_PRIVATE,
    )


def build_targets(environment: Environment, kind: str, *, ask_everything: bool = False) -> list[Target]:
    """The frozen inputs of one kind: one for all endpoints, or one for each database or enabled scenario.

    Kinds that keep answers get those of the newest result; with ``ask_everything`` they may not use them.
    Wants endpoints, databases and expected records prefetched. Raises SecretError when the reference of a database
    leads nowhere, or no key opens a stored secret.
    """
    if kind in DATABASE_KINDS:
        return [build_database_target(environment, database) for database in environment.databases.all()]
    if kind == "scenario":
        return _build_scenario_targets(environment)
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
    target = Target(
        label=environment.slug,
        endpoints=endpoints,
        ca_pem=environment.ca_bundle,
        timeout_seconds=deadline_seconds(kind),
        address_policy=address_policy(),
    )
    if kind == "dns":
        target = _with_records(target, environment)
    elif kind == "headers":
        target = replace(target, report_hosts=_read_report_hosts(environment))
    elif kind in KEEPING_KINDS:
        target = _with_previous(target, environment, kind, ask_everything=ask_everything)
    return [target]


def build_database_target(environment: Environment, database: Database) -> Target:
    """The frozen input for one database. Raises SecretError when its reference leads nowhere."""
    return Target(
        label=database.name,
        dsn=database.read_dsn(),
        ca_pem=environment.ca_bundle,
        timeout_seconds=settings.PROBE_TIMEOUT_SECONDS,
        address_policy=address_policy(),
        thresholds=database.thresholds,
        application_role=database.application_role,
        plan=PlanLimits(database.plan_connections, database.plan_storage_bytes, database.region),
        previous=read_previous(environment.pk, database.name),
        size_history=read_size_history(environment.pk, database.name, timezone.now()),
    )


def build_scenario_target(environment: Environment, scenario: Scenario, secrets: dict[str, str]) -> Target:
    """The frozen input for one stored scenario, under the name that it has here.

    Of ``secrets`` (name to value, of the whole environment) it gets those that it uses; what is missing it names
    itself. Raises ScenarioError for a text that was stored by other means than the form.
    """
    parsed = replace(parse_stored_scenario(scenario.text), name=scenario.name)
    options = TargetOptions(
        ca_pem=environment.ca_bundle, timeout_seconds=deadline_seconds("scenario"), address_policy=address_policy()
    )
    used = {name: value for name, value in secrets.items() if name in parsed.secret_names}
    return make_scenario_target(scenario.name, parsed, used, options)


def _build_scenario_targets(environment: Environment) -> list[Target]:
    secrets = {secret.name: secret.value for secret in environment.scenario_secrets.all()}
    enabled = environment.scenarios.filter(is_enabled=True)
    return [build_scenario_target(environment, scenario, secrets) for scenario in enabled]


def _with_previous(target: Target, environment: Environment, kind: str, *, ask_everything: bool) -> Target:
    now = timezone.now()
    age = timedelta(seconds=0 if ask_everything else settings.PROBE_DETAIL_SECONDS)
    data = ProbeState.objects.filter(environment=environment, kind=kind).values_list("data", flat=True).first()
    return replace(
        target,
        previous=data,
        oldest_answer_at=now - age,
        expiry_days=tuple(settings.CERTIFICATE_EXPIRY_DAYS),
    )


def _read_report_hosts(environment: Environment) -> tuple[str, ...]:
    """Where the frontend's SDK sends errors: the host of its DSN, known once a test event was sent to it."""
    projects = TrackerProject.objects.filter(tracker__environment=environment, role=TrackerProject.Role.FRONTEND)
    hosts = [str(event.get("host") or "") for event in projects.values_list("test_event", flat=True)]
    return tuple(host for host in hosts if host)


def _with_records(target: Target, environment: Environment) -> Target:
    return replace(
        target,
        expected_records=tuple(
            ExpectedRecord(type=record.type, values=tuple(record.values), name=record.name)
            for record in environment.expected_records.all()
        ),
        nameservers=tuple(settings.PROBE_NAMESERVERS),
    )
