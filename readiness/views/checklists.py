"""The checklist in the browser: steps, plans, comments, files; writes through the workflow only."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_POST, require_safe

from readiness.checklist_forms import BulkForm, PlanForm, StepForm, WaiverForm
from readiness.checklists import workflow
from readiness.checklists.assessment import assess
from readiness.checklists.life import Action, State
from readiness.checklists.workflow import ConflictError, Exhibit, WorkflowError
from readiness.checklists.workflow.attachments import TYPES
from readiness.checklists.workflow.items import find_item, list_actions
from readiness.models import Attachment, Environment, ItemEvent, ItemState, Waiver
from readiness.views.language import choose_language

may_tick = permission_required("readiness.tick_item", raise_exception=True)
may_approve_waiver = permission_required("readiness.approve_waiver", raise_exception=True)
MOST_MARKED = 500
_SHOWN = 100


@permission_required("readiness.view_environment", raise_exception=True)
@require_safe
def show_item(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """One item: why, how, what verifies it, where it stands, and everything that was done to it."""
    return _render_item(request, get_object_or_404(Environment, slug=slug), key)


@may_tick
@require_POST
def move_item(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """One step with one item. What cannot be done is said above what was typed; a conflict shows both versions."""
    environment = get_object_or_404(Environment, slug=slug)
    form = StepForm(request.POST, request.FILES)
    if not form.is_valid():
        return _render_item(request, environment, key, "This step was not understood; the page is fresh now.")
    typed = form.cleaned_data
    person = read_person(request)
    try:
        attachment_id = typed["attachment"]
        if typed["file"]:
            attachment_id = workflow.attach(environment, key, typed["file"], by=person).pk
        state = workflow.move(
            environment,
            key,
            Action(typed["action"]),
            by=person,
            version=typed["version"],
            note=typed["note"],
            evidence=Exhibit(typed["evidence_url"], typed["evidence_note"], attachment_id),
        )
    except ConflictError as conflict:
        return _render_conflict(request, environment, key, conflict)
    except WorkflowError as error:
        return _render_item(request, environment, key, str(error))
    messages.success(request, f"The item is {state.get_state_display()} now.")
    return redirect("item", slug, key)


@may_tick
@require_POST
def plan_item(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """Gives an item its owner and its due date."""
    environment = get_object_or_404(Environment, slug=slug)
    form = PlanForm(request.POST)
    if not form.is_valid():
        return _render_item(request, environment, key, "Choose one of the people, and a date such as 2026-12-31.")
    person, typed = read_person(request), form.cleaned_data
    try:
        state = workflow.assign(environment, key, typed["owner"], by=person, version=typed["version"])
        workflow.plan(environment, key, typed["due_on"], by=person, version=state.version)
    except ConflictError as conflict:
        return _render_conflict(request, environment, key, conflict)
    except WorkflowError as error:
        return _render_item(request, environment, key, str(error))
    return redirect("item", slug, key)


@may_tick
@require_POST
def comment_item(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    environment = get_object_or_404(Environment, slug=slug)
    try:
        workflow.comment(environment, key, request.POST.get("text", ""), by=read_person(request))
    except WorkflowError as error:
        return _render_item(request, environment, key, str(error))
    return redirect("item", slug, key)


@may_tick
@require_POST
def attach_to_item(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    environment = get_object_or_404(Environment, slug=slug)
    file = request.FILES.get("file")
    try:
        if file is None:
            raise WorkflowError("Choose a file first.")
        workflow.attach(environment, key, file, by=read_person(request))
    except WorkflowError as error:
        return _render_item(request, environment, key, str(error))
    return redirect("item", slug, key)


@permission_required("readiness.view_itemstate", raise_exception=True)
@require_safe
def download_attachment(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The file, to be saved: no browser shows it or guesses what it is."""
    attachment = get_object_or_404(Attachment, environment__slug=slug, pk=pk)
    data = workflow.read_attachment(attachment)
    if data is None:
        raise Http404
    response = HttpResponse(data, content_type="application/octet-stream")
    response.headers["Content-Disposition"] = content_disposition_header(True, attachment.name) or "attachment"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Cache-Control"] = "private, no-store"
    return response


@may_tick
@require_POST
def change_items(request: HttpRequest, slug: str) -> HttpResponse:
    """One step with every item that was marked; each stands for itself, and what was not done is named."""
    environment = get_object_or_404(Environment, slug=slug)
    form, marked = BulkForm(request.POST), request.POST.getlist("item")
    if not form.is_valid() or not marked:
        messages.error(request, "Mark at least one item, and choose what to do with them.")
        return redirect("environment", slug)
    if len(marked) > MOST_MARKED:
        messages.error(request, f"At most {MOST_MARKED} items are changed at once; nothing was changed.")
        return redirect("environment", slug)
    done, refused = 0, []
    for one in marked:
        key, _, version = one.rpartition("@")
        try:
            _change_one(environment, key, int(version) if version.isdigit() else -1, form, read_person(request))
            done += 1
        except WorkflowError as error:
            refused.append(f"{key}: {error}")
    if done:
        messages.success(request, f"{done} {'item' if done == 1 else 'items'} changed.")
    for sentence in refused:
        messages.error(request, sentence)
    return redirect("environment", slug)


