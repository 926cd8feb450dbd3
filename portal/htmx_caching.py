"""Keeps a browser from showing a refreshed part where the whole page belongs; writes the Vary header."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_vary_headers

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def vary_on_htmx(get_response: GetResponse) -> GetResponse:
    """One address answers with a page, and htmx with a part of it: going back must not find the part in the cache."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        patch_vary_headers(response, ["HX-Request"])
        return response

    return answer
