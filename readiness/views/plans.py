"""The plan of an environment and how far it has come; reads only."""

from __future__ import annotations

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from readiness.checklists.assessment import assess
from readiness.checklists.burn_down import make_forecast
from readiness.checklists.plan import make_plan
from readiness.checklists.progress import read_points
from readiness.models import Environment
from readiness.views.language import choose_language


@permission_required("readiness.view_environment", raise_exception=True)
@require_safe
def show_plan(request: HttpRequest, slug: str) -> HttpResponse:
    """The steps by half-day, the burn-down with its forecast, what is late and what is next."""
    environment = get_object_or_404(Environment.objects.select_related("owner"), slug=slug)
    now = timezone.now()
    today = timezone.localdate(now)
    assessment = assess([environment], now)[environment.pk]
    points = read_points(assessment, now)
    context = {
        "environment": environment,
        "assessment": assessment,
        "plan": make_plan(assessment.template, assessment.standings, environment.target_date, today),
        "points": points,
        "newest_points": points[::-1],
        "forecast": make_forecast(points, today, environment.target_date),
        "days_left": (environment.target_date - today).days if environment.target_date else None,
        "language": choose_language(request),
        "tab": "plan",
    }
    return render(request, "readiness/plan.html", context)
