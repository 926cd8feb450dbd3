"""Reads `settings.READINESS_PROBES` (kind -> dotted path); gives the probe of a kind."""

import functools
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from readiness.probes.base import DEFAULT_TIMEOUT_SECONDS, Probe


def list_kinds() -> list[str]:
    """Return the kinds that settings name, in their order."""
    return list(settings.READINESS_PROBES)


def get_probe(kind: str) -> Probe[Any]:
    """Return the probe of `kind`. Raises KeyError for a kind that settings do not name."""
    return _load_probe(settings.READINESS_PROBES[kind])


def get_default_timeout(kind: str) -> float:
    """Return the seconds that a target of `kind` gets unless somebody says otherwise."""
    seconds: float = getattr(get_probe(kind), "default_timeout_seconds", DEFAULT_TIMEOUT_SECONDS)
    return seconds


@functools.cache
def _load_probe(dotted_path: str) -> Probe[Any]:
    probe: Probe[Any] = import_string(dotted_path)()
    return probe
