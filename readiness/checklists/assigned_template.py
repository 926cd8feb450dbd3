"""Which template an environment's checklist follows."""

from __future__ import annotations

from readiness.checklists.template import load_template
from readiness.checklists.template_values import Template
from readiness.models import Environment


def template_of(environment: Environment) -> Template:
    """The template that this environment follows."""
    return load_template()
