"""Pages of backups: the catalogue, one backup with its progress, schedules, restores; asks, and tasks do the work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from backups import catalogue, copying, schedules, storage, tasks
from backups.errors import JobError, RequestError
from backups.forms import ScheduleForm
from backups.models import Backup, BackupSchedule, Job, Restore, State, Verification
from backups.recoverability import list_recoverability
from portal import audit
from readiness.models import Database, Environment

PAGE_LENGTH = 50
JUST_TAKEN = timedelta(seconds=10)

may_view = permission_required("backups.view_backup", raise_exception=True)
may_take = permission_required("backups.take_backup", raise_exception=True)
may_download = permission_required("backups.download_backup", raise_exception=True)
may_restore = permission_required("backups.restore_backup", raise_exception=True)


@may_view
@require_safe
def show_backups(request: HttpRequest) -> HttpResponse:
    """Whether every environment can be got back, and the catalogue, newest first, of all environments."""
    recoverable = list_recoverability(timezone.now())
    context = {
        "recoverable": recoverable,
        "proven_count": sum(one.status == "pass" for one in recoverable),
        "backups": Paginator(_listed(Backup.objects.all()), PAGE_LENGTH).get_page(request.GET.get("page")),
        "restores": Restore.objects.select_related("backup").order_by("-requested_at")[:10],
        "page": "backups",
    }
    template = "backups/_overview.html" if request.headers.get("HX-Request") else "backups/catalogue.html"
    return render(request, template, context)


@may_view
@require_safe
def show_environment_backups(request: HttpRequest, slug: str) -> HttpResponse:
    """The backups of one environment: take one, see them, schedule them."""
    return _render_environment(request, get_object_or_404(Environment, slug=slug), None)


@may_take
@require_POST
def take_backup(request: HttpRequest, slug: str) -> HttpResponse:
    """Requests a backup of one database and shows its progress."""
    chosen = request.POST.get("database", "")
    database = get_object_or_404(
        Database.objects.select_related("environment"),
        environment__slug=slug,
        pk=int(chosen) if chosen.isdecimal() else 0,
    )
    try:
        backup = catalogue.request_backup(database, actor=request.user)
    except RequestError as error:
        messages.error(request, str(error))
        return redirect("environment_backups", slug)
    tasks.enqueue(backup)
    return redirect("backup", backup.pk)


@may_view
@require_safe
def show_backup(request: HttpRequest, pk: int) -> HttpResponse:
    """One backup: its progress while it runs, then what it holds and how far it is proven."""
    backup = get_object_or_404(Backup.objects.select_related("database", "environment", "schedule"), pk=pk)
    verifications = list(backup.verifications.all()[:10])
    restores = list(backup.restores.all()[:10])
    copies = list(backup.copies.all())
    context = {
        "backup": backup,
        "verifications": verifications,
        "restores": restores,
        "copies": copies,
        "next_retry_at": schedules.next_retry_at(backup),
        "is_busy": backup.is_active
        or any(job.is_active for job in [*copies, *verifications, *restores])
        or _is_about_to_be_read(backup, verifications),
        "tables": sorted(backup.tables.items()),
        "row_count": sum(backup.tables.values()),
        "page": "backups",
    }
    if request.headers.get("HX-Request"):
        return _render_part(request, "backups/_backup.html", context, is_over=not context["is_busy"])
    return render(request, "backups/backup.html", context)


@may_take
@require_POST
def cancel_backup(request: HttpRequest, pk: int) -> HttpResponse:
    return _cancel(request, get_object_or_404(Backup, pk=pk), lambda job: ("backup", job.pk))


@may_take
@require_POST
def cancel_verification(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_object_or_404(Verification, pk=pk)
    return _cancel(request, job, lambda _: ("backup", job.backup_id))


@may_restore
@require_POST
def cancel_restore(request: HttpRequest, pk: int) -> HttpResponse:
    return _cancel(request, get_object_or_404(Restore, pk=pk), lambda job: ("restore", job.pk))


@may_take
@require_POST
def verify_backup(request: HttpRequest, pk: int) -> HttpResponse:
    """Reads the artifact again from beginning to end."""
    return _request_verification(request, pk, Verification.Kind.VERIFY)


@may_take
@require_POST
def prove_backup(request: HttpRequest, pk: int) -> HttpResponse:
    """Restores into a scratch database and compares."""
    return _request_verification(request, pk, Verification.Kind.PROVE)


@may_download
@require_safe
def download_backup(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The artifact as it is stored: encrypted."""
    backup = get_object_or_404(Backup, pk=pk, state=State.DONE)
    try:
        artifact = storage.open_artifact(backup.artifact, copying.find_readable(backup))
    except JobError as error:
        messages.error(request, error.sentence)
        return redirect("backup", pk)
    audit.record("downloaded", actor=request.user, environment=backup.environment, subject=str(backup))
    response = FileResponse(artifact, as_attachment=True, filename=backup.artifact.rpartition("/")[2])
    # What is encrypted does not shrink: gzip would only cost time, and the length that a progress bar needs.
    response["Content-Encoding"] = "identity"
    if backup.bytes is not None:
        response["Content-Length"] = str(backup.bytes)
    return response


