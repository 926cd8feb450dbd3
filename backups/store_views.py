"""Pages of stores: where backups lie, whether that works, and copies that are wanting; asks, and tasks do the work."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from backups import backup_check, catalogue, store_report, stores, tasks
from backups.errors import RequestError
from backups.models import Backup, BackupCopy, State
from portal import audit
from readiness.models import Database

WANTING_SHOWN = 20


@permission_required("backups.view_backup", raise_exception=True)
@require_safe
def show_stores(request: HttpRequest) -> HttpResponse:
    """Every store with what lies in it and what was last wrong, and the copies that are not where they should be."""
    wanting = BackupCopy.objects.filter(backup__state=State.DONE, backup__expired_at__isnull=True).exclude(
        state=State.DONE, damaged_at__isnull=True
    )
    context = {
        "reports": store_report.read_reports(),
        "wanting": wanting.select_related("backup").order_by("-id")[:WANTING_SHOWN],
        "stuck": Backup.objects.filter(expired_at__isnull=False)
        .exclude(delete_error="")
        .defer("tables", "metadata")[:WANTING_SHOWN],
        "page": "backups",
    }
    return render(request, "backups/stores.html", context)


@permission_required("backups.take_backup", raise_exception=True)
@require_POST
def test_store(request: HttpRequest) -> HttpResponse:
    """Writes, reads back and deletes a small file in one store."""
    name = request.POST.get("store", "")
    if name not in stores.list_stores():
        raise Http404
    error = store_report.test_store(name)
    audit.record("tested the store", actor=request.user, subject=name, detail={"error": error})
    if error:
        messages.error(request, error)
    else:
        messages.success(request, f"The store {name} works: a file was written, read back and deleted.")
    return redirect("stores")


@permission_required("backups.take_backup", raise_exception=True)
@require_POST
def retry_copy(request: HttpRequest, pk: int) -> HttpResponse:
    """Copies a backup once more into a store where it is missing or damaged."""
    copy = get_object_or_404(BackupCopy.objects.select_related("backup"), pk=pk)
    try:
        catalogue.request_copy(copy, actor=request.user)
    except RequestError as error:
        messages.error(request, str(error))
    else:
        tasks.enqueue(copy)
    return redirect("backup", copy.backup_id)


@permission_required("backups.take_backup", raise_exception=True)
@require_POST
def cancel_copy(request: HttpRequest, pk: int) -> HttpResponse:
    """Stops a copy that is under way; the backup stays where it is."""
    copy = get_object_or_404(BackupCopy.objects.select_related("backup"), pk=pk)
    if catalogue.request_cancel(copy, actor=request.user):
        messages.success(request, "It is being stopped.")
    return redirect("backup", copy.backup_id)


@permission_required("backups.take_backup", raise_exception=True)
@require_safe
def check_database(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """What would stand in the way of a backup, said before the button is pressed; a part of the page."""
    database = get_object_or_404(Database.objects.select_related("environment"), environment__slug=slug, pk=pk)
    context = {"database": database, "found": backup_check.look(database)}
    return render(request, "backups/_check.html", context)
