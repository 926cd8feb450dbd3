"""The gate for programs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from portal.gate import describe_gate, describe_unknown, is_open, judge_gate
from readiness.models import ApiToken, Environment
from readiness.views.api import for_programs

CLOSED, COULD_NOT_TELL = 409, 503
_LENIENT = frozenset({"0", "false", "no", "off"})


def _describe_without_database(slug: str) -> dict[str, Any]:
    return describe_unknown(slug, timezone.now())


@for_programs(ApiToken.Scope.READ_GATE, "GET", "HEAD", without_database=_describe_without_database)
def show_gate(request: HttpRequest, environment: Environment, actor: str) -> HttpResponse:
    """200 when the gate is open, 409 when it is not, 503 when nobody can tell; always with the same JSON."""
    decision = judge_gate(environment, timezone.now()).decision
    status = 200 if is_open(decision, is_strict=_wants_strict(request)) else CLOSED
    if not decision.could_tell:
        status = COULD_NOT_TELL
    return JsonResponse(describe_gate(environment, decision), status=status)


def _wants_strict(request: HttpRequest) -> bool:
    """Whether the query asks for it, however it spells yes: whoever writes strict means it."""
    asked = request.GET.get("strict")
    return asked is not None and asked.strip().lower() not in _LENIENT
