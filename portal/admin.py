"""The admin's view of the site's own tables and of accounts: to read."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Group, User

from portal.models import AuditEvent, SiteNote, WorkerPulse
from portal.read_only_admin import ReadOnlyAdmin


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


# Accounts are changed under People: Django's own form, open to superusers, knows neither the last administrator nor
# the audit trail, and groups follow portal.roles.
admin.site.unregister([User, Group])


@admin.register(User)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ["username", "email", "is_active", "last_login", "date_joined"]
    list_filter = ["is_active", "groups"]
    search_fields = ["username", "email"]
    fields = ["username", "email", "is_active", "is_superuser", "groups", "last_login", "date_joined"]


@admin.register(Group)
class RoleAdmin(ReadOnlyAdmin):
    list_display = ["name"]
