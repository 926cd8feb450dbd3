"""What an environment costs, and what it costs to go without; writes CostEntry rows."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal import audit
from readiness.checklists.assigned_template import template_of
from readiness.checklists.cost_tables import drop_table, read_costs, start_table
from readiness.checklists.costs import add_up_costs
from readiness.decision_forms import CostEntryForm
from readiness.models import CostEntry, CostTable, Environment
from readiness.views.language import choose_language

may_change = permission_required("readiness.change_costs", raise_exception=True)


@permission_required("readiness.view_environment", raise_exception=True)
@require_safe
def show_costs(request: HttpRequest, slug: str) -> HttpResponse:
    """Every line with its alternatives, the totals, and per section what happens without."""
    environment = get_object_or_404(Environment.objects.select_related("owner"), slug=slug)
    table, lines = read_costs(environment)
    keys = {line.key for line in lines}
    context = {
        "environment": environment,
        "table": table,
        "groups": [
            (line, [other for other in lines if other.alternative_of == line.key])
            for line in lines
            if line.alternative_of not in keys
        ],
        "totals": add_up_costs(lines),
        "sections": [section for section in template_of(environment).sections if section.without],
        "language": choose_language(request),
        "tab": "plan",
    }
    return render(request, "readiness/costs.html", context)


@may_change
@require_POST
def start_costs(request: HttpRequest, slug: str) -> HttpResponse:
    """Gives the environment a table of its own, which starts with the template's lines."""
    environment = get_object_or_404(Environment, slug=slug)
    assert isinstance(request.user, User)  # noqa: S101  the permission decorator has seen to it
    start_table(environment, language=choose_language(request), by=request.user, now=timezone.now())
    audit.record("started the cost table of", actor=request.user, environment=environment, subject=str(environment))
    return redirect("costs", slug)


@may_change
@require_http_methods(["GET", "HEAD", "POST"])
def drop_costs(request: HttpRequest, slug: str) -> HttpResponse:
    """Shows which lines would be lost, and drops the environment's own table."""
    table = get_object_or_404(CostTable.objects.select_related("environment"), environment__slug=slug)
    environment = table.environment
    if request.method != "POST":
        context = {"environment": environment, "entries": table.entries.all()}
        return render(request, "readiness/costs_drop.html", context)
    drop_table(environment)
    audit.record("dropped the cost table of", actor=request.user, environment=environment, subject=str(environment))
    messages.success(request, "The template’s costs are shown again.")
    return redirect("costs", slug)


@may_change
@require_http_methods(["GET", "POST"])
def save_line(request: HttpRequest, slug: str, pk: int | None = None) -> HttpResponse:
    """Adds a line, or changes the one called ``pk``."""
    table = get_object_or_404(CostTable.objects.select_related("environment"), environment__slug=slug)
    entry = CostEntry(table=table) if pk is None else get_object_or_404(table.entries, pk=pk)
    form = CostEntryForm(request.POST or None, instance=entry, table=table)
    if request.method == "POST" and form.is_valid():
        saved = form.save()
        audit.record("changed the costs of", actor=request.user, environment=table.environment, subject=str(saved))
        messages.success(request, "Saved.")
        return redirect("costs", slug)
    context = {"environment": table.environment, "form": form, "entry": None if pk is None else entry}
    return render(request, "readiness/cost_entry.html", context, status=400 if form.errors else 200)


@may_change
@require_POST
def remove_line(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    entry = get_object_or_404(CostEntry.objects.select_related("table__environment"), pk=pk)
    environment = get_object_or_404(Environment, slug=slug, pk=entry.table.environment.pk)
    subject = str(entry)
    entry.delete()
    audit.record("changed the costs of", actor=request.user, environment=environment, subject=f"without {subject}")
    messages.success(request, f"{subject} is removed.")
    return redirect("costs", slug)
