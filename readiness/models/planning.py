"""What going live takes: how many items were open on which day, and what running the environment costs."""

from __future__ import annotations

from decimal import Decimal

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models

from readiness.checklists import template_values
from readiness.models.environments import Environment


class ProgressDay(models.Model):
    """How many items that weigh in the verdict were open when the day's last count was taken."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="progress_days")
    day = models.DateField()
    open_count = models.PositiveIntegerField()
    item_count = models.PositiveIntegerField()

    class Meta:
        ordering = ["environment_id", "day"]
        constraints = [models.UniqueConstraint(fields=["environment", "day"], name="progress_once_a_day")]

    def __str__(self) -> str:
        return f"{self.environment}: {self.open_count} open on {self.day}"


class CostTable(models.Model):
    """An environment has a cost table of its own; without one it shows its template's."""

    environment = models.OneToOneField(
        Environment, on_delete=models.CASCADE, primary_key=True, related_name="cost_table"
    )
    started_at = models.DateTimeField()
    started_by_name = models.CharField(max_length=150)

    class Meta:
        permissions = [("change_costs", "Can change the cost table of an environment")]

    def __str__(self) -> str:
        return f"Costs of {self.environment}"


class CostEntry(models.Model):
    """One line of an environment's own cost table."""

    class Period(models.TextChoices):
        MONTH = "month", "a month"
        YEAR = "year", "a year"

    class Severity(models.TextChoices):
        MUST = "must", "Must"
        OPTIONAL = "optional", "Optional"

    table = models.ForeignKey(CostTable, on_delete=models.CASCADE, related_name="entries")
    service = models.CharField(max_length=120, help_text="For example PostgreSQL database.")
    plan = models.CharField(max_length=120, help_text="What the provider calls it.")
    amount = models.DecimalField(
        max_digits=10, decimal_places=2, validators=[MinValueValidator(Decimal(0))], help_text="0 when it is free."
    )
    currency = models.CharField(
        max_length=3, default="USD", validators=[RegexValidator(r"^[A-Z]{3}$", "Use three capital letters, as EUR.")]
    )
    period = models.CharField(max_length=5, choices=Period.choices, default=Period.MONTH)
    severity = models.CharField("needed", max_length=8, choices=Severity.choices, default=Severity.MUST)
    alternative_of = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="alternatives"
    )
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "cost entries"

    def __str__(self) -> str:
        return f"{self.service}: {self.plan}"

    def as_line(self) -> template_values.CostLine:
        """The entry as what costs are added up from."""
        return template_values.CostLine(
            key=str(self.pk),
            service=template_values.Text(self.service, self.service),
            plan=self.plan,
            amount=self.amount,
            currency=self.currency,
            period=self.period,
            severity=template_values.Severity(self.severity),
            alternative_of=str(self.alternative_of_id or ""),
            note=template_values.Text(self.note, self.note),
        )
