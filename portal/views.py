"""The site's own pages: dashboard, an environment with all of it, people, the backup key, and bad news in our look."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required, permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from backups.leases import read_lease_end
from backups.models import Backup, BackupSchedule
from portal import audit, error_reporting, keys, notes
from portal.dashboard import backup_cell, describe_silence, load_activity, load_fleet, probe_cell
from portal.forms import InvitationForm, PersonForm
from portal.gate import list_blind_spots
from portal.invitations import send_invitation
from portal.jobs import read_pulses
from portal.people import PeopleError, current_role, invitation_url, invite, list_people, set_active, set_role
from portal.roles import ROLE_SUMMARIES
from readiness.checklist_forms import BulkForm
from readiness.checklists.assessment import assess
from readiness.checklists.next_steps import suggest_next_steps
from readiness.models import Environment
from readiness.views.language import choose_language

may_see = permission_required("readiness.view_environment", raise_exception=True)
may_manage_people = permission_required("portal.manage_people", raise_exception=True)
may_confirm_key = permission_required("portal.confirm_key", raise_exception=True)


@may_see
@require_safe
def show_dashboard(request: HttpRequest) -> HttpResponse:
    """Every environment, worst first. Asked for by htmx it is only the part that changes."""
    template = "portal/_fleet.html" if request.headers.get("HX-Request") else "portal/dashboard.html"
    context = {"fleet": load_fleet(timezone.now()), "language": choose_language(request), "page": "dashboard"}
    return render(request, template, context)


@may_see
@require_safe
def show_environment(request: HttpRequest, slug: str) -> HttpResponse:
    """One environment: verdict, checklist, probes, recovery, what happened."""
    environment = get_object_or_404(Environment.objects.select_related("owner"), slug=slug)
    now = timezone.now()
    pulses = read_pulses(now, read_lease_end())
    assessment = assess([environment], now, list_blind_spots(pulses))[environment.pk]
    facts = assessment.facts
    context = {
        "environment": environment,
        "assessment": assessment,
        "decision": assessment.decision,
        "sections": assessment.by_section(),
        "probes": [(kind, probe_cell(fact, kind), assessment.states.get(kind)) for kind, fact in facts.probes.items()],
        "proven": backup_cell(facts),
        "backups": Backup.objects.filter(environment=environment)[:5],
        "schedules": BackupSchedule.objects.filter(database__environment=environment).select_related("database"),
        "bulk_form": BulkForm(auto_id="bulk_%s") if request.user.has_perm("readiness.tick_item") else None,
        "next_steps": suggest_next_steps(assessment),
        "activity": load_activity(environment, 12),
        "silence": describe_silence(pulses),
        "language": choose_language(request),
        "tab": "checklist",
    }
    template = "portal/_environment.html" if request.headers.get("HX-Request") else "portal/environment.html"
    return render(request, template, context)


@may_manage_people
@require_safe
def show_people(request: HttpRequest) -> HttpResponse:
    return _render_people(request, InvitationForm())


@may_manage_people
@require_POST
def invite_person(request: HttpRequest) -> HttpResponse:
    """Makes the account, mails the link where mail is set up, and shows it to copy."""
    form = InvitationForm(request.POST)
    if not form.is_valid():
        return _render_people(request, form)
    try:
        person = invite(form.cleaned_data["email"], form.cleaned_data["username"], form.cleaned_data["role"])
    except PeopleError as error:
        form.add_error(None, str(error))
        return _render_people(request, form)
    audit.record("invited", actor=request.user, subject=f"{person.username} as {form.cleaned_data['role']}")
    return _show_link(request, person)


@may_manage_people
@require_POST
def show_invitation(request: HttpRequest, pk: int) -> HttpResponse:
    """A fresh link with which somebody chooses a new password."""
    person = get_object_or_404(User, pk=pk, is_active=True)
    audit.record("made a sign-in link for", actor=request.user, subject=person.username)
    return _show_link(request, person)


@may_manage_people
@require_POST
def change_person(request: HttpRequest, pk: int) -> HttpResponse:
    """Gives another role, or lets somebody in or keeps them out."""
    person = get_object_or_404(User, pk=pk)
    form = PersonForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose one of the roles.")
        return redirect("people")
    try:
        if form.cleaned_data["role"]:
            set_role(person, form.cleaned_data["role"])
            audit.record("gave a role to", actor=request.user, subject=f"{person}: {form.cleaned_data['role']}")
            messages.success(request, f"{person} is now {form.cleaned_data['role']}.")
        if form.cleaned_data["is_active"] is not None:
            set_active(person, is_active=form.cleaned_data["is_active"])
            audit.record("let in" if person.is_active else "locked out", actor=request.user, subject=str(person))
            messages.success(request, f"{person} {'may sign in again' if person.is_active else 'is locked out'}.")
    except PeopleError as error:
        messages.error(request, str(error))
    return redirect("people")


@may_confirm_key
@require_safe
def show_key(request: HttpRequest) -> HttpResponse:
    """Where the backup key lies and how to keep it elsewhere; the key itself is never on a page."""
    context = {
        "identity_path": settings.AGE_IDENTITY_FILE or keys.age_identity_path(settings.VAR_DIR),
        "recipients": settings.AGE_RECIPIENTS or [keys.age_recipient(settings.VAR_DIR)],
        "is_confirmed": notes.is_noted(notes.AGE_KEY_STORED),
    }
    return render(request, "portal/key.html", context)


@may_confirm_key
@require_POST
def confirm_key(request: HttpRequest) -> HttpResponse:
    """Someone says that the key is stored elsewhere too."""
    notes.note(notes.AGE_KEY_STORED, by=request.user.get_username())
    audit.record("confirmed that the backup key is stored elsewhere", actor=request.user)
    messages.success(request, "Noted. The banner is gone.")
    return redirect("dashboard")


@may_manage_people
@require_http_methods(["GET", "POST"])
def send_test_error(request: HttpRequest) -> HttpResponse:
    """Sends an error to the portal's own error tracker, to see it arrive there."""
    if request.method == "POST":
        event_id = error_reporting.send_test_error(str(request.user.pk))
        audit.record("sent a test error", actor=request.user)
        if event_id is None:
            messages.error(request, "SENTRY_DSN is not set, so errors go nowhere but the log.")
        else:
            messages.success(request, f"The event {event_id} is on its way.")
        return redirect("test_error")
    return render(request, "portal/test_error.html", {"has_dsn": bool(settings.SENTRY_DSN)})


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render(request, "403.html", status=403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Shown when anything may be broken, the database included: it asks nobody anything."""
    from django.template.loader import get_template

    return HttpResponse(get_template("500.html").render(), status=500)


@login_not_required
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form was too old, or cookies are off; what was typed is still in the browser's history."""
    return render(request, "403_csrf.html", status=403)


def _render_people(request: HttpRequest, form: InvitationForm) -> HttpResponse:
    people = [(person, current_role(person)) for person in list_people()]
    context: dict[str, Any] = {"people": people, "form": form, "roles": ROLE_SUMMARIES, "page": "people"}
    return render(request, "portal/people.html", context, status=400 if form.errors else 200)


def _show_link(request: HttpRequest, person: User) -> HttpResponse:
    url = invitation_url(person, request)
    context = {"person": person, "url": url, "was_mailed": send_invitation(person, url), "page": "people"}
    return render(request, "portal/invitation.html", context)
