"""Reads `settings.READINESS_PROBES` (kind -> dotted path); gives the probe of a kind."""

import functools
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from readiness.probes.base import Probe


def list_kinds() -> list[str]:
    """Return the kinds that settings name, in their order."""
    return list(settings.READINESS_PROBES)


def get_probe(kind: str) -> Probe[Any]:
    """Return the probe of `kind`. Raises KeyError for a kind that settings do not name."""
    return _load_probe(settings.READINESS_PROBES[kind])


@functools.cache
def _load_probe(dotted_path: str) -> Probe[Any]:
    probe: Probe[Any] = import_string(dotted_path)()
    return probe
