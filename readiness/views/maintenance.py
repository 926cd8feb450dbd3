"""Maintenance windows and mutes in the browser."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from portal import audit
from readiness import maintenance
from readiness.forms import MaintenanceForm, MuteForm
from readiness.models import Environment, MaintenanceWindow

may_mute = permission_required("readiness.mute_probe", raise_exception=True)


@may_mute
@require_http_methods(["GET", "POST"])
def plan_maintenance(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """The windows there are, and a form for another, or to change the one called ``pk``."""
    changed = None if pk is None else get_object_or_404(MaintenanceWindow, pk=pk)
    form = MaintenanceForm(request.POST or None, instance=changed)
    if request.method == "POST" and form.is_valid():
        maintenance.keep_window(form.save(commit=False), request.user)
        messages.success(request, "Planned: probes go on then, alarms do not.")
        return redirect("maintenance")
    now = timezone.now()
    context = {
        "windows": maintenance.list_windows(now),
        "form": form,
        "changed": None if pk is None else MaintenanceWindow.objects.get(pk=pk),
        "page": "maintenance",
    }
    return render(request, "readiness/maintenance.html", context, status=400 if form.errors else 200)


@may_mute
@require_POST
def remove_maintenance(request: HttpRequest, pk: int) -> HttpResponse:
    window = get_object_or_404(MaintenanceWindow.objects.select_related("environment"), pk=pk)
    maintenance.remove_window(window, request.user)
    messages.success(request, "Removed.")
    return redirect("maintenance")


@may_mute
@require_POST
def mute_probe(request: HttpRequest, slug: str, kind: str) -> HttpResponse:
    """Mutes one kind for a while, or ends a mute."""
    environment = get_object_or_404(Environment, slug=slug)
    subject = f"{environment}: {kind}"
    if request.POST.get("action") == "unmute":
        if maintenance.unmute(environment, kind):
            audit.record("unmuted", actor=request.user, environment=environment, subject=subject)
        return redirect("probe_history", slug, kind)
    form = MuteForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say for how long to keep quiet, and why.")
        return redirect("probe_history", slug, kind)
    until, reason = timezone.now() + timedelta(hours=form.cleaned_data["hours"]), form.cleaned_data["reason"]
    if maintenance.mute(environment, kind, until, reason):
        detail = {"reason": reason, "until": until.isoformat()}
        audit.record("muted", actor=request.user, environment=environment, subject=subject, detail=detail)
        messages.success(request, "Muted. The verdict stays what it is.")
    return redirect("probe_history", slug, kind)
