"""The admin's view of backups: the catalogue to read, schedules to change."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from backups import models
from portal.read_only_admin import ReadOnlyAdmin


@admin.register(models.Backup)
class BackupAdmin(ReadOnlyAdmin):
    list_display = ["id", "environment_slug", "database_name", "status", "requested_at", "bytes", "proven_at"]
    list_filter = ["state", "environment_slug", "trigger"]
    search_fields = ["environment_slug", "database_name", "artifact"]
    exclude = ["worker"]


@admin.register(models.BackupCopy)
class BackupCopyAdmin(ReadOnlyAdmin):
    list_display = ["id", "backup", "store", "state", "read_back_at", "next_try_at", "error"]
    list_filter = ["state", "store"]
    list_select_related = ["backup"]
    exclude = ["worker"]


@admin.register(models.StoreState)
class StoreStateAdmin(ReadOnlyAdmin):
    list_display = ["name", "is_usable", "tested_at", "error", "compared_at"]


@admin.register(models.Verification)
class VerificationAdmin(ReadOnlyAdmin):
    list_display = ["id", "backup", "kind", "state", "outcome", "requested_at"]
    list_filter = ["kind", "outcome"]
    list_select_related = ["backup"]
    exclude = ["worker"]


@admin.register(models.Restore)
class RestoreAdmin(ReadOnlyAdmin):
    list_display = ["id", "backup", "target_database", "state", "requested_by_name", "requested_at"]
    list_filter = ["state"]
    list_select_related = ["backup"]
    exclude = ["worker"]


@admin.register(models.BackupSchedule)
class BackupScheduleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["database", "cron", "time_zone", "is_enabled", "next_run_at"]
    list_select_related = ["database__environment"]
    readonly_fields = ["next_run_at", "due_at", "last_requested_at", "problem"]

    def save_model(self, request: HttpRequest, obj: models.BackupSchedule, form: Any, change: bool) -> None:
        # A changed schedule is planned anew by the next tick.
        obj.next_run_at = None
        super().save_model(request, obj, form, change)
