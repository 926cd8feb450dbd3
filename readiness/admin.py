"""The admin's view of readiness: environments can be changed there too, results only be read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from portal import audit
from portal.read_only_admin import ReadOnlyAdmin
from readiness import claims, maintenance, models
from readiness.checklists import workflow
from readiness.forms import MaintenanceForm
from readiness.schedule_forms import ScheduleForm


class EndpointInline(admin.TabularInline):  # type: ignore[type-arg]
    model = models.Endpoint
    extra = 0


@admin.register(models.Environment)
class EnvironmentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "kind", "owner", "target_date", "retired_at"]
    list_filter = ["kind", "retired_at"]
    search_fields = ["name", "slug", "tags"]
    readonly_fields = ["created_at", "retired_at"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [EndpointInline]

    def save_model(self, request: HttpRequest, obj: models.Environment, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        workflow.start_checklist(obj)
        subject = f"{obj}: {', '.join(form.changed_data)}" if change else str(obj)
        audit.record("changed" if change else "added", actor=request.user, environment=obj, subject=subject)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Environments are retired, so that what was known about them stays known.
        return False


@admin.register(models.Database)
class DatabaseAdmin(ReadOnlyAdmin):
    """To see which there are; connections are changed in the environment's settings, where they can be tested."""

    list_display = ["environment", "name", "connection_shown", "prove_on_own_server"]
    list_select_related = ["environment"]
    exclude = ["dsn"]
    readonly_fields = ["connection_shown"]


@admin.register(models.ProbeSchedule)
class ProbeScheduleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = ScheduleForm
    list_display = [
        *("environment", "kind", "interval_seconds", "jitter_seconds", "timeout_seconds", "failures_before_down"),
        *("successes_before_up", "retry_seconds", "is_enabled", "muted_until", "next_run_at"),
    ]
    list_editable = ["interval_seconds", "is_enabled"]
    list_filter = ["kind", "is_enabled", "environment"]
    list_select_related = ["environment"]
    fields = [
        *("environment", "kind", *ScheduleForm.Meta.fields),
        *("muted_until", "mute_reason", "next_run_at", "claimed_until", "requested_at"),
    ]
    readonly_fields = ["environment", "kind", "next_run_at", "claimed_until", "requested_at"]

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> type[ScheduleForm]:
        return ScheduleForm

    def save_model(self, request: HttpRequest, obj: models.ProbeSchedule, form: Any, change: bool) -> None:
        claims.change_schedule(obj, form.changed_data, timezone.now())
        changed = ", ".join(form.changed_data) or "nothing"
        subject = f"{obj.environment}: {obj.kind}"
        audit.record(
            "changed the probing",
            actor=request.user,
            environment=obj.environment,
            subject=subject,
            detail={"changed": changed},
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.ProbeState)
class ProbeStateAdmin(ReadOnlyAdmin):
    list_display = ["environment", "kind", "status", "summary", "observed_at", "status_since"]
    list_filter = ["kind", "status"]
    list_select_related = ["environment"]


@admin.register(models.ProbeRun)
class ProbeRunAdmin(ReadOnlyAdmin):
    list_display = ["observed_at", "environment", "kind", "status", "summary", "duration_ms"]
    list_filter = ["kind", "status", "environment"]
    list_select_related = ["environment"]
    show_full_result_count = False


@admin.register(models.StatusChange)
class StatusChangeAdmin(ReadOnlyAdmin):
    list_display = ["at", "environment", "kind", "from_status", "to_status", "summary"]
    list_filter = ["kind", "to_status", "environment"]
    list_select_related = ["environment"]


@admin.register(models.ItemState)
class ItemStateAdmin(ReadOnlyAdmin):
    list_display = ["environment", "key", "state", "owner", "due_on", "changed_by", "changed_at"]
    list_filter = ["state", "environment"]
    list_select_related = ["environment", "changed_by"]
    search_fields = ["key"]


