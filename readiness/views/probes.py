"""The probes of one environment: what they found, what they found before, and probing now."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from portal import audit
from readiness import claims
from readiness.checklists.assessment import assess
from readiness.evidence import list_screenshots, read_screenshot
from readiness.forms import MuteForm
from readiness.history import list_database_figures, list_failing, read_course, read_uptimes
from readiness.maintenance import load_windows
from readiness.models import Environment, ProbeSchedule, ProbeState
from readiness.probes.schedule import is_stale
from readiness.schedule_forms import ScheduleForm
from readiness.tasks import request_probes


@permission_required("readiness.view_environment", raise_exception=True)
@require_safe
def show_probes(request: HttpRequest, slug: str) -> HttpResponse:
    """All kinds of one environment with their findings."""
    environment = get_object_or_404(Environment, slug=slug)
    now = timezone.now()
    assessment = assess([environment], now)[environment.pk]
    schedules = {schedule.kind: schedule for schedule in ProbeSchedule.objects.filter(environment=environment)}
    rows = [
        (kind, fact, assessment.states.get(kind), schedules.get(kind)) for kind, fact in assessment.facts.probes.items()
    ]
    context = {
        "environment": environment,
        "rows": rows,
        "screenshots": list_screenshots(environment.pk) if "browser" in assessment.facts.probes else [],
        "is_probing": any(schedule.is_probing_now(now) for schedule in schedules.values()),
        "tab": "probes",
    }
    template = "readiness/_probes.html" if request.headers.get("HX-Request") else "readiness/probes.html"
    return render(request, template, context)


@permission_required("readiness.view_proberun", raise_exception=True)
@require_safe
def show_screenshot(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """A picture that the browser probe has kept; its name holds the hash of what it shows."""
    environment = get_object_or_404(Environment, slug=slug)
    png = read_screenshot(environment.pk, name)
    if png is None:
        raise Http404
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=86400"}
    return HttpResponse(png, content_type="image/png", headers=headers)


@permission_required("readiness.view_proberun", raise_exception=True)
@require_safe
def show_history(request: HttpRequest, slug: str, kind: str) -> HttpResponse:
    """One kind over time: findings, uptime, how long runs took, what the newest changed, the last runs."""
    return _render_history(request, get_object_or_404(Environment, slug=slug), kind)


@permission_required("readiness.change_probeschedule", raise_exception=True)
@require_POST
def change_probing(request: HttpRequest, slug: str, kind: str) -> HttpResponse:
    """How often and how patiently one kind is probed."""
    environment = get_object_or_404(Environment, slug=slug)
    schedule = get_object_or_404(ProbeSchedule, environment=environment, kind=kind)
    form = ScheduleForm(request.POST, instance=schedule)
    if not form.is_valid():
        return _render_history(request, environment, kind, form)
    claims.change_schedule(schedule, form.changed_data, timezone.now())
    audit.record(
        "changed the probing",
        actor=request.user,
        environment=environment,
        subject=f"{environment}: {kind}",
        detail={"changed": ", ".join(form.changed_data) or "nothing"},
    )
    messages.success(request, "Saved.")
    return redirect("probe_history", slug, kind)


def _render_history(
    request: HttpRequest, environment: Environment, kind: str, schedule_form: ScheduleForm | None = None
) -> HttpResponse:
    """The page of one kind; a form that is given is shown with what was typed and what is wrong with it."""
    if kind not in settings.READINESS_PROBES:
        raise Http404
    now = timezone.now()
    schedule = ProbeSchedule.objects.filter(environment=environment, kind=kind).first()
    state = ProbeState.objects.filter(environment=environment, kind=kind).first()
    interval = schedule.interval_seconds if schedule else claims.default_interval_seconds(kind)
    context = {
        "environment": environment,
        "kind": kind,
        "course": read_course(environment, kind),
        "uptimes": read_uptimes(environment, kind, now, state, interval),
        "schedule": schedule,
        "schedule_form": schedule_form or (ScheduleForm(instance=schedule) if schedule else None),
        "state": state,
        "databases": list_database_figures(state),
        "is_stale": state is not None and is_stale(state.observed_at, interval, now),
        "mute_form": MuteForm(),
        "now": now,
        "tab": "probes",
    }
    return render(request, "readiness/probe_history.html", context, status=400 if schedule_form else 200)


@permission_required("readiness.view_environment", raise_exception=True)
@require_safe
def show_failing(request: HttpRequest) -> HttpResponse:
    """Everything that is bad now, everywhere."""
    failing = list_failing(load_windows(), timezone.now())
    context = {
        "failing": failing,
        "loud_count": sum(not one.is_quiet for one in failing),
        "is_probed": bool(failing) or ProbeState.objects.exists(),
        "page": "failing",
    }
    template = "readiness/_failing.html" if request.headers.get("HX-Request") else "readiness/failing.html"
    return render(request, template, context)


@permission_required("readiness.run_probe", raise_exception=True)
@require_POST
def probe_now(request: HttpRequest, slug: str) -> HttpResponse:
    """Queues every configured kind at once."""
    environment = get_object_or_404(Environment.objects.active(), slug=slug)
    queued = request_probes(environment)
    if queued:
        audit.record("probed", actor=request.user, environment=environment, subject=str(environment))
        messages.success(request, f"{queued} probes are on their way.")
    else:
        messages.info(request, "Nothing to probe: it is being probed at this moment, or nothing is connected yet.")
    return redirect("environment_probes", slug)
