"""What an environment's users do, step by step, the secrets that takes, and what DNS should say of its names."""

from __future__ import annotations

import ipaddress

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from portal.secrets import EncryptedTextField
from readiness.models.environments import Environment
from readiness.probes.dns_records import normalize_value
from readiness.probes.scenarios.model import Scenario as ParsedScenario
from readiness.probes.scenarios.model import ScenarioError
from readiness.probes.scenarios.parser import parse_scenario


def parse_stored_scenario(text: str) -> ParsedScenario:
    """The scenario of a stored ``text``. Raises ScenarioError with one sentence, naming step and field.

    Who types into a form is not who runs the portal: what stands in the portal's environment and files is out of
    reach. So there are no references, and secrets come from ScenarioSecret rows alone.
    """
    scenario = parse_scenario(text)
    if scenario.base_url.startswith("env:"):
        raise ScenarioError("Scenario, base_url: give the address itself; env: is for the command line.")
    if scenario.secrets:
        raise ScenarioError(
            "Scenario, secrets: leave this table out and store each secret below; env: and file: are for the "
            "command line."
        )
    return scenario


def validate_scenario(text: str) -> None:
    """Raises ValidationError unless ``text`` is a scenario that may be stored."""
    try:
        parse_stored_scenario(text)
    except ScenarioError as error:
        raise ValidationError(str(error)) from None


class Scenario(models.Model):
    """A walk through the application as its users do it; a checklist item looks for it by its name."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="scenarios")
    name = models.SlugField(
        max_length=40, help_text="login, create, upload, notification and chatbot are the checklist's own."
    )
    text = models.TextField("steps", validators=[validate_scenario])
    is_enabled = models.BooleanField("enabled", default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["environment", "name"], name="scenario_once_per_environment")]

    def __str__(self) -> str:
        return self.name


class ScenarioSecret(models.Model):
    """A value that scenarios of one environment send as ``{{ secret.name }}``; kept encrypted, never shown."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="scenario_secrets")
    name = models.CharField(
        max_length=40,
        validators=[RegexValidator(r"^[A-Za-z_][A-Za-z0-9_]*$", "Use letters, digits and underscores.")],
    )
    value = EncryptedTextField()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["environment", "name"], name="secret_once_per_environment")]

    def __str__(self) -> str:
        return self.name


class ExpectedRecord(models.Model):
    """What DNS should say about a name; without a name, about each endpoint's host."""

    class Type(models.TextChoices):
        A = "A", "A"
        AAAA = "AAAA", "AAAA"
        CNAME = "CNAME", "CNAME"

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="expected_records")
    name = models.CharField(
        max_length=253,
        blank=True,
        validators=[RegexValidator(r"^[^\s/:@]+$", "Give a host name, for example www.example.org.")],
        help_text="The host of each endpoint when left empty.",
    )
    type = models.CharField(max_length=5, choices=Type.choices, default=Type.A)
    values = ArrayField(models.CharField(max_length=253), default=list, blank=True)

    class Meta:
        ordering = ["name", "type"]
        constraints = [
            models.UniqueConstraint(fields=["environment", "name", "type"], name="record_once_per_environment")
        ]

    def __str__(self) -> str:
        return f"{self.name or 'each endpoint'} {self.type} {', '.join(self.values) or 'none'}"

    def clean(self) -> None:
        self.values = sorted({normalize_value(self.type, value) for value in self.values})
        version = {"A": 4, "AAAA": 6}.get(self.type)
        for value in self.values:
            if version is not None and _version_of(value) != version:
                raise ValidationError({"values": f"{value} is not an IPv{version} address."})
            if version is None and _version_of(value) is not None:
                raise ValidationError({"values": f"{value} is an address; a CNAME holds a name."})


def _version_of(value: str) -> int | None:
    try:
        return ipaddress.ip_address(value).version
    except ValueError:
        return None
