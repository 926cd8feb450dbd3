"""The site's own tables: the audit trail, what was confirmed once, and when each worker cluster was last alive."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class AuditEvent(models.Model):
    """Who did what, when; append-only, written by portal.audit only, and it outlives account and environment."""

    at = models.DateTimeField(db_index=True)
    action = models.CharField(max_length=60)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    actor_name = models.CharField(max_length=150)
    environment_slug = models.CharField(max_length=60, blank=True, db_index=True)
    subject = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-at", "-id"]
        permissions = [
            ("manage_people", "Can invite people and give roles"),
            ("confirm_key", "Can confirm that the backup key is stored elsewhere"),
            ("open_admin", "Can open the admin"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.subject}".strip()


class SiteNote(models.Model):
    """Something this database remembers once: the demonstration was loaded, the key is kept elsewhere."""

    key = models.CharField(max_length=60, primary_key=True)
    value = models.JSONField(default=dict)
    set_at = models.DateTimeField(auto_now=True)
    set_by_name = models.CharField(max_length=150, blank=True)

    def __str__(self) -> str:
        return self.key


class WorkerPulse(models.Model):
    """The last heartbeat of one cluster that went through its queue and came back."""

    cluster = models.CharField(max_length=20, primary_key=True)
    returned_at = models.DateTimeField()
    host = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"{self.cluster} at {self.returned_at:%H:%M:%S}"
