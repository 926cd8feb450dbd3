"""Who is told what and when: channels, rules, alerts, notifications. Written by readiness.alerts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models

from portal.secrets import EncryptedTextField, SecretError, resolve_reference
from readiness.models.environments import Environment


def list_rule_kinds() -> list[tuple[str, str]]:
    """The kinds of rule there are; a callable, so that a new one makes no migration."""
    from readiness.alerts.kinds import KINDS

    return [(kind.key, kind.title) for kind in KINDS.values()]


LANGUAGES = [("en", "English"), ("de", "Deutsch")]


class Channel(models.Model):
    """One way to reach people; where it leads is a secret, for it may hold a token."""

    class Kind(models.TextChoices):
        EMAIL = "email", "E-mail"
        WEBHOOK = "webhook", "Webhook"
        APPRISE = "apprise", "Apprise (Slack, Teams, Telegram, ntfy, PagerDuty ...)"

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.EMAIL)
    address = EncryptedTextField(
        help_text="E-mail addresses separated by commas, the webhook's URL, or an Apprise URL; "
        "also env:NAME or file:PATH. Kept encrypted."
    )
    language = models.CharField(max_length=2, choices=LANGUAGES, default="en")
    is_enabled = models.BooleanField("enabled", default=True)
    permanent_failures = models.PositiveSmallIntegerField(default=0, editable=False)
    disabled_why = models.CharField(max_length=300, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    # A removed channel has no address any more; what was sent through it stays in the history.
    removed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name"]
        permissions = [("test_channel", "Can send a test through a channel")]

    def __str__(self) -> str:
        return self.name

    def read_address(self) -> str:
        """Where it leads, resolved now. Raises portal.secrets.SecretError with one sentence."""
        return resolve_reference(self.address)

    @property
    def address_shown(self) -> str:
        """What pages may say: e-mail addresses and references as they are, anything else without its secret."""
        try:
            stored = str(self.address)
        except SecretError as error:
            return str(error)
        return stored if self.kind == self.Kind.EMAIL or stored.startswith(("env:", "file:")) else "kept encrypted"


class OnCallRota(models.Model):
    """Who is on call: channels that take turns, each for the same time, from ``starts_at`` on."""

    name = models.CharField(max_length=80, unique=True)
    starts_at = models.DateTimeField("first turn starts at")
    turn_hours = models.PositiveIntegerField(
        "hours a turn", default=168, validators=[MinValueValidator(1)], help_text="168 is a week."
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class OnCallTurn(models.Model):
    """One place in the order of a rota."""

    rota = models.ForeignKey(OnCallRota, on_delete=models.CASCADE, related_name="turns")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="turns")
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["rota_id", "position"]
        constraints = [models.UniqueConstraint(fields=["rota", "position"], name="on_call_place_once")]

    def __str__(self) -> str:
        return f"{self.rota}: {self.channel}"


class AlertRule(models.Model):
    """What is worth telling, about which environments, to whom, and how often at most."""

    class Severity(models.TextChoices):
        CRITICAL = "critical", "Critical"
        WARNING = "warning", "Warning"
        INFO = "info", "Information"

    class Schedule(models.TextChoices):
        ALWAYS = "always", "always"
        BUSINESS = "business", "Monday to Friday, 8 to 18"

    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=30, choices=list_rule_kinds)
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, null=True, blank=True, related_name="alert_rules"
    )
    threshold = models.PositiveIntegerField(null=True, blank=True, help_text="The kind's own when left empty.")
    severity = models.CharField(max_length=10, choices=Severity.choices, default=Severity.CRITICAL)
    schedule = models.CharField(max_length=10, choices=Schedule.choices, default=Schedule.ALWAYS)
    channels: models.ManyToManyField[Channel, models.Model] = models.ManyToManyField(
        Channel, blank=True, related_name="rules"
    )
    rota = models.ForeignKey(
        OnCallRota,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="rules",
        verbose_name="on call",
        help_text="Also tells whoever is on call, at any hour.",
    )
    group_seconds = models.PositiveIntegerField(default=0, help_text="Wait so long to send several as one message.")
    cooldown_minutes = models.PositiveIntegerField(default=5, help_text="Tell the same thing again only after that.")
    remind_minutes = models.PositiveIntegerField(default=0, help_text="0 never reminds.")
    escalate_minutes = models.PositiveIntegerField(default=0, help_text="0 never escalates.")
    escalate_to = models.ForeignKey(Channel, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    is_enabled = models.BooleanField("enabled", default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """One thing that is or was wrong, from its first sign to its end."""

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="alerts")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, null=True, related_name="alerts")
    subject = models.CharField(max_length=100, help_text="What it is about: probe:http, issue:12.")
    title = models.CharField(max_length=300)
    facts: models.JSONField[Any, Any] = models.JSONField(default=dict)
    opened_at = models.DateTimeField()
    told_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    escalated_at = models.DateTimeField(null=True)
    reminded_at = models.DateTimeField(null=True)
    held_back = models.CharField(max_length=40, blank=True, help_text="Why nobody was told.")

    class Meta:
        ordering = ["-opened_at", "-id"]
        indexes = [models.Index(fields=["rule", "environment", "subject", "-opened_at"], name="alert_subject")]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "environment", "subject"],
                condition=models.Q(resolved_at__isnull=True),
                name="alert_open_once",
            )
        ]
        permissions = [("acknowledge_alert", "Can acknowledge alerts")]

    def __str__(self) -> str:
        return self.title


class Notification(models.Model):
    """One message to one channel or person, written before it is sent, so that a crash leaves evidence."""

    class State(models.TextChoices):
        PENDING = "pending", "waiting"
        SENDING = "sending", "being sent"
        SENT = "sent", "delivered"
        FAILED = "failed", "not delivered"
        DROPPED = "dropped", "no longer true"

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, null=True, related_name="notifications")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, null=True, related_name="notifications")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="notifications"
    )
    reason = models.CharField(max_length=12, help_text="opened, resolved, escalated, reminder, test, assigned ...")
    key = models.CharField(max_length=64, unique=True, help_text="The same for every attempt to send it.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)
    # What a message without an alert says: {"title", "title_de", "link", "lines"}.
    facts: models.JSONField[Any, Any] = models.JSONField(default=dict)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["state", "due_at"], name="notification_due")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(channel__isnull=True) ^ models.Q(person__isnull=True),
                name="notification_has_one_receiver",
            )
        ]

    def __str__(self) -> str:
        return f"{self.reason} to {self.channel or self.person}"


class NoticeSettings(models.Model):
    """What one person wants to be told by mail, and in which language; without a row, the defaults."""

    person = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notice_settings")
    language = models.CharField(max_length=2, choices=LANGUAGES, default="en")
    wants_notices = models.BooleanField(
        "what concerns me",
        default=True,
        help_text="When something is assigned to me, mentions me, waits for my approval or is overdue.",
    )
    wants_weekly = models.BooleanField(
        "a weekly summary", default=False, help_text="Every Monday: how each environment stands, and what changed."
    )

    class Meta:
        verbose_name = verbose_name_plural = "notice settings"
        ordering = ["person_id"]

    def __str__(self) -> str:
        return f"Notices of {self.person}"


class GateSeen(models.Model):
    """The verdict of an environment when it was last looked at, to notice when it falls."""

    environment = models.OneToOneField(Environment, on_delete=models.CASCADE, related_name="gate_seen")
    verdict = models.CharField(max_length=11)
    seen_at = models.DateTimeField()

    class Meta:
        verbose_name = "verdict last seen"
        verbose_name_plural = "verdicts last seen"
        ordering = ["environment_id"]

    def __str__(self) -> str:
        return self.verdict
