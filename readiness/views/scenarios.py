"""Scenarios, their secrets and expected DNS records; writes Scenario, ScenarioSecret and ExpectedRecord rows."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from portal import audit
from readiness import claims
from readiness.models import Environment, ExpectedRecord, Scenario, ScenarioSecret
from readiness.scenario_forms import (
    ExpectedRecordForm,
    ScenarioAddForm,
    ScenarioForm,
    ScenarioSecretForm,
    make_draft,
)
from readiness.tasks import request_probes
from readiness.views.environments import list_missing_secrets, may_change, render_settings


@may_change
@require_POST
def add_scenario(request: HttpRequest, slug: str) -> HttpResponse:
    """Adds a scenario from a template, switched off until somebody has adapted it."""
    environment = get_object_or_404(Environment, slug=slug)
    form = ScenarioAddForm(request.POST, environment=environment)
    if not form.is_valid():
        return render_settings(request, environment, scenario_form=form)
    text = make_draft(form.cleaned_data["template"], environment)
    scenario = Scenario.objects.create(
        environment=environment, name=form.cleaned_data["name"], text=text, is_enabled=False
    )
    _record(request, "added the scenario", environment, scenario.name)
    messages.success(request, "Adapt the steps to your application, then try them.")
    return redirect("change_scenario", slug, scenario.pk)


@may_change
@require_http_methods(["GET", "POST"])
def change_scenario(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The steps of one scenario; "Save and try now" switches it on and queues the environment's scenarios."""
    scenario = get_object_or_404(Scenario.objects.select_related("environment"), environment__slug=slug, pk=pk)
    environment = scenario.environment
    form = ScenarioForm(request.POST or None, instance=scenario)
    if request.method == "POST" and form.is_valid():
        is_tried = request.POST.get("action") == "try"
        scenario = form.save(commit=False)
        scenario.is_enabled = scenario.is_enabled or is_tried
        scenario.save()
        claims.sync_schedules(timezone.now(), [environment])
        _record(request, "changed the scenario", environment, scenario.name)
        if is_tried:
            return _try_now(request, environment)
        messages.success(request, "Saved.")
        return redirect("change_scenario", slug, pk)
    context = {
        "environment": environment,
        "scenario": scenario,
        "form": form,
        "missing": [] if form.errors else list_missing_secrets(scenario, environment),
    }
    return render(request, "readiness/scenario.html", context, status=400 if form.errors else 200)


@may_change
@require_POST
def switch_scenario(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Switches one scenario on or off."""
    scenario = get_object_or_404(Scenario.objects.select_related("environment"), environment__slug=slug, pk=pk)
    scenario.is_enabled = not scenario.is_enabled
    scenario.save(update_fields=["is_enabled"])
    claims.sync_schedules(timezone.now(), [scenario.environment])
    action = "switched on the scenario" if scenario.is_enabled else "switched off the scenario"
    _record(request, action, scenario.environment, scenario.name)
    return redirect("environment_settings", slug)


@may_change
@require_POST
def remove_scenario(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    scenario = get_object_or_404(Scenario.objects.select_related("environment"), environment__slug=slug, pk=pk)
    scenario.delete()
    claims.sync_schedules(timezone.now(), [scenario.environment])
    _record(request, "removed the scenario", scenario.environment, scenario.name)
    messages.success(request, f"The scenario {scenario.name} is gone.")
    return redirect("environment_settings", slug)


@may_change
@require_POST
def store_secret(request: HttpRequest, slug: str) -> HttpResponse:
    """Stores a secret of an environment's scenarios, or replaces the one of that name."""
    environment = get_object_or_404(Environment, slug=slug)
    form = ScenarioSecretForm(request.POST)
    if not form.is_valid():
        return render_settings(request, environment, secret_form=form)
    secret, _ = ScenarioSecret.objects.update_or_create(
        environment=environment, name=form.cleaned_data["name"], defaults={"value": form.cleaned_data["value"]}
    )
    _record(request, "stored the secret", environment, secret.name)
    messages.success(request, f"{secret.name} is stored. It is not shown again.")
    return redirect("environment_settings", slug)


@may_change
@require_POST
def remove_secret(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    secrets = ScenarioSecret.objects.select_related("environment").defer("value")
    secret = get_object_or_404(secrets, environment__slug=slug, pk=pk)
    secret.delete()
    _record(request, "removed the secret", secret.environment, secret.name)
    messages.success(request, f"{secret.name} is gone.")
    return redirect("environment_settings", slug)


@may_change
@require_POST
def add_record(request: HttpRequest, slug: str) -> HttpResponse:
    environment = get_object_or_404(Environment, slug=slug)
    form = ExpectedRecordForm(request.POST, instance=ExpectedRecord(environment=environment))
    if not form.is_valid():
        return render_settings(request, environment, record_form=form)
    record = form.save()
    _record(request, "expects of DNS", environment, str(record))
    request_probes(environment, ["dns"])
    messages.success(request, "DNS is held to that from now on.")
    return redirect("environment_settings", slug)


@may_change
@require_POST
def remove_record(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    records = ExpectedRecord.objects.select_related("environment")
    record = get_object_or_404(records, environment__slug=slug, pk=pk)
    record.delete()
    _record(request, "no longer expects of DNS", record.environment, str(record))
    request_probes(record.environment, ["dns"])
    return redirect("environment_settings", slug)


def _try_now(request: HttpRequest, environment: Environment) -> HttpResponse:
    if environment.retired_at is not None:
        messages.info(request, "Saved. A retired environment is not probed.")
        return redirect("environment_settings", environment.slug)
    if request_probes(environment, ["scenario"]):
        messages.success(request, "Saved. The scenarios are on their way; what they find is here in a moment.")
    else:
        messages.info(request, "Saved. The scenarios run as soon as a worker is free.")
    return redirect(f"{reverse('environment_probes', args=[environment.slug])}#scenario")


def _record(request: HttpRequest, action: str, environment: Environment, subject: str) -> None:
    audit.record(action, actor=request.user, environment=environment, subject=subject)
