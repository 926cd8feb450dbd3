"""The four roles and what each may do; writes auth's groups after every migration."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission

STAKEHOLDER = "Stakeholder"
TEAM_LEAD = "Team lead"
OPERATOR = "Operator"
ADMINISTRATOR = "Administrator"

_SEE = ["readiness.view_environment", "readiness.view_trackerissue"]
_SEE_INSIDE = [
    "readiness.view_endpoint",
    "readiness.view_probestate",
    "readiness.view_proberun",
    "readiness.view_probeschedule",
    "readiness.view_statuschange",
    "readiness.view_itemstate",
    "readiness.view_alert",
    "readiness.view_notification",
    "readiness.acknowledge_alert",
    "readiness.view_gateseen",
    "readiness.view_oncallrota",
    "readiness.view_oncallturn",
    "readiness.view_itemevent",
    "readiness.view_meeting",
    "readiness.view_signature",
    "readiness.view_decisionsnapshot",
    "readiness.view_checklisttemplate",
    "readiness.view_templateversion",
    "backups.view_backup",
    "backups.view_backupcopy",
    "backups.view_storestate",
    "backups.view_verification",
    "backups.view_restore",
    "portal.view_auditevent",
    "portal.open_admin",
]
_TICK = ["readiness.tick_item", "readiness.approve_waiver", "readiness.change_checklisttemplate"]
_DECIDE = ["readiness.hold_meeting", "readiness.change_costs"]
_OPERATE = [
    "readiness.change_costs",
    "readiness.add_environment",
    "readiness.change_environment",
    "readiness.view_database",
    "readiness.run_probe",
    "readiness.mute_probe",
    "readiness.view_maintenancewindow",
    "readiness.change_probeschedule",
    "readiness.view_tracker",
    "readiness.view_trackerproject",
    "readiness.view_trackerevent",
    "readiness.view_channel",
    "readiness.view_alertrule",
    "readiness.change_alertrule",
    "backups.take_backup",
    "backups.download_backup",
    "backups.restore_backup",
    "backups.view_backupschedule",
    "backups.add_backupschedule",
    "backups.change_backupschedule",
    "backups.delete_backupschedule",
    "portal.confirm_key",
]
_ADMINISTER = [
    "readiness.manage_apitoken",
    "portal.manage_people",
    "readiness.view_noticesettings",
    # To look only: the admin's form knows neither the last administrator nor the audit trail.
    "auth.view_user",
    "auth.view_group",
    "django_q.view_failure",
    "django_q.view_success",
    "django_q.view_schedule",
    "django_q.view_ormq",
]

ROLE_PERMISSIONS: dict[str, list[str]] = {
    STAKEHOLDER: _SEE,
    TEAM_LEAD: _SEE + _SEE_INSIDE + _TICK + _DECIDE,
    OPERATOR: _SEE + _SEE_INSIDE + _OPERATE,
    ADMINISTRATOR: _SEE + _SEE_INSIDE + _TICK + _DECIDE + _OPERATE + _ADMINISTER,
}

ROLE_SUMMARIES: dict[str, str] = {
    STAKEHOLDER: "Sees the dashboards.",
    TEAM_LEAD: "Submits, approves and comments checklist items; asks for waivers and approves them; makes checklists.",
    OPERATOR: "Connects environments, probes, backs up, restores.",
    ADMINISTRATOR: "All of it, and invites people.",
}


def sync_roles(using: str = "default") -> None:
    """Makes the four groups hold exactly the permissions above; groups that others made are left alone."""
    permissions = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.using(using).select_related("content_type")
    }
    for role, names in ROLE_PERMISSIONS.items():
        group, _ = Group.objects.using(using).get_or_create(name=role)
        # A permission can be missing while migrations have run for only some of the apps.
        group.permissions.set([permissions[name] for name in names if name in permissions])
