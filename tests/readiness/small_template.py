"""A checklist of three manual items, for tests that want a verdict of their own making."""

from __future__ import annotations

from dataclasses import replace

from readiness.checklists.life import State
from readiness.checklists.template import load_template
from readiness.checklists.template_values import Severity, Template
from readiness.models import Environment, ItemState

MUST, OTHER_MUST, SHOULD = "backup_strategy", "local_run", "documentation"
_SEVERITIES = {MUST: Severity.MUST, OTHER_MUST: Severity.MUST, SHOULD: Severity.SHOULD}


def make_small_template() -> Template:
    """The shipped template without anything but two must items and a should item, all manual."""
    whole = load_template()
    items = tuple(
        replace(item, severity=_SEVERITIES[item.key], approvals=0, evidence=(), valid_days=0)
        for item in whole.items
        if item.key in _SEVERITIES
    )
    return replace(whole, key="small", items=items)


def settle(environment: Environment, *keys: str, is_done: bool = True) -> None:
    """Verifies items, or opens them again, as if people had."""
    state = State.VERIFIED if is_done else State.TODO
    for key in keys:
        ItemState.objects.update_or_create(environment=environment, key=key, defaults={"state": state.value})
