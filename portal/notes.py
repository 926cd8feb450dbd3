"""What this database remembers once; reads and writes SiteNote rows."""

from __future__ import annotations

from typing import Any

from portal.models import SiteNote

AGE_KEY_STORED = "age-key-stored-elsewhere"
DEMO_LOADED = "demonstration-loaded"


def is_noted(key: str) -> bool:
    """Whether ``key`` was ever noted."""
    return SiteNote.objects.filter(pk=key).exists()


def note(key: str, value: dict[str, Any] | None = None, *, by: str = "") -> None:
    """Remembers ``key``, with what belongs to it."""
    SiteNote.objects.update_or_create(pk=key, defaults={"value": value or {}, "set_by_name": by})
