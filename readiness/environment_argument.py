"""Finds the environment that a command was given."""

from __future__ import annotations

from django.core.management.base import BaseCommand

from portal.command_exits import USAGE, refuse
from readiness.models import Environment


def find_environment(command: BaseCommand, slug: str) -> Environment:
    """The active environment of that slug; without one the command ends with a sentence and the status for usage."""
    environment = Environment.objects.active().filter(slug=slug).first()
    if environment is None:
        known = ", ".join(Environment.objects.active().order_by("slug").values_list("slug", flat=True)) or "none yet"
        refuse(command, f"There is no environment {slug!r}; there are: {known}.", USAGE)
    return environment
