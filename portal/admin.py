"""The admin's view of the site's own tables: to read, except accounts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from portal.models import AuditEvent, SiteNote, WorkerPulse


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that the portal writes itself; people look at them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ["at", "actor_name", "action", "subject", "environment_slug"]
    list_filter = ["at", "environment_slug"]
    search_fields = ["actor_name", "action", "subject"]
    date_hierarchy = "at"


@admin.register(WorkerPulse)
class WorkerPulseAdmin(ReadOnlyAdmin):
    list_display = ["cluster", "returned_at", "host"]


@admin.register(SiteNote)
class SiteNoteAdmin(ReadOnlyAdmin):
    list_display = ["key", "set_at", "set_by_name"]
