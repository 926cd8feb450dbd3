"""Pages of retention: what a schedule keeps, with a preview of what would go and why, and pins."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from backups import catalogue, pruning
from backups.errors import RequestError
from backups.forms import RetentionForm
from backups.models import Backup, BackupSchedule
from portal import audit


@permission_required("backups.change_backupschedule", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def show_retention(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The rules of one schedule and what they would do now; typed rules are previewed before they are saved."""
    schedule = get_object_or_404(
        BackupSchedule.objects.select_related("database__environment"), database__environment__slug=slug, pk=pk
    )
    environment = schedule.database.environment
    is_saved = request.method == "POST" and "save" in request.POST
    form = RetentionForm(request.POST or None, instance=schedule)
    if is_saved and form.is_valid():
        form.save()
        audit.record("changed what is kept by", actor=request.user, environment=environment, subject=str(schedule))
        messages.success(request, "Saved. What no rule keeps goes with the next nightly run.")
        return redirect("schedule_retention", slug, pk)
    # A valid form has written what was typed into the schedule, in memory only.
    previewed = pruning.preview(schedule, timezone.now()) if not form.is_bound or form.is_valid() else []
    context = {
        "environment": environment,
        "schedule": schedule,
        "form": form,
        "previewed": previewed,
        "going": [each for each in previewed if not each.decision.is_kept],
        "stuck": Backup.objects.filter(schedule=schedule, expired_at__isnull=False),
        "page": "backups",
    }
    return render(request, "backups/retention.html", context, status=400 if form.errors else 200)


@permission_required("backups.take_backup", raise_exception=True)
@require_POST
def pin_backup(request: HttpRequest, pk: int) -> HttpResponse:
    """Keeps a backup while there is a reason; an empty reason takes the pin away."""
    backup = get_object_or_404(Backup, pk=pk)
    try:
        catalogue.pin(backup, request.POST.get("reason", ""), actor=request.user)
    except RequestError as error:
        messages.error(request, str(error))
    return redirect("backup", pk)