def read_person(request: HttpRequest) -> User:
    """Whoever is signed in; the permission decorators have seen to it that somebody is."""
    return cast(User, request.user)


def render_item_error(request: HttpRequest, environment: Environment, key: str, error: str) -> HttpResponse:
    """The item's page with what went wrong, for views of its parts."""
    return _render_item(request, environment, key, error)


def _change_one(environment: Environment, key: str, version: int, form: BulkForm, person: User) -> None:
    typed = form.cleaned_data
    if typed["action"] == "assign":
        workflow.assign(environment, key, typed["owner"], by=person, version=version)
    elif typed["action"] == "plan":
        workflow.plan(environment, key, typed["due_on"], by=person, version=version)
    elif typed["action"] == "waive":
        if typed["expires_on"] is None:
            raise WorkflowError("A waiver needs its last day.")
        wanted = {name: typed[name] for name in ("reason", "risk", "expires_on")}
        workflow.request_waiver(environment, key, by=person, **wanted)
    elif typed["action"] == "approve_waiver":
        if not person.has_perm("readiness.approve_waiver"):
            raise WorkflowError("You may not approve waivers.")
        workflow.approve_waiver(environment, _find_pending(environment, key), by=person)
    else:
        workflow.move(environment, key, Action(typed["action"]), by=person, version=version)


def _find_pending(environment: Environment, key: str) -> int:
    waiver = Waiver.objects.filter(environment=environment, key=key, state=Waiver.State.PENDING).first()
    if waiver is None:
        raise WorkflowError("There is no waiver to approve.")
    return waiver.pk


def _render_item(request: HttpRequest, environment: Environment, key: str, error: str = "") -> HttpResponse:
    """The item's page; with ``error`` it holds what was typed, and its status is 400."""
    assessment = assess([environment], timezone.now())[environment.pk]
    standing = next((one for one in assessment.standings if one.item.key == key), None)
    if standing is None:
        raise Http404
    state = (
        ItemState.objects.select_related("owner", "changed_by", "evidence_file")
        .prefetch_related("approvals")
        .filter(environment=environment, key=key)
        .first()
    ) or ItemState(environment=environment, key=key)
    typed = request.POST if error else None
    waivers = list(Waiver.objects.filter(environment=environment, key=key)[:20])
    is_allowed = request.user.has_perm("readiness.tick_item")
    context: dict[str, Any] = {
        "environment": environment,
        "standing": standing,
        "item": standing.item,
        "state": state,
        "error": error,
        "typed": typed,
        "actions": set(list_actions(standing.item, state, read_person(request))) if is_allowed else set(),
        "approvals_wanted": max(1, standing.item.approvals) if state.asks_not_applicable else standing.item.approvals,
        "plan_form": PlanForm(
            initial={"version": state.version, "owner": state.owner_id, "due_on": state.due_on}, auto_id="plan_%s"
        ),
        "waiver_form": WaiverForm(typed if typed is not None and "risk" in typed else None, auto_id="waiver_%s"),
        "waivers": waivers,
        "can_ask_waiver": not standing.is_done and not any(waiver.state in Waiver.LIVE for waiver in waivers),
        "attachments": Attachment.objects.filter(environment=environment, key=key)[:_SHOWN],
        "file_types": ",".join(TYPES),
        "section": next(section for section in assessment.template.sections if section.key == standing.item.section),
        "events": ItemEvent.objects.filter(environment=environment, key=key)[:_SHOWN],
        "language": choose_language(request),
        "comment_length": workflow.COMMENT_LENGTH,
    }
    return render(request, "readiness/item.html", context, status=400 if error else 200)


def _render_conflict(request: HttpRequest, environment: Environment, key: str, conflict: ConflictError) -> HttpResponse:
    """Both versions side by side, with what was typed; it can be done again on what is there now."""
    events = list(
        ItemEvent.objects.filter(environment=environment, key=key, version__gte=conflict.seen_version).exclude(
            version=0
        )[:_SHOWN]
    )
    seen = next((event.to_state for event in events if event.version == conflict.seen_version and event.to_state), "")
    names = ("action", "note", "evidence_url", "evidence_note", "attachment", "owner", "due_on")
    current = conflict.current
    context = {
        "environment": environment,
        "item": find_item(environment, key),
        "current": current,
        "seen_version": conflict.seen_version,
        "seen_state": State(seen) if seen else None,
        "news": [event for event in events if event.version > conflict.seen_version],
        "typed": [(name, request.POST[name]) for name in names if request.POST.get(name)],
        "again": request.path,
        "language": choose_language(request),
    }
    return render(request, "readiness/conflict.html", context, status=409)
