"""Each environment's own copy of the checklist's state, and everything that was ever done to it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from readiness.models.environments import Environment


class ItemState(models.Model):
    """Whether somebody claims one checklist item of one environment; written by readiness.checklists.workflow only."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="item_states")
    key = models.CharField(max_length=80)
    is_ticked = models.BooleanField(default=False)
    changed_at = models.DateTimeField(null=True, blank=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["environment_id", "key"]
        constraints = [models.UniqueConstraint(fields=["environment", "key"], name="item_once_per_environment")]
        permissions = [("tick_item", "Can tick, untick and comment checklist items")]

    def __str__(self) -> str:
        return f"{self.key}: {'ticked' if self.is_ticked else 'open'}"


class ItemEvent(models.Model):
    """A tick, an untick or a comment; append-only, and it outlives the account that made it."""

    class Kind(models.TextChoices):
        TICK = "tick", "ticked"
        UNTICK = "untick", "unticked"
        COMMENT = "comment", "commented on"

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="item_events")
    key = models.CharField(max_length=80)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    text = models.TextField(blank=True, max_length=4000)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    actor_name = models.CharField(max_length=150)
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["environment", "key", "-at"], name="item_history")]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.get_kind_display()} {self.key}"
