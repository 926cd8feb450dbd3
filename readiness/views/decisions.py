"""Go/no-go meetings in the browser; writes through readiness.checklists.decisions only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from portal import audit
from readiness.checklists import decisions
from readiness.checklists.agenda import list_points
from readiness.checklists.assessment import Assessment
from readiness.checklists.chain import SEALED
from readiness.checklists.decisions import DecisionError, RoleStanding
from readiness.checklists.judging import judge
from readiness.checklists.plan import make_plan
from readiness.decision_forms import DecisionForm, LiveForm, MeetingForm, RoleForm
from readiness.models import Environment, Meeting, RequiredRole
from readiness.views.language import choose_language

HISTORY_LENGTH = 20
may_see = permission_required("readiness.view_environment", raise_exception=True)
may_hold = permission_required("readiness.hold_meeting", raise_exception=True)


@dataclass(frozen=True)
class RoleLine:
    """A role that must sign, as one person sees it."""

    standing: RoleStanding
    may_sign: bool
    is_own: bool


@may_see
@require_safe
def show_decision(request: HttpRequest, slug: str) -> HttpResponse:
    """The verdict, the meeting that is open, who must sign, and every decision there was."""
    return _render(request, get_object_or_404(Environment.objects.select_related("owner"), slug=slug))


@may_hold
@require_POST
def open_meeting(request: HttpRequest, slug: str) -> HttpResponse:
    environment = get_object_or_404(Environment, slug=slug)
    form = MeetingForm(request.POST)
    if not form.is_valid():
        return _render(request, environment, meeting_form=form)
    try:
        meeting = decisions.open_meeting(environment, **form.cleaned_data, by=_person(request), now=timezone.now())
    except DecisionError as error:
        messages.error(request, str(error))
    else:
        when = f"{timezone.localtime(meeting.planned_for):%Y-%m-%d %H:%M}" if meeting.planned_for else "no date yet"
        audit.record("opened a go/no-go meeting on", actor=request.user, environment=environment, subject=when)
        messages.success(request, "The meeting is open: sign, decide, freeze.")
    return redirect("decision", slug)


@may_hold
@require_POST
def change_agenda(request: HttpRequest, slug: str) -> HttpResponse:
    environment = get_object_or_404(Environment, slug=slug)
    form = MeetingForm(request.POST)
    if not form.is_valid():
        return _render(request, environment, meeting_form=form)
    try:
        decisions.change_agenda(_find_open_meeting(environment), **form.cleaned_data)
    except DecisionError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Saved.")
    return redirect("decision", slug)


@may_hold
@require_POST
def freeze_decision(request: HttpRequest, slug: str) -> HttpResponse:
    """Decides and seals; what stands against it is said on the page."""
    environment = get_object_or_404(Environment, slug=slug)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        return _render(request, environment, decision_form=form)
    try:
        meeting = _find_open_meeting(environment)
        snapshot = decisions.freeze(meeting, **form.cleaned_data, by=_person(request), now=timezone.now())
    except DecisionError as error:
        form.add_error(None, str(error))
        return _render(request, environment, decision_form=form)
    detail = {"hash": snapshot.hash, "verdict": snapshot.verdict}
    subject = f"{environment}: {snapshot.decision}"
    audit.record(SEALED, actor=request.user, environment=environment, subject=subject, detail=detail)
    messages.success(request, f"Decided and sealed as snapshot {snapshot.number}.")
    return redirect("snapshot", slug, snapshot.number)


@may_hold
@require_POST
def go_live(request: HttpRequest, slug: str) -> HttpResponse:
    """Records since when the environment is live, or takes that back."""
    environment = get_object_or_404(Environment, slug=slug)
    if request.POST.get("action") == "take_back":
        decisions.take_back_live(environment)
        audit.record("took back that it is live", actor=request.user, environment=environment, subject=str(environment))
        return redirect("decision", slug)
    form = LiveForm(request.POST)
    if not form.is_valid():
        return _render(request, environment, live_form=form)
    now = timezone.now()
    at = form.cleaned_data["live_since"] or now
    try:
        decisions.go_live(environment, at, now)
    except DecisionError as error:
        form.add_error("live_since", str(error))
        return _render(request, environment, live_form=form)
    subject = f"{environment}, since {timezone.localtime(at):%Y-%m-%d %H:%M}"
    audit.record("recorded as live", actor=request.user, environment=environment, subject=subject)
    messages.success(request, f"{environment.name} is live.")
    return redirect("decision", slug)


@may_hold
@require_POST
def add_role(request: HttpRequest, slug: str) -> HttpResponse:
    environment = get_object_or_404(Environment, slug=slug)
    form = RoleForm(request.POST)
    if not form.is_valid():
        return _render(request, environment, role_form=form)
    try:
        role = decisions.add_role(environment, **form.cleaned_data)
    except DecisionError as error:
        form.add_error(None, str(error))
        return _render(request, environment, role_form=form)
    subject = f"{role.name}: {role.holder}"
    audit.record("added a role that must sign", actor=request.user, environment=environment, subject=subject)
    messages.success(request, f"{role.name} must sign from now on.")
    return redirect("decision", slug)


@may_hold
@require_POST
def remove_role(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    role = _find_role(slug, pk)
    try:
        decisions.remove_role(role)
    except DecisionError as error:
        messages.error(request, str(error))
    else:
        environment = role.environment
        audit.record("removed a role that must sign", actor=request.user, environment=environment, subject=role.name)
        messages.success(request, f"{role.name} need not sign any more.")
    return redirect("decision", slug)


@may_see
@require_POST
def sign(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Signs for a role; whoever holds it may, whatever else they may do here."""
    role = _find_role(slug, pk)
    try:
        meeting = _find_open_meeting(role.environment)
        signature = decisions.sign(meeting, role, by=_person(request), now=timezone.now())
    except DecisionError as error:
        messages.error(request, str(error))
    else:
        subject = f"{role.name}, at {signature.verdict}"
        audit.record("signed as", actor=request.user, environment=role.environment, subject=subject)
        messages.success(request, f"Signed as {role.name}.")
    return redirect("decision", slug)


