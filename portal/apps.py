"""The site's app configuration: roles follow the code after every migration."""

from typing import Any

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate


class PreflightAdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "portal.admin_site.PreflightAdminSite"


class PortalConfig(AppConfig):
    default = True
    name = "portal"
    verbose_name = "Portal"

    def ready(self) -> None:
        from portal import checks  # noqa: F401  registered by import
        from portal.error_reporting import start

        start()
        post_migrate.connect(_sync_roles, sender=self)


def _sync_roles(**kwargs: Any) -> None:
    from portal.roles import sync_roles

    sync_roles(kwargs.get("using", "default"))
