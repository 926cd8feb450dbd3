"""Environments and what they consist of: endpoints people reach, databases that can be lost."""

from __future__ import annotations

from urllib.parse import urlsplit

from cryptography import x509
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator, URLValidator
from django.db import models

from portal.secrets import EncryptedTextField, SecretError, is_reference, resolve_reference
from readiness.probes.postgres_health.thresholds import find_threshold_faults


def validate_pem_bundle(text: str) -> None:
    """Raises ValidationError unless ``text`` holds at least one PEM certificate."""
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ValidationError(
            "This is not a bundle of PEM certificates; paste the text between and including the BEGIN and END lines."
        ) from None


def validate_plain_url(url: str) -> None:
    """Raises ValidationError for a URL that carries a user name or password."""
    if "@" in urlsplit(url).netloc:
        raise ValidationError("Leave user name and password out of the URL: URLs are shown on pages.")


def validate_thresholds(changes: object) -> None:
    """Raises ValidationError, one sentence a fault, unless ``changes`` can replace defaults of the postgres probe."""
    if not isinstance(changes, dict):
        raise ValidationError("Thresholds are a mapping of names to numbers.")
    faults = find_threshold_faults(changes)
    if faults:
        raise ValidationError([f"{name}: {fault}." for name, fault in faults])


# Addresses of the portal's own, where an environment's page would be.
RESERVED_SLUGS = frozenset({"add", "new", "retired", "compare", "failing", "maintenance"})


class EnvironmentQuerySet(models.QuerySet["Environment"]):
    def active(self) -> EnvironmentQuerySet:
        """Environments that were not retired."""
        return self.filter(retired_at__isnull=True)


class Environment(models.Model):
    """One place where the product runs, with its own checklist, probes and backups."""

    class Kind(models.TextChoices):
        PRODUCTION = "production", "Production"
        STAGING = "staging", "Staging"
        TEST = "test", "Test"
        DEVELOPMENT = "development", "Development"

    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=60, unique=True)
    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.PRODUCTION)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="owned_environments"
    )
    target_date = models.DateField("target date", null=True, blank=True)
    live_since = models.DateTimeField(null=True, blank=True, editable=False)
    ca_bundle = models.TextField("private CA certificates", blank=True, validators=[validate_pem_bundle])
    template_version = models.ForeignKey(
        "readiness.TemplateVersion",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="environments",
        help_text="Which checklist it follows; the shipped one when empty.",
    )
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    is_demo = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = EnvironmentQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.slug in RESERVED_SLUGS:
            raise ValidationError({"slug": f"The slug {self.slug} is taken by the portal itself."})


class Endpoint(models.Model):
    """A URL of an environment that people or programs reach."""

    class Role(models.TextChoices):
        FRONTEND = "frontend", "Frontend"
        API = "api", "API"
        ALIAS = "alias", "Alias"

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="endpoints")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.FRONTEND)
    url = models.CharField(
        "URL", max_length=500, validators=[URLValidator(schemes=["http", "https"]), validate_plain_url]
    )
    health_path = models.CharField(
        max_length=200,
        blank=True,
        validators=[RegexValidator(r"^/\S*$", "A health path starts with / and has no blanks.")],
    )
    expected_text = models.CharField(
        max_length=200, blank=True, help_text="Text that the page must hold; nothing is looked for when left empty."
    )
    latency_budget_ms = models.PositiveIntegerField(
        "latency budget (ms)", null=True, blank=True, help_text="The first byte should come within this time."
    )

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["environment", "url"], name="endpoint_once_per_environment")]

    def __str__(self) -> str:
        return self.url


class Database(models.Model):
    """A PostgreSQL database of an environment; how to reach it is kept encrypted or by reference."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="databases")
    name = models.CharField(
        max_length=63,
        validators=[
            RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", "Use letters, digits, dots, dashes and underscores.")
        ],
        help_text="What you call it here, for example main.",
    )
    dsn = EncryptedTextField(
        "connection",
        help_text="postgresql://user:password@host:5432/name, or env:NAME, or file:PATH. Kept encrypted.",
    )
    prove_on_own_server = models.BooleanField(
        "prove backups on its own server",
        default=False,
        help_text="Restores each backup into a scratch database on this database's own server to prove it.",
    )
    plan_connections = models.PositiveIntegerField(
        "connections of the plan", null=True, blank=True, help_text="As the provider sells them."
    )
    plan_storage_bytes = models.PositiveBigIntegerField(
        "storage of the plan (bytes)", null=True, blank=True, help_text="Days until it is full are forecast."
    )
    region = models.CharField(max_length=60, blank=True)
    application_role = models.CharField(
        "role of the application",
        max_length=63,
        blank=True,
        help_text="The user it connects as. When left empty, every role that has sessions is judged.",
    )
    thresholds = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_thresholds],
        help_text="What departs from the defaults of the postgres probe, by name.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["environment", "name"], name="database_once_per_environment")]

    def __str__(self) -> str:
        return f"{self.environment.slug}/{self.name}"

    def read_dsn(self) -> str:
        """The connection string itself, resolved now. Raises portal.secrets.SecretError with one sentence."""
        return resolve_reference(self.dsn)

    @property
    def connection_shown(self) -> str:
        """What pages may say about the connection: a reference as it is, anything else without its secret."""
        try:
            return self.dsn if is_reference(self.dsn) else "kept encrypted"
        except SecretError as error:
            return str(error)