@may_view
@require_safe
def show_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """One restore with its progress and what came of it."""
    restore = get_object_or_404(Restore.objects.select_related("backup", "target__environment"), pk=pk)
    context = {"restore": restore, "backup": restore.backup, "page": "backups"}
    if request.headers.get("HX-Request"):
        return _render_part(request, "backups/_restore.html", context, is_over=not restore.is_active)
    return render(request, "backups/restore.html", context)


@permission_required("backups.add_backupschedule", raise_exception=True)
@require_POST
def add_schedule(request: HttpRequest, slug: str) -> HttpResponse:
    environment = get_object_or_404(Environment, slug=slug)
    form = ScheduleForm(request.POST, environment=environment)
    if not form.is_valid():
        return _render_environment(request, environment, form)
    schedule = form.save(commit=False)
    schedules.plan(schedule, timezone.now())
    schedule.save()
    audit.record("scheduled backups of", actor=request.user, environment=environment, subject=str(schedule))
    messages.success(request, "Scheduled.")
    return redirect("environment_backups", slug)


@permission_required("backups.change_backupschedule", raise_exception=True)
@require_POST
def change_schedule(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Turns a schedule on or off, or removes it."""
    schedule = get_object_or_404(
        BackupSchedule.objects.select_related("database__environment"), database__environment__slug=slug, pk=pk
    )
    environment = schedule.database.environment
    action = request.POST.get("action")
    if action == "remove":
        schedule.delete()
        audit.record("removed the schedule", actor=request.user, environment=environment, subject=str(schedule))
    elif action in {"on", "off"}:
        schedule.is_enabled = action == "on"
        schedules.plan(schedule, timezone.now())
        schedule.save()
        audit.record(
            f"turned {action} the schedule", actor=request.user, environment=environment, subject=str(schedule)
        )
    return redirect("environment_backups", slug)


def _is_about_to_be_read(backup: Backup, verifications: list[Verification]) -> bool:
    """Whether it was taken a moment ago: what took it clears up first, and then has it verified."""
    is_fresh = backup.finished_at is not None and timezone.now() - backup.finished_at < JUST_TAKEN
    return backup.state == State.DONE and is_fresh and not verifications


def _render_part(request: HttpRequest, template: str, context: dict[str, Any], *, is_over: bool) -> HttpResponse:
    """The part that changes while work goes on; when the work is over, the whole page is loaded once more."""
    response = render(request, template, context)
    if is_over:
        response["HX-Refresh"] = "true"
    return response


def _listed(backups: QuerySet[Backup]) -> QuerySet[Backup]:
    return backups.select_related("environment", "database").defer("tables", "metadata", "snapshot", "worker")


def _render_environment(request: HttpRequest, environment: Environment, form: ScheduleForm | None) -> HttpResponse:
    context = {
        "environment": environment,
        "databases": environment.databases.defer("dsn"),
        "backups": _listed(Backup.objects.filter(environment=environment))[:PAGE_LENGTH],
        "restores": Restore.objects.filter(backup__environment=environment).select_related("backup")[:10],
        "schedules": BackupSchedule.objects.filter(database__environment=environment).select_related("database"),
        "tab": "backups",
    }
    if request.headers.get("HX-Request"):
        return render(request, "backups/_catalogue.html", context)
    context["form"] = form or ScheduleForm(environment=environment)
    return render(request, "backups/environment.html", context, status=400 if form is not None else 200)


def _cancel(request: HttpRequest, job: Job, where: Callable[[Job], tuple[str, int]]) -> HttpResponse:
    if catalogue.request_cancel(job, actor=request.user):
        messages.success(request, "It is being stopped.")
    else:
        messages.info(request, "It had ended already.")
    return redirect(*where(job))


def _request_verification(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    backup = get_object_or_404(Backup, pk=pk)
    try:
        tasks.enqueue(catalogue.request_verification(backup, kind, actor=request.user))
    except RequestError as error:
        messages.error(request, str(error))
    return redirect("backup", pk)
