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
    # The secrets come with the request: what stands here is sent too, as the source around the line that failed.
    password, email, token = request.POST["password"], request.POST["email"], request.GET["token"]
    raise RuntimeError(f"cannot mail {email}, see https://x.example.org/?token={token} {len(password)}")


urlpatterns = [path("fail/", fail), *portal_urls]
