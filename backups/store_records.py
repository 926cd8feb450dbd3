"""Writes StoreState rows: what was last found out about each store."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from backups.models import StoreState

NAMES_KEPT = 200


def note_usable(name: str) -> None:
    """Something was written to the store and read back."""
    StoreState.objects.update_or_create(
        name=name, defaults={"is_usable": True, "tested_at": timezone.now(), "error": ""}
    )


def note_error(name: str, sentence: str) -> None:
    """The store refused something."""
    now = timezone.now()
    StoreState.objects.update_or_create(
        name=name, defaults={"is_usable": False, "tested_at": now, "error": sentence[:500], "error_at": now}
    )


def note_difference(name: str, orphans: Sequence[str], missing: Sequence[int]) -> None:
    """What the store and the catalogue do not agree on: names of files, and numbers of backups."""
    StoreState.objects.update_or_create(
        name=name,
        defaults={
            "compared_at": timezone.now(),
            "orphans": list(orphans)[:NAMES_KEPT],
            "missing": list(missing)[:NAMES_KEPT],
        },
    )
