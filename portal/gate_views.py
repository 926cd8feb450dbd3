"""The gate for programs."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.gate import describe_gate, is_open, judge_gate
from readiness.models import ApiToken, Environment
from readiness.views.api import for_programs

CLOSED, COULD_NOT_TELL = 409, 503


@require_safe
@for_programs(ApiToken.Scope.READ_GATE)
def show_gate(request: HttpRequest, environment: Environment, actor: str) -> HttpResponse:
    """200 when the gate is open, 409 when it is not, 503 when nobody can tell; always with the same JSON."""
    decision = judge_gate(environment, timezone.now()).decision
    status = 200 if is_open(decision, is_strict=request.GET.get("strict") == "1") else CLOSED
    if not decision.could_tell:
        status = COULD_NOT_TELL
    return JsonResponse(describe_gate(environment, decision), status=status)
