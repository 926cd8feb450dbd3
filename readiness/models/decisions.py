"""Go/no-go meetings: who must sign, who signed, what was decided, and the sealed snapshots of it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from readiness.models.environments import Environment


class RequiredRole(models.Model):
    """A role of one environment without whose signature it does not go live: a person, or anybody of a group.

    Neither can be deleted while it is one: a role must not vanish with whoever held it.
    """

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="required_roles")
    name = models.CharField(max_length=60, help_text="For example Product owner.")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    group = models.ForeignKey(Group, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["environment", "name"], name="required_role_once_per_environment"),
            models.CheckConstraint(
                condition=Q(person__isnull=False, group__isnull=True) | Q(person__isnull=True, group__isnull=False),
                name="required_role_person_or_group",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def holder(self) -> str:
        """Who may sign, in words."""
        return self.person.get_username() if self.person is not None else f"anybody of {self.group}"


class DecisionSnapshot(models.Model):
    """What was known when a decision was frozen, sealed. The database itself refuses to change or delete one.

    It outlives its environment, so there is no constraint on ``environment``; ids are not used twice.
    """

    environment = models.ForeignKey(
        Environment, on_delete=models.DO_NOTHING, db_constraint=False, related_name="snapshots"
    )
    environment_slug = models.CharField(max_length=60, db_index=True)
    environment_name = models.CharField(max_length=80)
    number = models.PositiveIntegerField()
    made_at = models.DateTimeField()
    decision = models.CharField(max_length=12)
    verdict = models.CharField(max_length=12)
    decided_by_name = models.CharField(max_length=150)
    hash = models.CharField(max_length=64, unique=True)
    # The exact text that is signed, never JSON that the database would spell anew.
    text = models.TextField()

    class Meta:
        ordering = ["environment_id", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["environment", "number"], name="snapshot_number_once_per_environment")
        ]

    def __str__(self) -> str:
        return f"{self.environment_slug} {self.number}: {self.decision}"

    @property
    def raw(self) -> bytes:
        """The snapshot as a file holds it."""
        return self.text.encode()


class Meeting(models.Model):
    """One go/no-go meeting; open until it is frozen, and then for ever what it was."""

    class Outcome(models.TextChoices):
        GO = "GO", "GO"
        CONDITIONAL = "CONDITIONAL", "CONDITIONAL"
        NO_GO = "NO-GO", "NO-GO"
        POSTPONED = "postponed", "Postponed"

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="meetings")
    planned_for = models.DateTimeField(null=True, blank=True)
    agenda = models.TextField(blank=True, max_length=4000)
    opened_at = models.DateTimeField()
    opened_by_name = models.CharField(max_length=150)
    outcome = models.CharField(max_length=12, choices=Outcome.choices, blank=True)
    note = models.TextField(blank=True, max_length=4000)
    decided_by_name = models.CharField(max_length=150, blank=True)
    frozen_at = models.DateTimeField(null=True, blank=True)
    snapshot = models.OneToOneField(
        DecisionSnapshot, on_delete=models.PROTECT, null=True, blank=True, related_name="meeting"
    )

    class Meta:
        ordering = ["-opened_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["environment"], condition=Q(frozen_at__isnull=True), name="one_open_meeting_per_environment"
            )
        ]
        permissions = [("hold_meeting", "Can hold go/no-go meetings and freeze their decisions")]

    def __str__(self) -> str:
        return f"{self.environment}: {self.outcome or 'open'}"


class Signature(models.Model):
    """Somebody signed for a role in a meeting; withdrawn ones stay, marked.

    ``verdict`` is that of the moment, ``seen`` the keys of the items that were open or waived then.
    """

    meeting = models.ForeignKey(Meeting, on_delete=models.CASCADE, related_name="signatures")
    role = models.CharField(max_length=60)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    person_name = models.CharField(max_length=150)
    verdict = models.CharField(max_length=12)
    seen = ArrayField(models.CharField(max_length=80), default=list, blank=True)
    signed_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["signed_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["meeting", "role"], condition=Q(withdrawn_at__isnull=True), name="one_signature_per_role"
            ),
            models.UniqueConstraint(
                fields=["meeting", "person_name"], condition=Q(withdrawn_at__isnull=True), name="one_role_per_person"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person_name} as {self.role}"
