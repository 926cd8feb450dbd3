"""Our own system checks: settings that would only bite later, each with a hint; reads settings and directories."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any
from zoneinfo import available_timezones

from cryptography.fernet import Fernet
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.utils.module_loading import import_string

from backups import stores
from backups.errors import JobError


@register(Tags.security)
def check_field_encryption_keys(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    for place, key in enumerate(settings.FIELD_ENCRYPTION_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            yield Error(
                f"FIELD_ENCRYPTION_KEYS: key {place} is not a Fernet key.",
                hint="A Fernet key is 32 bytes in URL-safe base64; the first one encrypts, all of them decrypt.",
                id="preflight.E001",
            )


@register()
def check_probes(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    readers = {"backup facts": settings.READINESS_BACKUP_FACTS, "blind spots": settings.READINESS_BLIND_SPOTS}
    for kind, path in {**settings.READINESS_PROBES, **readers}.items():
        try:
            import_string(path)
        except ImportError:
            yield Error(
                f"The setting for {kind} names {path}, which cannot be imported.",
                hint="The settings that begin with READINESS_ hold dotted paths, as MIDDLEWARE does.",
                id="preflight.E002",
            )


@register()
def check_intervals(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    if settings.PROBE_TIMEOUT_SECONDS * 2 + 10 >= settings.DEFAULT_TIMEOUT_SECONDS:
        yield Error(
            f"PROBE_TIMEOUT_SECONDS is {settings.PROBE_TIMEOUT_SECONDS}: a batch of probes would be cut off.",
            hint=f"Give less than {(settings.DEFAULT_TIMEOUT_SECONDS - 10) // 2}.",
            id="preflight.E003",
        )
    for name, cluster in {"default": settings.Q_CLUSTER, **settings.Q_CLUSTER["ALT_CLUSTERS"]}.items():
        if cluster["timeout"] >= cluster["retry"]:
            yield Error(
                f"The cluster {name} retries after {cluster['retry']} s what may run for {cluster['timeout']} s.",
                hint="The same work would run twice: retry must be longer than timeout.",
                id="preflight.E004",
            )


@register()
def check_time_zone(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    if settings.TIME_ZONE not in available_timezones():
        yield Error(
            f"TIME_ZONE is {settings.TIME_ZONE}, which is not in the time zone database.",
            hint="Give a name such as Europe/Berlin.",
            id="preflight.E005",
        )


@register()
def check_var_directory(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    for name, path in (("PORTAL_VAR", settings.VAR_DIR), ("BACKUP_STORE", settings.BACKUP_STORE)):
        existing = next((parent for parent in (path, *path.parents) if parent.exists()), None)
        if existing is not None and not os.access(existing, os.W_OK):
            yield Error(
                f"{name} is {path}, and {existing} cannot be written by this account.",
                hint="Give a directory that belongs to the account the portal runs as.",
                id="preflight.E006",
            )


@register(deploy=True)
def check_backup_stores(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    """Packages and secrets only: whether a store answers is for `backup stores --test` to say."""
    for name in stores.list_stores():
        try:
            stores.open_store(name)
        except JobError as error:
            yield checks.Warning(error.sentence, hint="See docs/how-to/keep-backups-elsewhere.md.", id="preflight.W002")


@register(Tags.security, deploy=True)
def check_site_url(app_configs: Any, **kwargs: Any) -> Iterable[CheckMessage]:
    if not settings.LOCAL_MODE and not settings.SITE_URL.startswith("https://"):
        yield checks.Warning(
            "SITE_URL is not set to an https address.",
            hint="Set SITE_URL=https://preflight.example.org, so that links in mails and forms are right.",
            id="preflight.W001",
        )