@admin.register(models.ItemEvent)
class ItemEventAdmin(ReadOnlyAdmin):
    list_display = ["at", "environment_name", "key", "kind", "from_state", "to_state", "actor_name", "subject_name"]
    list_filter = ["kind", "environment_slug"]
    search_fields = ["key", "actor_name", "text"]


@admin.register(models.Waiver)
class WaiverAdmin(ReadOnlyAdmin):
    list_display = ["environment", "key", "state", "requester_name", "approver_name", "expires_on"]
    list_filter = ["state", "environment"]
    list_select_related = ["environment"]
    search_fields = ["key", "reason", "risk"]


@admin.register(models.Attachment)
class AttachmentAdmin(ReadOnlyAdmin):
    list_display = ["at", "environment", "key", "name", "bytes", "added_by_name"]
    list_filter = ["environment"]
    list_select_related = ["environment"]


@admin.register(models.Deploy)
class DeployAdmin(ReadOnlyAdmin):
    list_display = ["at", "environment", "release", "recorded_by"]
    list_filter = ["environment"]
    list_select_related = ["environment"]


@admin.register(models.PostedFact)
class PostedFactAdmin(ReadOnlyAdmin):
    list_display = ["environment", "name", "value", "posted_at", "posted_by"]
    list_filter = ["environment"]
    list_select_related = ["environment"]


@admin.register(models.ProbeRollup)
class ProbeRollupAdmin(ReadOnlyAdmin):
    list_display = ["starts_at", "period", "environment", "kind", "up_seconds", "down_seconds", "runs"]
    list_filter = ["period", "kind", "environment"]
    list_select_related = ["environment"]
    show_full_result_count = False


@admin.register(models.MaintenanceWindow)
class MaintenanceWindowAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The same as on their own page, by the same form and the same permission."""

    form = MaintenanceForm
    list_display = ["reason", "environment", "kind", "starts_at", "cron", "time_zone", "duration_minutes"]
    list_filter = ["environment", "kind"]
    list_select_related = ["environment"]
    actions = None

    def save_model(self, request: HttpRequest, obj: models.MaintenanceWindow, form: Any, change: bool) -> None:
        maintenance.keep_window(obj, request.user)

    def delete_model(self, request: HttpRequest, obj: models.MaintenanceWindow) -> None:
        maintenance.remove_window(obj, request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("readiness.mute_probe")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("readiness.mute_probe")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("readiness.mute_probe")


@admin.register(models.DecisionSnapshot)
class DecisionSnapshotAdmin(ReadOnlyAdmin):
    list_display = ["made_at", "environment_slug", "number", "decision", "verdict", "decided_by_name"]
    list_filter = ["decision", "environment_slug"]
    fields = ["environment_slug", "number", "made_at", "decision", "verdict", "decided_by_name", "hash"]


@admin.register(models.Meeting)
class MeetingAdmin(ReadOnlyAdmin):
    list_display = ["opened_at", "environment", "outcome", "decided_by_name", "frozen_at"]
    list_filter = ["outcome", "environment"]
    list_select_related = ["environment"]


@admin.register(models.Signature)
class SignatureAdmin(ReadOnlyAdmin):
    list_display = ["signed_at", "meeting", "role", "person_name", "verdict", "withdrawn_at"]
    list_select_related = ["meeting__environment"]


@admin.register(models.ChecklistTemplate)
class ChecklistTemplateAdmin(ReadOnlyAdmin):
    """To see which there are; they are made and published on pages of their own, to which "View on site" leads."""

    list_display = ["name_en", "key", "created_at"]
    search_fields = ["name_en", "name_de", "key"]

    def view_on_site(self, obj: models.ChecklistTemplate) -> str:
        return reverse("template", args=[obj.key])


@admin.register(models.TemplateVersion)
class TemplateVersionAdmin(ReadOnlyAdmin):
    list_display = ["template", "number", "state", "published_at", "published_by_name"]
    list_filter = ["state", "template"]
    list_select_related = ["template"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.TemplateVersion]:
        # A list of contents would be long, and nobody reads it.
        found: QuerySet[models.TemplateVersion] = super().get_queryset(request)
        return found.defer("content")

    def view_on_site(self, obj: models.TemplateVersion) -> str:
        return reverse("template_version", args=[obj.template.key, obj.number])


@admin.register(models.Tracker)
class TrackerAdmin(ReadOnlyAdmin):
    """To see which there are; they are connected on their environment's page, where they can be tested."""

    list_display = ["environment", "provider", "url", "synced_at", "error"]
    list_filter = ["provider"]
    list_select_related = ["environment"]
    exclude = ["token"]


