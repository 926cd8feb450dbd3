"""Error trackers of environments and what was read from them; issues and events are readiness.trackers.sync's."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import models

from portal.secrets import EncryptedTextField, resolve_reference
from readiness.models.environments import Environment, validate_plain_url


class Tracker(models.Model):
    """The error tracker of one environment, how it is reached, and when it last answered."""

    class Provider(models.TextChoices):
        SENTRY = "sentry", "Sentry"
        GLITCHTIP = "glitchtip", "GlitchTip"
        BUGSINK = "bugsink", "Bugsink"

    environment = models.OneToOneField(Environment, on_delete=models.CASCADE, related_name="tracker")
    provider = models.CharField(max_length=12, choices=Provider.choices)
    url = models.CharField(
        "URL", max_length=300, validators=[URLValidator(schemes=["http", "https"]), validate_plain_url]
    )
    organization = models.CharField(max_length=100, blank=True)
    token = EncryptedTextField(help_text="An API token, or env:NAME, or file:PATH. Kept encrypted.")
    tracker_environment = models.CharField(
        max_length=64, blank=True, help_text="Only events of this environment in the tracker; all when left empty."
    )
    allow_http = models.BooleanField(
        "plain HTTP and private addresses", default=False, help_text="The token then travels unencrypted."
    )
    allow_loopback = models.BooleanField(default=False, editable=False)
    monthly_quota = models.PositiveIntegerField(
        "events a month", null=True, blank=True, help_text="What your plan allows; trackers do not tell."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    # What readiness.trackers.sync keeps.
    synced_at = models.DateTimeField(null=True, editable=False)
    quick_synced_at = models.DateTimeField(null=True, editable=False)
    failed_at = models.DateTimeField(null=True, editable=False)
    error = models.CharField(max_length=300, blank=True, editable=False)
    warning = models.CharField(max_length=300, blank=True, editable=False)
    claimed_until = models.DateTimeField(null=True, editable=False)
    errors_24h = models.PositiveIntegerField(null=True, editable=False)
    new_24h = models.PositiveIntegerField(null=True, editable=False)
    # [[epoch seconds, events]] of the last hour, one a minute; null where nobody knows.
    minutes: models.JSONField[Any, Any] = models.JSONField(null=True, default=None, editable=False)
    # {"accepted_30d", "dropped_24h", "dropped_30d", "is_accepting"}; a figure that nobody knows is not there.
    quota: models.JSONField[Any, Any] = models.JSONField(default=dict, editable=False)
    # Everybody who used the application in 24 hours, not only those who met an error.
    users_24h = models.PositiveBigIntegerField(null=True, editable=False)
    mean_duration_ms = models.FloatField(null=True, editable=False)

    class Meta:
        ordering = ["environment_id"]

    def __str__(self) -> str:
        return f"{self.get_provider_display()} of {self.environment}"

    def clean(self) -> None:
        parts = urlsplit(self.url)
        if parts.query or parts.fragment:
            raise ValidationError({"url": "Give only where the tracker lives, without ? and #: paths are added to it."})

    def read_token(self) -> str:
        """The token itself, resolved now. Raises portal.secrets.SecretError with one sentence."""
        return resolve_reference(self.token)


class TrackerProject(models.Model):
    """One project of the tracker and the role it has in the environment."""

    class Role(models.TextChoices):
        BACKEND = "backend", "Backend"
        FRONTEND = "frontend", "Frontend"

    tracker = models.ForeignKey(Tracker, on_delete=models.CASCADE, related_name="projects")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.BACKEND)
    name = models.CharField("project", max_length=100, help_text="Its slug or id in the tracker.")
    remote_id = models.CharField(max_length=64, blank=True, editable=False)
    # What the checklist asks: null means that this tracker cannot tell.
    is_scrubbed = models.BooleanField(null=True, editable=False)
    has_replay = models.BooleanField(null=True, editable=False)
    rules: models.JSONField[Any, Any] = models.JSONField(default=dict, editable=False)
    # {"at", "sdk", "environment", "release"} of the application's own newest event.
    newest_event: models.JSONField[Any, Any] = models.JSONField(default=dict, editable=False)
    facts_at = models.DateTimeField(null=True, editable=False)
    # {"sent_at", "event_id", "error", "arrived_at", "host"} of the newest event that the portal sent to the project's
    # DSN; host is the DSN's, empty when there was none.
    test_event: models.JSONField[Any, Any] = models.JSONField(default=dict, editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["tracker", "name"], name="tracker_project_once")]

    def __str__(self) -> str:
        return self.name


class TrackerIssue(models.Model):
    """One issue as the tracker last told it. Texts are whatever users and attackers made the application say."""

    tracker = models.ForeignKey(Tracker, on_delete=models.CASCADE, related_name="issues")
    project = models.ForeignKey(TrackerProject, on_delete=models.CASCADE, related_name="issues")
    remote_id = models.CharField(max_length=64)
    short_id = models.CharField(max_length=100, blank=True)
    title = models.CharField(max_length=500)
    culprit = models.CharField(max_length=300, blank=True)
    level = models.CharField(max_length=20, blank=True)
    status = models.CharField(max_length=30, blank=True)
    count_24h = models.PositiveBigIntegerField(null=True)
    count_7d = models.PositiveBigIntegerField(null=True)
    count_30d = models.PositiveBigIntegerField(null=True)
    count_total = models.PositiveBigIntegerField(null=True)
    users = models.PositiveBigIntegerField(null=True)
    first_seen = models.DateTimeField(null=True)
    last_seen = models.DateTimeField(null=True, db_index=True)
    permalink = models.CharField(max_length=500, blank=True)
    # [[epoch seconds, events]]; null where the tracker does not tell.
    hourly: models.JSONField[Any, Any] = models.JSONField(null=True, default=None)
    daily: models.JSONField[Any, Any] = models.JSONField(null=True, default=None)
    detail: models.JSONField[Any, Any] = models.JSONField(default=dict)
    # The count for which events and detail were read; when the tracker counts more, they are read again.
    read_count = models.PositiveBigIntegerField(null=True)
    found_at = models.DateTimeField(auto_now_add=True)
    alerted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-last_seen", "-id"]
        constraints = [models.UniqueConstraint(fields=["project", "remote_id"], name="tracker_issue_once")]

    def __str__(self) -> str:
        return self.title


class TrackerEvent(models.Model):
    """One event of an issue without its contents: when, whose (an id only), and a few tags. Kept for 90 days."""

    issue = models.ForeignKey(TrackerIssue, on_delete=models.CASCADE, related_name="events")
    remote_id = models.CharField(max_length=64)
    at = models.DateTimeField(db_index=True)
    is_read = models.BooleanField(default=True, help_text="Whether user and tags are known.")
    user = models.CharField(max_length=100, blank=True)
    tags: models.JSONField[Any, Any] = models.JSONField(default=dict)

    class Meta:
        ordering = ["-at", "-id"]
        constraints = [models.UniqueConstraint(fields=["issue", "remote_id"], name="tracker_event_once")]

    def __str__(self) -> str:
        return f"{self.remote_id} at {self.at:%Y-%m-%d %H:%M:%S}"
