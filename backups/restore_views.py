"""Pages of restores: what would happen, asking for it, approving it, undoing it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from backups import preflight, restore_requests, tasks
from backups.errors import RequestError
from backups.forms import ReplaceForm, RestoreForm, SideForm
from backups.models import Backup, Restore, State
from readiness.models import Database

may_restore = permission_required("backups.restore_backup", raise_exception=True)


@may_restore
@require_http_methods(["GET", "HEAD", "POST"])
def replace_database(request: HttpRequest, pk: int) -> HttpResponse:
    """What would happen, step by step; and, once the environment's name was typed, the request for it."""
    backup = get_object_or_404(Backup.objects.select_related("database__environment"), pk=pk, state=State.DONE)
    form = ReplaceForm(request.POST) if request.method == "POST" else ReplaceForm(initial=_choose(request, backup))
    into = _chosen(form, backup)
    found = preflight.look_at_replace(backup, into, masks=_masks(form))
    if form.is_valid() and found.is_possible:
        cleaned = form.cleaned_data
        wanted = {
            "mode": Restore.Mode.REPLACE,
            "into": into,
            "skips_safety_backup": cleaned["skips_safety_backup"],
            **_asked_alike(request, cleaned),
        }
        if answer := _ask(form, backup, found.live, wanted):
            return answer
    context = {"backup": backup, "form": form, "found": found, "into": into, "page": "backups"}
    return render(request, "backups/replace.html", context, status=400 if form.is_bound else 200)


@may_restore
@require_http_methods(["GET", "HEAD", "POST"])
def restore_into_new(request: HttpRequest, pk: int) -> HttpResponse:
    """What would happen and what the server does not let us do; once the environment's name was typed, the request."""
    backup = get_object_or_404(Backup.objects.select_related("database__environment"), pk=pk)
    is_sent = request.method == "POST"
    form = RestoreForm(request.POST if is_sent else None, backup=backup, initial=_choose(request, backup))
    if is_sent and form.is_valid():
        cleaned = form.cleaned_data
        wanted = {"into": _into(cleaned, backup), **_asked_alike(request, cleaned)}
        if answer := _ask(form, backup, cleaned["target"], wanted):
            return answer
    found = preflight.look_at_new(backup, _chosen(form, backup), masks=_masks(form))
    context = {"backup": backup, "form": form, "found": found, "page": "backups"}
    return render(request, "backups/restore_new.html", context, status=400 if is_sent else 200)


@may_restore
@require_http_methods(["GET", "HEAD", "POST"])
def restore_beside(request: HttpRequest, pk: int) -> HttpResponse:
    """The same for single tables, which go into a new schema of a database in use."""
    backup = get_object_or_404(Backup.objects.select_related("database__environment"), pk=pk, state=State.DONE)
    is_sent = request.method == "POST"
    form = SideForm(request.POST if is_sent else None, backup=backup, initial=_choose(request, backup))
    chosen = _chosen(form, backup)
    found = preflight.look_at_side(backup, chosen, masks=_masks(form))
    if is_sent and form.is_valid() and found.is_possible:
        cleaned = form.cleaned_data
        wanted = {
            "mode": Restore.Mode.SIDE,
            "into": _into(cleaned, backup),
            "side_schema": cleaned["side_schema"],
            "tables": cleaned["tables"],
            **_asked_alike(request, cleaned),
        }
        if answer := _ask(form, backup, found.live, wanted):
            return answer
    context = {"backup": backup, "form": form, "found": found, "page": "backups"}
    return render(request, "backups/restore_beside.html", context, status=400 if is_sent else 200)


def _ask(form: Form, backup: Backup, target: str, wanted: dict[str, Any]) -> HttpResponse | None:
    """Ask for the restore; where to go then, or None when it was refused, which the form then says."""
    try:
        restore = restore_requests.request_restore(backup, target, **wanted)
    except RequestError as error:
        form.add_error(None, str(error))
        return None
    if not restore.is_waiting:
        tasks.enqueue(restore)
    return redirect("restore", restore.pk)


def _asked_alike(request: HttpRequest, cleaned: dict[str, Any]) -> dict[str, Any]:
    """What all ways of restoring ask for alike."""
    return {
        "masking_sql": cleaned["masking_sql"],
        "break_glass_reason": cleaned["break_glass_reason"],
        "actor": request.user,
    }


def _into(cleaned: dict[str, Any], backup: Backup) -> Database | None:
    """None is the backup's own."""
    into: Database | None = cleaned["into"]
    return None if into is not None and into.pk == backup.database_id else into


def _masks(form: Form) -> bool:
    return bool(form.data.get("masking_sql", "").strip()) if form.is_bound else False


@may_restore
@require_POST
def approve_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """A second operator agrees; the work begins."""
    restore = get_object_or_404(Restore, pk=pk)
    try:
        restore_requests.approve(restore, request.user)
    except RequestError as error:
        messages.error(request, str(error))
    else:
        tasks.enqueue(Restore.objects.get(pk=pk))
    return redirect("restore", pk)


@may_restore
@require_POST
def undo_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Gives the database before its name back, once the environment's name was typed."""
    restore = get_object_or_404(Restore.objects.select_related("target__environment", "backup"), pk=pk)
    name = restore.target.environment.name if restore.target else restore.backup.environment_name
    if request.POST.get("confirmation", "").strip() != name:
        messages.error(request, f"Type “{name}” to undo; nothing was changed.")
        return redirect("restore", pk)
    try:
        undoing = restore_requests.request_undo(restore, actor=request.user)
    except RequestError as error:
        messages.error(request, str(error))
        return redirect("restore", pk)
    tasks.enqueue(undoing)
    return redirect("restore", undoing.pk)


def _choose(request: HttpRequest, backup: Backup) -> dict[str, object]:
    chosen = request.GET.get("into", "")
    return {"into": int(chosen) if chosen.isdecimal() else backup.database_id}


def _chosen(form: Form, backup: Backup) -> Database | None:
    """The database that the page is about: the form's, else the backup's own."""
    value = form.data.get("into") if form.is_bound else form.initial.get("into")
    if value in {None, ""} or not str(value).isdecimal():
        return backup.database
    return Database.objects.select_related("environment").filter(pk=int(str(value))).first() or backup.database
