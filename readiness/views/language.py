"""In which language the checklist's texts are read; reads ?lang= and keeps it in the session."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation.trans_real import parse_accept_lang_header

LANGUAGES = ("en", "de")


def choose_language(request: HttpRequest) -> str:
    """What was asked for, else what was asked for before, else the browser's preference, else English."""
    asked = request.GET.get("lang")
    if asked in LANGUAGES:
        request.session["checklist_language"] = asked
        return str(asked)
    kept = request.session.get("checklist_language")
    if kept in LANGUAGES:
        return str(kept)
    for code, _ in parse_accept_lang_header(request.headers.get("Accept-Language", "")):
        if code.split("-")[0] in LANGUAGES:
            return str(code.split("-")[0])
    return "en"
