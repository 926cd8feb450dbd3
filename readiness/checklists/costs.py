"""Adds up what running an environment costs; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from readiness.checklists.template_values import CostLine, Severity


@dataclass(frozen=True)
class CostTotals:
    """Money per month in one currency. Minimal: what must be paid, with the cheapest and the dearest alternatives.

    Recommended: the first choices of what must be paid, without and with the optional lines.
    """

    currency: str
    minimal_low: Decimal
    minimal_high: Decimal
    recommended_low: Decimal
    recommended_high: Decimal


def add_up_costs(lines: Sequence[CostLine]) -> tuple[CostTotals, ...]:
    """Totals per month, one for each currency; of lines that are alternatives of one another exactly one counts.

    A line whose main line is not there stands for itself.
    """
    keys = {line.key for line in lines}
    groups = [
        [line, *(other for other in lines if other.alternative_of == line.key)]
        for line in lines
        if line.alternative_of not in keys
    ]
    currencies = dict.fromkeys(group[0].currency for group in groups)
    return tuple(
        _add_up(currency, [group for group in groups if group[0].currency == currency]) for currency in currencies
    )


def _add_up(currency: str, groups: Sequence[Sequence[CostLine]]) -> CostTotals:
    must = [[line.monthly for line in group] for group in groups if group[0].severity is Severity.MUST]
    optional = [group[0].monthly for group in groups if group[0].severity is not Severity.MUST]
    recommended = sum((group[0] for group in must), Decimal(0))
    return CostTotals(
        currency=currency,
        minimal_low=sum((min(group) for group in must), Decimal(0)),
        minimal_high=sum((max(group) for group in must), Decimal(0)),
        recommended_low=recommended,
        recommended_high=recommended + sum(optional, Decimal(0)),
    )
