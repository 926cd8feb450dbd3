"""Where the health of one database turns from pass to warn to fail; writes Database.thresholds."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from portal import audit
from readiness.models import Database, Environment
from readiness.tasks import request_probes
from readiness.threshold_forms import ThresholdForm


@permission_required("readiness.change_environment", raise_exception=True)
@require_http_methods(["GET", "POST"])
def change_thresholds(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Every threshold of the postgres probe; the database is probed with the new ones at once."""
    environment = get_object_or_404(Environment, slug=slug)
    database = get_object_or_404(Database.objects.defer("dsn"), environment=environment, pk=pk)
    form = ThresholdForm(request.POST or None, database=database)
    if request.method == "POST" and form.is_valid():
        changes = form.save().thresholds
        audit.record(
            "changed the thresholds of the database",
            actor=request.user,
            environment=environment,
            subject=database.name,
            detail={"thresholds": changes},
        )
        request_probes(environment, ["postgres"])
        messages.success(request, f"Saved: {len(changes)} differ from the defaults. It is being probed with them now.")
        return redirect("change_thresholds", slug, pk)
    context = {"environment": environment, "database": database, "form": form, "sections": form.list_sections()}
    return render(request, "readiness/thresholds.html", context, status=400 if form.errors else 200)
