"""The page of one schedule: all that it may be told, and when it runs next."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from backups import schedules
from backups.forms import FullScheduleForm
from backups.models import BackupSchedule
from portal import audit


@permission_required("backups.change_backupschedule", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def edit_schedule(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Changes a schedule and plans its next run anew."""
    schedule = get_object_or_404(
        BackupSchedule.objects.select_related("database__environment"), database__environment__slug=slug, pk=pk
    )
    environment = schedule.database.environment
    form = FullScheduleForm(request.POST or None, instance=schedule, environment=environment)
    if request.method == "POST" and form.is_valid():
        changed = form.save(commit=False)
        schedules.plan(changed, timezone.now())
        changed.save()
        audit.record("changed the schedule", actor=request.user, environment=environment, subject=str(changed))
        messages.success(request, "Saved.")
        return redirect("environment_backups", slug)
    context = {
        "environment": environment,
        "schedule": BackupSchedule.objects.select_related("database").get(pk=pk),
        "form": form,
        "page": "backups",
    }
    return render(request, "backups/schedule.html", context, status=400 if form.errors else 200)