@may_see
@require_POST
def withdraw(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Takes one's own signature back."""
    role = _find_role(slug, pk)
    try:
        meeting = _find_open_meeting(role.environment)
        decisions.withdraw(meeting, role.name, by=_person(request), now=timezone.now())
    except DecisionError as error:
        messages.error(request, str(error))
    else:
        audit.record("withdrew as", actor=request.user, environment=role.environment, subject=role.name)
        messages.success(request, f"Your signature as {role.name} is withdrawn.")
    return redirect("decision", slug)


def _render(
    request: HttpRequest,
    environment: Environment,
    *,
    meeting_form: MeetingForm | None = None,
    decision_form: DecisionForm | None = None,
    role_form: RoleForm | None = None,
    live_form: LiveForm | None = None,
) -> HttpResponse:
    now = timezone.now()
    person = _person(request)
    assessment = judge([environment], now)[environment.pk]
    meeting = environment.meetings.filter(frozen_at__isnull=True).first()
    roles = decisions.list_roles(environment, meeting, assessment)
    group_ids = set(person.groups.values_list("pk", flat=True))
    plan = make_plan(assessment.template, assessment.standings, environment.target_date, timezone.localdate(now))
    frozen = environment.meetings.filter(frozen_at__isnull=False).select_related("snapshot").defer("snapshot__text")
    history = Paginator(frozen, HISTORY_LENGTH).get_page(request.GET.get("page"))
    initial = {"planned_for": meeting.planned_for, "agenda": meeting.agenda} if meeting is not None else {}
    context: dict[str, Any] = {
        "environment": environment,
        "assessment": assessment,
        "decision": assessment.decision,
        "meeting": meeting,
        "points": list_points(assessment.decision, roles, plan),
        "roles": [
            RoleLine(
                standing,
                decisions.may_sign(standing.role, person, group_ids),
                standing.signature is not None and standing.signature.person_id == person.pk,
            )
            for standing in roles
        ],
        "obstacles": _list_obstacles(roles, assessment),
        "meeting_form": meeting_form or MeetingForm(initial=initial),
        "decision_form": decision_form or DecisionForm(),
        "role_form": role_form or RoleForm(),
        "live_form": live_form or LiveForm(),
        "history": history,
        "last": decisions.find_last_decision(environment),
        "language": choose_language(request),
        "tab": "decision",
    }
    forms = (meeting_form, decision_form, role_form, live_form)
    has_errors = any(form is not None and form.errors for form in forms)
    return render(request, "readiness/decision.html", context, status=400 if has_errors else 200)


def _list_obstacles(roles: list[RoleStanding], assessment: Assessment) -> list[tuple[str, str]]:
    """Which decisions are not possible, and why; what has the same reason is said once."""
    obstacles: dict[str, list[str]] = {}
    for outcome in (Meeting.Outcome.GO, Meeting.Outcome.CONDITIONAL):
        if obstacle := decisions.find_obstacle(outcome, roles, assessment):
            obstacles.setdefault(obstacle, []).append(outcome)
    return [
        (f"{' and '.join(outcomes)} {'is' if len(outcomes) == 1 else 'are'}", obstacle)
        for obstacle, outcomes in obstacles.items()
    ]


def _find_open_meeting(environment: Environment) -> Meeting:
    meeting = environment.meetings.filter(frozen_at__isnull=True).first()
    if meeting is None:
        raise DecisionError("No meeting is open: open one first.")
    return meeting


def _find_role(slug: str, pk: int) -> RequiredRole:
    roles = RequiredRole.objects.select_related("environment", "person", "group")
    return get_object_or_404(roles, pk=pk, environment__slug=slug)


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  the permission decorator has seen to it
    return request.user
