"""Addresses that fail, with every secret that a request and an exception can hold."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from portal.urls import handler403, handler404, handler500
from portal.urls import urlpatterns as portal_urls

__all__ = ["handler403", "handler404", "handler500", "urlpatterns"]


@csrf_exempt
@login_not_required
def fail(request: HttpRequest) -> HttpResponse:
    password = request.POST.get("password", "")
    innocent = f"{password} is kept under another name"
    raise RuntimeError(
        f"cannot mail planted-person@example.org, see https://x.example.org/?token=planted-token {len(innocent)}"
    )


urlpatterns = [path("fail/", fail), *portal_urls]
