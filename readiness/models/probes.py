"""When probes run, what they said last, what they said before, and when that changed."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models

from readiness.models.environments import Environment
from readiness.probes.base import Status

STATUS_CHOICES = [(status.value, status.value) for status in Status]


class ProbeSchedule(models.Model):
    """One kind of probe on one environment: how often, when next, and who has claimed it."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="probe_schedules")
    kind = models.CharField(max_length=20)
    # As PROBE_INTERVAL_SECONDS; with none at all there is no next time to compute, for any environment.
    interval_seconds = models.PositiveIntegerField(default=60, validators=[MinValueValidator(10)])
    is_enabled = models.BooleanField("enabled", default=True)
    next_run_at = models.DateTimeField(db_index=True)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    requested_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["environment_id", "kind"]
        constraints = [models.UniqueConstraint(fields=["environment", "kind"], name="schedule_once_per_kind")]
        permissions = [("run_probe", "Can run probes now")]

    def __str__(self) -> str:
        return f"{self.environment.slug}: {self.kind} every {self.interval_seconds} s"


class ProbeState(models.Model):
    """The newest result of one kind on one environment; written by readiness.results only."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="probe_states")
    kind = models.CharField(max_length=20)
    status = models.CharField(max_length=8, choices=STATUS_CHOICES)
    reason = models.CharField(max_length=40, blank=True)
    summary = models.CharField(max_length=300, blank=True)
    findings = models.JSONField(default=list)
    data = models.JSONField(default=dict)
    duration_ms = models.PositiveIntegerField()
    observed_at = models.DateTimeField()
    status_since = models.DateTimeField()
    beats = models.CharField(max_length=90, blank=True, help_text="One letter a run, newest last.")

    class Meta:
        ordering = ["environment_id", "kind"]
        constraints = [models.UniqueConstraint(fields=["environment", "kind"], name="state_once_per_kind")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.status}"


class ProbeRun(models.Model):
    """One result as it was; kept for PROBE_RUNS_KEPT_DAYS."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="probe_runs")
    kind = models.CharField(max_length=20)
    status = models.CharField(max_length=8, choices=STATUS_CHOICES)
    reason = models.CharField(max_length=40, blank=True)
    summary = models.CharField(max_length=300, blank=True)
    findings = models.JSONField(default=list)
    data = models.JSONField(default=dict)
    duration_ms = models.PositiveIntegerField()
    observed_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-observed_at"]
        indexes = [models.Index(fields=["environment", "kind", "-observed_at"], name="run_history")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.status} at {self.observed_at:%Y-%m-%d %H:%M:%S}"


class StatusChange(models.Model):
    """The moment one kind on one environment came to another status; kept for ever."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="status_changes")
    kind = models.CharField(max_length=20)
    from_status = models.CharField(max_length=8, choices=STATUS_CHOICES, blank=True)
    to_status = models.CharField(max_length=8, choices=STATUS_CHOICES)
    summary = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(db_index=True)
    # Set once, by whoever turns the change into alerts: readiness.alerts.evaluate.
    alerted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-at"]
        indexes = [
            models.Index(fields=["id"], condition=models.Q(alerted_at__isnull=True), name="change_not_alerted"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.from_status or 'new'} to {self.to_status}"
