"""Appends events of checklist items; nothing changes or deletes one."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from portal import audit
from readiness.models import Environment, ItemEvent


def append(
    environment: Environment,
    key: str,
    kind: ItemEvent.Kind,
    by: AbstractBaseUser | None,
    *,
    states: tuple[str, str] = ("", ""),
    version: int = 0,
    text: str = "",
    detail: dict[str, Any] | None = None,
    about: tuple[int | None, str] = (None, ""),
) -> ItemEvent:
    """One event. ``by`` None is the portal itself; ``about`` is the id and the name of the person whom it concerns."""
    return ItemEvent.objects.create(
        environment_id=environment.pk,
        environment_slug=environment.slug,
        environment_name=environment.name,
        key=key,
        kind=kind,
        from_state=states[0],
        to_state=states[1],
        version=version,
        text=text,
        detail=detail or {},
        actor_id=None if by is None else by.pk,
        actor_name=audit.PORTAL if by is None else by.get_username(),
        subject_id=about[0],
        subject_name=about[1],
        at=timezone.now(),
    )
