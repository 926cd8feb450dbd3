"""Checklist templates of one's own: drafts that change, and published versions that never do."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models


class ChecklistTemplate(models.Model):
    """A checklist that environments can follow; written by readiness.checklists.template_store only."""

    key = models.CharField(
        max_length=60,
        unique=True,
        validators=[RegexValidator(r"^[a-z0-9]+(-[a-z0-9]+)*$", "Use lower-case letters, digits and single dashes.")],
    )
    name_en = models.CharField("name", max_length=200)
    name_de = models.CharField("name in German", max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name_en", "key"]

    def __str__(self) -> str:
        return self.name_en

    def for_language(self, code: str) -> str:
        """Its name, as texts of templates are asked for theirs."""
        return self.name_de if code.split("-")[0] == "de" else self.name_en


class TemplateVersion(models.Model):
    """One version of a template. The database itself refuses to change or delete a published one.

    ``content`` is canonical TOML. ``revision`` grows with every change of a draft: whoever saves says which one they
    have seen.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "draft"
        PUBLISHED = "published", "published"

    template = models.ForeignKey(ChecklistTemplate, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.DRAFT)
    content = models.TextField()
    revision = models.PositiveIntegerField(default=1)
    changed_at = models.DateTimeField()
    changed_by_name = models.CharField(max_length=150)
    published_at = models.DateTimeField(null=True, blank=True)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    published_by_name = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["template_id", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["template", "number"], name="template_version_once"),
            models.UniqueConstraint(
                fields=["template"], condition=models.Q(state="draft"), name="template_has_one_draft"
            ),
            models.CheckConstraint(
                condition=models.Q(state="draft", published_at__isnull=True)
                | models.Q(state="published", published_at__isnull=False),
                name="template_published_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.template.name_en}, version {self.number}"

    @property
    def is_draft(self) -> bool:
        return self.state == self.State.DRAFT
