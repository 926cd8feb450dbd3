"""Each environment's own copy of the checklist's state, what is waived, and everything that was ever done to it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db import models

from readiness.checklists.life import STORED_STATES, State
from readiness.models.environments import Environment

STATE_CHOICES = [(state.value, state.value.replace("_", " ")) for state in STORED_STATES]


def _person(related_name: str = "+") -> Any:
    """An account that may go: then the name beside it stays."""
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name=related_name
    )


class ItemState(models.Model):
    """Where one checklist item of one environment stands; written by readiness.checklists.workflow only.

    ``version`` counts every change: whoever changes an item names the version that they saw. ``demands`` is a digest
    of what the template demanded when the item was submitted.
    """

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="item_states")
    key = models.CharField(max_length=80)
    state = models.CharField(max_length=16, choices=STATE_CHOICES, default=State.TODO.value)
    version = models.PositiveIntegerField(default=0)
    changed_at = models.DateTimeField(null=True, blank=True)
    changed_by = _person()
    note = models.TextField(blank=True, max_length=4000)
    owner = _person("owned_items")
    due_on = models.DateField("due", null=True, blank=True)
    submitter = _person()
    submitter_name = models.CharField(max_length=150, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True)
    asks_not_applicable = models.BooleanField(default=False)
    demands = models.CharField(max_length=64, blank=True)
    evidence_url = models.CharField(max_length=500, blank=True)
    evidence_note = models.TextField(blank=True, max_length=4000)
    evidence_file = models.ForeignKey(
        "readiness.Attachment", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    # {"text", "observed_at"}: what facts said about the item when it was submitted.
    evidence_probe: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["environment_id", "key"]
        constraints = [models.UniqueConstraint(fields=["environment", "key"], name="item_once_per_environment")]
        permissions = [
            ("tick_item", "Can submit, approve and comment checklist items"),
            ("approve_waiver", "Can approve waivers"),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.get_state_display()}"


class ItemApproval(models.Model):
    """One person's agreement to what is submitted now; the events keep those of before."""

    item = models.ForeignKey(ItemState, on_delete=models.CASCADE, related_name="approvals")
    person = _person()
    person_name = models.CharField(max_length=150)
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "id"]
        constraints = [models.UniqueConstraint(fields=["item", "person"], name="approval_once_per_person")]

    def __str__(self) -> str:
        return f"{self.person_name} approves {self.item.key}"


class Attachment(models.Model):
    """A file that was attached to an item; its bytes are in the default storage under ``path``."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="attachments")
    key = models.CharField(max_length=80)
    name = models.CharField(max_length=150)
    path = models.CharField(max_length=200)
    bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    added_by = _person()
    added_by_name = models.CharField(max_length=150)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["environment", "key"], name="attachments_of_item")]

    def __str__(self) -> str:
        return self.name


class Waiver(models.Model):
    """The wish, and once approved the leave, to go live though one item is open.

    It holds until its last day, whether or not anybody has written down yet that it is over.
    """

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        APPROVED = "approved", "approved"
        REJECTED = "rejected", "rejected"
        REVOKED = "revoked", "revoked"
        EXPIRED = "expired", "expired"

    LIVE = (State.PENDING, State.APPROVED)
    LONGEST = timedelta(days=90)
    WARNED_BEFORE = timedelta(days=7)

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="waivers")
    key = models.CharField(max_length=80)
    reason = models.TextField(max_length=4000)
    risk = models.TextField(max_length=4000)
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    requester = _person()
    requester_name = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    expires_on = models.DateField(help_text="The last day on which it holds.")
    approver = _person()
    approver_name = models.CharField(max_length=150, blank=True)
    # When it was approved or rejected, and when it was revoked or expired.
    decided_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-requested_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "key"],
                condition=models.Q(state__in=["pending", "approved"]),
                name="one_live_waiver_per_item",
            ),
            models.CheckConstraint(
                condition=~models.Q(requester=models.F("approver")), name="waiver_needs_a_second_person"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.state} until {self.expires_on}"

    def is_ending(self, today: date) -> bool:
        """Whether it is in force and ends within a week."""
        return self.state == self.State.APPROVED and today <= self.expires_on <= today + self.WARNED_BEFORE

    def is_over(self, today: date) -> bool:
        """Whether its last day has passed, though nobody may have written that down yet."""
        return self.expires_on < today


class ItemEvent(models.Model):
    """One thing that was done to an item; append-only, which the database enforces.

    It outlives environment and accounts: their names are in the event, and nothing cascades to it. ``subject`` is the
    person whom it concerns: who was assigned, mentioned, or whose submission or waiver was decided.
    """

    class Kind(models.TextChoices):
        TICK = "tick", "ticked"
        UNTICK = "untick", "unticked"
        START = "start", "started"
        SUBMIT = "submit", "submitted"
        ASK_NOT_APPLICABLE = "ask_not_applicable", "asked to call not applicable"
        APPROVE = "approve", "approved"
        REJECT = "reject", "sent back"
        BLOCK = "block", "blocked"
        REOPEN = "reopen", "reopened"
        VERIFY = "verify", "verified"
        AGE = "age", "found stale"
        ASSIGN = "assign", "assigned"
        PLAN = "plan", "set the due date of"
        COMMENT = "comment", "commented on"
        MENTION = "mention", "mentioned somebody at"
        ATTACH = "attach", "attached a file to"
        WAIVER_REQUEST = "waiver_request", "asked to waive"
        WAIVER_APPROVE = "waiver_approve", "approved the waiver of"
        WAIVER_REJECT = "waiver_reject", "rejected the waiver of"
        WAIVER_REVOKE = "waiver_revoke", "revoked the waiver of"
        WAIVER_EXPIRE = "waiver_expire", "found the waiver expired of"

    environment = models.ForeignKey(
        Environment, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="item_events"
    )
    environment_slug = models.CharField(max_length=60)
    environment_name = models.CharField(max_length=80)
    key = models.CharField(max_length=80)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    from_state = models.CharField(max_length=16, blank=True)
    to_state = models.CharField(max_length=16, blank=True)
    version = models.PositiveIntegerField(default=0)
    text = models.TextField(blank=True, max_length=4000)
    detail: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
    )
    actor_name = models.CharField(max_length=150)
    subject = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="item_events_about",
    )
    subject_name = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["environment", "key", "-at"], name="item_history")]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.get_kind_display()} {self.key}"
