"""What comes from outside: facts that CI posts, deploys, and the tokens with which programs speak to the portal."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from readiness.models.environments import Environment


class PostedFact(models.Model):
    """The newest value of one named fact of an environment; written by readiness.outside only."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="posted_facts")
    name = models.CharField(max_length=120)
    value: models.JSONField[Any, Any] = models.JSONField()
    posted_at = models.DateTimeField()
    posted_by = models.CharField(max_length=150)

    class Meta:
        ordering = ["environment_id", "name"]
        constraints = [models.UniqueConstraint(fields=["environment", "name"], name="fact_once_per_environment")]

    def __str__(self) -> str:
        return f"{self.name} = {self.value}"


class Deploy(models.Model):
    """A release that went out to an environment; written by readiness.outside only."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="deploys")
    release = models.CharField(max_length=200)
    at = models.DateTimeField()
    recorded_by = models.CharField(max_length=150)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["environment", "-at"], name="deploys_of_environment")]

    def __str__(self) -> str:
        return f"{self.release} at {self.at:%Y-%m-%d %H:%M}"


class ApiToken(models.Model):
    """What a program shows to be let in: only a hash of it is kept. Written by readiness.tokens only."""

    class Scope(models.TextChoices):
        READ_GATE = "gate", "Read the gate"
        POST_FACTS = "facts", "Post facts"
        RECORD_DEPLOYS = "deploys", "Record deploys"

    name = models.CharField(max_length=80, help_text="What uses it, for example “GitHub Actions of the shop”.")
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, null=True, blank=True, related_name="api_tokens"
    )
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope.choices))
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API token"
        ordering = ["-created_at"]
        permissions = [("manage_apitoken", "Can make and revoke API tokens")]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"
