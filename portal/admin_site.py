"""Django's admin in the portal's clothes, open to whoever has the permission instead of a staff flag."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse


class PreflightAdminSite(admin.AdminSite):
    site_header = "Preflight"
    site_title = "Preflight admin"
    index_title = "Everything the portal keeps"
    site_url = "/"

    def has_permission(self, request: HttpRequest) -> bool:
        user = request.user
        return bool(user.is_active and user.is_authenticated and user.has_perm("portal.open_admin"))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """There is one door: whoever is signed in and may not enter gets 403, anyone else the sign-in page."""
        if request.user.is_authenticated:
            if self.has_permission(request):
                return redirect_to_login("", reverse("admin:index"), "")
            raise PermissionDenied
        return redirect_to_login(request.GET.get("next", reverse("admin:index")), reverse("account_login"))

    def logout(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Signing out is the portal's business too."""
        return redirect("account_logout")
