"""The cost table of an environment, its template's until somebody changes it; the only writer of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from readiness.checklists.assigned_template import template_of
from readiness.checklists.template_values import CostLine
from readiness.models import CostEntry, CostTable, Environment


def read_costs(environment: Environment) -> tuple[CostTable | None, Sequence[CostLine]]:
    """The environment's own table and its lines, or None and those of the template; two queries."""
    table = CostTable.objects.filter(environment=environment).first()
    if table is None:
        return None, template_of(environment).costs
    return table, [entry.as_line() for entry in table.entries.all()]


def start_table(environment: Environment, *, language: str, by: User, now: datetime) -> CostTable:
    """Gives the environment a table of its own, with the template's lines in ``language``; what is there stays."""
    with transaction.atomic():
        table, is_new = CostTable.objects.get_or_create(
            environment=environment, defaults={"started_at": now, "started_by_name": by.get_username()}
        )
        if is_new:
            entries: dict[str, CostEntry] = {}
            # Main lines first: alternatives point at them.
            for line in sorted(template_of(environment).costs, key=lambda line: bool(line.alternative_of)):
                entries[line.key] = CostEntry.objects.create(
                    table=table,
                    service=line.service.for_language(language),
                    plan=line.plan,
                    amount=line.amount,
                    currency=line.currency,
                    period=line.period,
                    severity="must" if line.severity == "must" else "optional",
                    alternative_of=entries.get(line.alternative_of),
                    note=line.note.for_language(language),
                )
    return table


def drop_table(environment: Environment) -> None:
    """Back to the template's lines."""
    CostTable.objects.filter(environment=environment).delete()
