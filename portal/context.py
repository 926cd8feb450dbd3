"""What every page of the site shows around its content; reads the key confirmation, for people who can act on it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from portal.notes import AGE_KEY_STORED, is_noted


def site_chrome(request: HttpRequest) -> dict[str, Any]:
    """Whether to show the banner about the backup key: to those who may confirm it, until one of them has."""
    user = getattr(request, "user", None)
    may_confirm = user is not None and user.is_authenticated and user.has_perm("portal.confirm_key")
    return {"show_key_banner": may_confirm and not is_noted(AGE_KEY_STORED)}
