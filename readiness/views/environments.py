"""Adding, changing and retiring environments; writes Environment, Endpoint and Database rows."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from portal import audit
from portal.secrets import SecretError
from readiness import claims, targets
from readiness.checklists import workflow
from readiness.forms import DatabaseForm, EndpointForm, EnvironmentForm
from readiness.models import Database, Endpoint, Environment, ExpectedRecord, Scenario
from readiness.models.scenarios import parse_stored_scenario
from readiness.probes.registry import get_probe
from readiness.probes.runner import run_probe
from readiness.probes.scenarios.model import ScenarioError
from readiness.scenario_forms import ExpectedRecordForm, ScenarioAddForm, ScenarioSecretForm
from readiness.tasks import request_probes

may_change = permission_required("readiness.change_environment", raise_exception=True)


@permission_required("readiness.add_environment", raise_exception=True)
@require_http_methods(["GET", "POST"])
def add_environment(request: HttpRequest) -> HttpResponse:
    """A form for a new environment; saving leads to its settings, where things get connected."""
    form = EnvironmentForm(request.POST or None, initial={"owner": request.user.pk})
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            environment = form.save()
            workflow.start_checklist(environment)
            audit.record("added the environment", actor=request.user, environment=environment, subject=str(environment))
        messages.success(request, f"{environment.name} is here. Connect what it consists of.")
        return redirect("environment_settings", environment.slug)
    return render(request, "readiness/environment_add.html", {"form": form}, status=400 if form.errors else 200)


@may_change
@require_http_methods(["GET", "POST"])
def change_environment(request: HttpRequest, slug: str) -> HttpResponse:
    """The settings of one environment: its facts, endpoints and databases."""
    environment = get_object_or_404(Environment, slug=slug)
    form = EnvironmentForm(request.POST or None, instance=environment)
    if request.method == "POST" and form.is_valid():
        environment = form.save()
        audit.record("changed", actor=request.user, environment=environment, subject=f"{environment}: {_changed(form)}")
        messages.success(request, "Saved.")
        return redirect("environment_settings", environment.slug)
    if form.errors:
        # The form has written what was typed into its instance; the page around it shows what is stored.
        environment = Environment.objects.get(pk=environment.pk)
    return render_settings(request, environment, form=form)


@may_change
@require_POST
def retire_environment(request: HttpRequest, slug: str) -> HttpResponse:
    """Takes an environment out of the dashboards and stops its probes, or brings it back; nothing is deleted."""
    environment = get_object_or_404(Environment, slug=slug)
    is_coming_back = environment.retired_at is not None
    environment.retired_at = None if is_coming_back else timezone.now()
    environment.save(update_fields=["retired_at"])
    claims.sync_schedules(timezone.now(), [environment])
    audit.record(
        "brought back" if is_coming_back else "retired",
        actor=request.user,
        environment=environment,
        subject=str(environment),
    )
    if is_coming_back:
        messages.success(request, f"{environment.name} is back.")
    else:
        messages.success(request, f"{environment.name} is retired: probes and schedules have stopped, nothing is lost.")
    return redirect("environment_settings", environment.slug)


@may_change
@require_POST
def add_endpoint(request: HttpRequest, slug: str) -> HttpResponse:
    environment = get_object_or_404(Environment, slug=slug)
    form = EndpointForm(request.POST, instance=Endpoint(environment=environment))
    if not form.is_valid():
        return render_settings(request, environment, endpoint_form=form)
    endpoint = form.save()
    audit.record("added the endpoint", actor=request.user, environment=environment, subject=endpoint.url)
    request_probes(environment)
    messages.success(request, f"{endpoint.url} is being probed now.")
    return redirect("environment_settings", environment.slug)


@may_change
@require_POST
def remove_endpoint(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    endpoint = get_object_or_404(Endpoint.objects.select_related("environment"), environment__slug=slug, pk=pk)
    endpoint.delete()
    claims.sync_schedules(timezone.now(), [endpoint.environment])
    audit.record("removed the endpoint", actor=request.user, environment=endpoint.environment, subject=endpoint.url)
    messages.success(request, f"{endpoint.url} is no longer probed.")
    return redirect("environment_settings", slug)


@may_change
@require_http_methods(["GET", "POST"])
def save_database(request: HttpRequest, slug: str, pk: int | None = None) -> HttpResponse:
    """Adds a database, or changes the one called ``pk``."""
    environment = get_object_or_404(Environment, slug=slug)
    database = Database(environment=environment) if pk is None else _find_database(environment, pk)
    form = DatabaseForm(request.POST or None, instance=database)
    if request.method == "POST" and form.is_valid():
        database = form.save()
        audit.record(
            "added the database" if pk is None else "changed the database",
            actor=request.user,
            environment=environment,
            subject=database.name,
        )
        request_probes(environment)
        messages.success(request, f"The database {database.name} is being probed now.")
        return redirect("environment_settings", environment.slug)
    if pk is None:
        return render_settings(request, environment, database_form=form)
    context = {"environment": environment, "form": form, "database": database}
    return render(request, "readiness/database_change.html", context, status=400 if form.errors else 200)


@may_change
@require_POST
def remove_database(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Forgets how to reach a database; its backups stay in the catalogue and in the store."""
    database = get_object_or_404(Database.objects.select_related("environment"), environment__slug=slug, pk=pk)
    database.delete()
    claims.sync_schedules(timezone.now(), [database.environment])
    audit.record("removed the database", actor=request.user, environment=database.environment, subject=database.name)
    messages.success(request, f"The database {database.name} is forgotten. Its backups stay.")
    return redirect("environment_settings", slug)