@admin.register(models.TrackerProject)
class TrackerProjectAdmin(ReadOnlyAdmin):
    list_display = ["name", "role", "tracker", "is_scrubbed", "has_replay", "facts_at"]
    list_filter = ["role"]
    list_select_related = ["tracker__environment"]


@admin.register(models.TrackerIssue)
class TrackerIssueAdmin(ReadOnlyAdmin):
    list_display = ["title", "tracker", "level", "status", "count_24h", "users", "last_seen"]
    list_filter = ["level", "status", "tracker__environment"]
    list_select_related = ["tracker__environment"]
    search_fields = ["title", "culprit", "short_id"]


@admin.register(models.TrackerEvent)
class TrackerEventAdmin(ReadOnlyAdmin):
    list_display = ["at", "issue", "user"]
    list_filter = ["issue__tracker__environment"]
    list_select_related = ["issue"]
    show_full_result_count = False


@admin.register(models.Channel)
class ChannelAdmin(ReadOnlyAdmin):
    """To see which there are; where they lead is a secret, and they are changed and tested on the alerts' pages."""

    list_display = ["name", "kind", "address_shown", "is_enabled", "disabled_why", "removed_at"]
    list_filter = ["kind", "is_enabled"]
    exclude = ["address"]
    readonly_fields = ["address_shown"]


@admin.register(models.AlertRule)
class AlertRuleAdmin(ReadOnlyAdmin):
    list_display = ["name", "kind", "environment", "severity", "schedule", "rota", "is_enabled", "removed_at"]
    list_filter = ["kind", "severity", "is_enabled"]
    list_select_related = ["environment", "rota"]


@admin.register(models.OnCallRota)
class OnCallRotaAdmin(ReadOnlyAdmin):
    list_display = ["name", "starts_at", "turn_hours"]


@admin.register(models.OnCallTurn)
class OnCallTurnAdmin(ReadOnlyAdmin):
    list_display = ["rota", "position", "channel"]
    list_select_related = ["rota", "channel"]


@admin.register(models.Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ["opened_at", "environment", "rule", "title", "held_back", "resolved_at", "acknowledged_by"]
    list_filter = ["rule__kind", "environment"]
    list_select_related = ["environment", "rule"]
    search_fields = ["title"]


@admin.register(models.Notification)
class NotificationAdmin(ReadOnlyAdmin):
    """Without what it says to a person: that is between the portal and them."""

    list_display = ["created_at", "reason", "alert", "channel", "person", "state", "attempts", "sent_at", "error"]
    list_filter = ["state", "reason", "channel"]
    list_select_related = ["alert", "channel", "person"]
    exclude = ["facts", "key"]


@admin.register(models.NoticeSettings)
class NoticeSettingsAdmin(ReadOnlyAdmin):
    """To see who hears what; everybody changes their own."""

    list_display = ["person", "language", "wants_notices", "wants_weekly"]
    list_select_related = ["person"]


@admin.register(models.GateSeen)
class GateSeenAdmin(ReadOnlyAdmin):
    list_display = ["environment", "verdict", "seen_at"]
    list_select_related = ["environment"]
