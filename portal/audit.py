"""The audit trail's only writer, and its witness; writes AuditEvent rows."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from portal.models import AuditEvent

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

    from readiness.models import Environment

COMMAND_LINE = "command line"
PORTAL = "Preflight"


def record(
    action: str,
    *,
    actor: AbstractBaseUser | AnonymousUser | None = None,
    actor_name: str = "",
    environment: Environment | None = None,
    subject: str = "",
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    """Appends one event. ``action`` is a past-tense phrase ("requested a backup of"); ``detail`` holds no secret.

    ``actor_name`` names who acted where there is no account, by default the portal itself.
    """
    is_person = actor is not None and actor.is_authenticated
    return AuditEvent.objects.create(
        at=timezone.now(),
        action=action,
        actor_id=actor.pk if is_person and actor is not None else None,
        actor_name=actor.get_username() if is_person and actor is not None else (actor_name or PORTAL),
        environment_slug=environment.slug if environment is not None else "",
        subject=subject[:200],
        detail=detail or {},
    )


def list_details(action: str, environment_slug: str) -> list[tuple[datetime, dict[str, Any]]]:
    """When an environment, by the slug it had then, saw that action, and the details of each, oldest first."""
    events = AuditEvent.objects.filter(action=action, environment_slug=environment_slug).order_by("at", "id")
    return list(events.values_list("at", "detail"))