@may_change
@require_POST
def test_connection(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Probes one stored database at once and shows what it said; stores nothing."""
    environment = get_object_or_404(Environment.objects.prefetch_related("endpoints", "databases"), slug=slug)
    database = get_object_or_404(Database, environment=environment, pk=pk)
    context: dict[str, Any] = {"database": database}
    try:
        target = targets.build_database_target(environment, database)
        context["result"] = run_probe(get_probe("postgres"), target, timezone.now())
    except SecretError as error:
        context["error"] = str(error)
    template = "readiness/_connection_result.html" if request.headers.get("HX-Request") else "readiness/connection.html"
    return render(request, template, {**context, "environment": environment})


def _find_database(environment: Environment, pk: int) -> Database:
    """A database to change; a connection that no key opens any more is empty, to be typed again."""
    database = get_object_or_404(Database, environment=environment, pk=pk)
    try:
        stored = database.dsn
    except SecretError:
        stored = ""
    database.dsn = stored
    return database


def render_settings(
    request: HttpRequest,
    environment: Environment,
    *,
    form: EnvironmentForm | None = None,
    endpoint_form: EndpointForm | None = None,
    database_form: DatabaseForm | None = None,
    scenario_form: ScenarioAddForm | None = None,
    secret_form: ScenarioSecretForm | None = None,
    record_form: ExpectedRecordForm | None = None,
) -> HttpResponse:
    """The settings page; a form that is given is shown with what was typed and what is wrong with it."""
    shown: list[Any] = [form, endpoint_form, database_form, scenario_form, secret_form, record_form]
    context = {
        "environment": environment,
        "form": form or EnvironmentForm(instance=environment),
        "endpoint_form": endpoint_form or EndpointForm(instance=Endpoint(environment=environment)),
        "database_form": database_form or DatabaseForm(instance=Database(environment=environment)),
        "endpoints": environment.endpoints.all(),
        "databases": environment.databases.all(),
        "scenario_form": scenario_form or ScenarioAddForm(environment=environment),
        "secret_form": secret_form or ScenarioSecretForm(),
        "record_form": record_form or ExpectedRecordForm(instance=ExpectedRecord(environment=environment)),
        "scenarios": [(one, list_missing_secrets(one, environment)) for one in environment.scenarios.all()],
        "secrets": environment.scenario_secrets.defer("value"),
        "records": environment.expected_records.all(),
        "tab": "settings",
    }
    has_errors = any(one is not None and one.errors for one in shown)
    return render(request, "readiness/environment_settings.html", context, status=400 if has_errors else 200)


def list_missing_secrets(scenario: Scenario, environment: Environment) -> list[str]:
    """The names of secrets that a scenario sends and that are not stored; none of one that cannot be read."""
    try:
        used = parse_stored_scenario(scenario.text).secret_names
    except ScenarioError:
        return []
    return sorted(used - set(environment.scenario_secrets.values_list("name", flat=True)))


def _changed(form: EnvironmentForm) -> str:
    return ", ".join(form.changed_data) or "nothing"
