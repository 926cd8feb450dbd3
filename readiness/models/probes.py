"""When probes run, what they said last, what they said before, and when that changed."""

from __future__ import annotations

from datetime import datetime

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from readiness.models.environments import Environment
from readiness.probes.base import Status

STATUS_CHOICES = [(status.value, status.value) for status in Status]


class ProbeSchedule(models.Model):
    """One kind of probe on one environment: how often, how patient, when next, and who has claimed it."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="probe_schedules")
    kind = models.CharField(max_length=20)
    interval_seconds = models.PositiveIntegerField(
        "seconds between runs",
        default=60,
        validators=[MinValueValidator(10), MaxValueValidator(30 * 24 * 3600)],
        help_text="At least 10. A result counts as out of date after twice as long.",
    )
    jitter_seconds = models.PositiveSmallIntegerField(
        "jitter (seconds)",
        default=0,
        help_text="Runs come earlier or later by up to so much, by chance; at most half of the interval.",
    )
    timeout_seconds = models.PositiveSmallIntegerField(
        "timeout (seconds)",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="For everything that one run does. The portal's own when left empty.",
    )
    failures_before_down = models.PositiveSmallIntegerField(
        "bad results before down",
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="So many bad results in a row change the status.",
    )
    successes_before_up = models.PositiveSmallIntegerField(
        "good results before up",
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="So many good results in a row change it back.",
    )
    retry_seconds = models.PositiveSmallIntegerField(
        "seconds before a retry",
        default=15,
        validators=[MinValueValidator(1)],
        help_text="How soon to look again while a change waits to be confirmed.",
    )
    is_enabled = models.BooleanField("enabled", default=True)
    muted_until = models.DateTimeField(null=True, blank=True, help_text="No alarm until then; the verdict stays.")
    mute_reason = models.CharField(max_length=200, blank=True)
    next_run_at = models.DateTimeField(db_index=True)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    requested_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["environment_id", "kind"]
        constraints = [models.UniqueConstraint(fields=["environment", "kind"], name="schedule_once_per_kind")]
        permissions = [("run_probe", "Can run probes now"), ("mute_probe", "Can mute probes and plan maintenance")]

    def __str__(self) -> str:
        return f"{self.environment.slug}: {self.kind} every {self.interval_seconds} s"

    def is_probing_now(self, now: datetime) -> bool:
        """Whether somebody asked for it and it has not come back; a claim that ran out was lost with its worker."""
        return self.requested_at is not None and self.claimed_until is not None and self.claimed_until > now


class ProbeState(models.Model):
    """The confirmed status of one kind on one environment, with the result that made it; written by results only.

    While a change waits to be confirmed, ``pending_status`` says to what, and the rest stays as it was.
    """

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="probe_states", db_index=False)
    kind = models.CharField(max_length=20)
    status = models.CharField(max_length=8, choices=STATUS_CHOICES)
    reason = models.CharField(max_length=40, blank=True)
    summary = models.CharField(max_length=300, blank=True)
    findings = models.JSONField(default=list)
    data = models.JSONField(default=dict)
    duration_ms = models.PositiveIntegerField()
    observed_at = models.DateTimeField()
    status_since = models.DateTimeField()
    pending_status = models.CharField(max_length=8, choices=STATUS_CHOICES, blank=True)
    pending_count = models.PositiveSmallIntegerField(default=0)
    pending_summary = models.CharField(max_length=300, blank=True)
    standing = models.CharField(max_length=11, blank=True, help_text="What the time since the newest run counts as.")
    beats = models.CharField(max_length=90, blank=True, help_text="One letter a run, newest last.")
    # readiness.probes.uptime.HourAccount; it becomes a roll-up once the hour is over.
    open_hour = models.JSONField(null=True, editable=False)

    class Meta:
        ordering = ["environment_id", "kind"]
        constraints = [models.UniqueConstraint(fields=["environment", "kind"], name="state_once_per_kind")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.status}"


class ProbeRun(models.Model):
    """One result as it was; kept for PROBE_RUNS_KEPT_DAYS.

    The table has a partition a day (readiness.partitions); its primary key is (id, observed_at).
    """

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="probe_runs")
    kind = models.CharField(max_length=20)
    status = models.CharField(max_length=8, choices=STATUS_CHOICES)
    reason = models.CharField(max_length=40, blank=True)
    summary = models.CharField(max_length=300, blank=True)
    findings = models.JSONField(default=list)
    data = models.JSONField(default=dict)
    duration_ms = models.PositiveIntegerField()
    observed_at = models.DateTimeField()
    in_maintenance = models.BooleanField(default=False)

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
    in_maintenance = models.BooleanField(default=False)

    class Meta:
        ordering = ["-at"]
        indexes = [
            models.Index(fields=["id"], condition=models.Q(alerted_at__isnull=True), name="change_not_alerted"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.from_status or 'new'} to {self.to_status}"


class ProbeRollup(models.Model):
    """How one kind on one environment did in one hour or one day that is over; written by readiness.results only.

    The hour that runs is in ProbeState.open_hour.

    What is neither up, down nor maintenance is unknown: no result, or one that could not tell.
    """

    class Period(models.TextChoices):
        HOUR = "h", "Hour"
        DAY = "d", "Day"

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="probe_rollups", db_index=False)
    kind = models.CharField(max_length=20)
    period = models.CharField(max_length=1, choices=Period.choices)
    starts_at = models.DateTimeField()
    up_seconds = models.FloatField(default=0)
    down_seconds = models.FloatField(default=0)
    maintenance_seconds = models.FloatField(default=0)
    runs = models.PositiveIntegerField(default=0)
    duration_ms_sum = models.PositiveBigIntegerField(default=0)
    duration_ms_max = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["environment_id", "kind", "period", "starts_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "kind", "period", "starts_at"], name="rollup_once_per_period"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.get_period_display()} {self.starts_at:%Y-%m-%d %H:%M}"


class MaintenanceWindow(models.Model):
    """When an environment is expected to be down: once, or again and again; probes go on, alarms do not."""

    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, null=True, blank=True, related_name="maintenance_windows"
    )
    kind = models.CharField(max_length=20, blank=True, help_text="All kinds when left empty.")
    reason = models.CharField(max_length=200)
    starts_at = models.DateTimeField(null=True, blank=True, help_text="Of a window that happens once.")
    cron = models.CharField(
        max_length=100, blank=True, help_text="When a recurring window starts, for example 0 3 * * SUN."
    )
    time_zone = models.CharField(max_length=60, default="UTC")
    duration_minutes = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(1), MaxValueValidator(7 * 24 * 60)]
    )
    created_by_name = models.CharField(max_length=150, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(starts_at__isnull=False, cron="")
                | models.Q(starts_at__isnull=True) & ~models.Q(cron=""),
                name="maintenance_once_or_recurring",
            )
        ]

    def __str__(self) -> str:
        return self.reason
