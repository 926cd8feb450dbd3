"""Waivers in the browser; writes through the workflow only."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from readiness.checklist_forms import WaiverForm
from readiness.checklists import workflow
from readiness.checklists.workflow import WorkflowError
from readiness.models import Environment, Waiver
from readiness.views.checklists import may_approve_waiver, may_tick, read_person, render_item_error

_DECISIONS = {
    "approve": (workflow.approve_waiver, "The waiver is in force."),
    "reject": (workflow.reject_waiver, "The waiver is rejected."),
    "revoke": (workflow.revoke_waiver, "The waiver is revoked: the item counts again."),
}


@may_tick
@require_POST
def request_waiver(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    environment = get_object_or_404(Environment, slug=slug)
    form = WaiverForm(request.POST)
    if not form.is_valid():
        return render_item_error(request, environment, key, "A waiver needs a reason, the risk, and its last day.")
    typed = form.cleaned_data
    try:
        workflow.request_waiver(
            environment,
            key,
            reason=typed["reason"],
            risk=typed["risk"],
            expires_on=typed["expires_on"],
            by=read_person(request),
        )
    except WorkflowError as error:
        return render_item_error(request, environment, key, str(error))
    messages.success(request, "Somebody else has to approve the waiver now.")
    return redirect("item", slug, key)


@may_approve_waiver
@require_POST
def decide_waiver(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Approves, rejects or revokes."""
    environment = get_object_or_404(Environment, slug=slug)
    waiver = get_object_or_404(Waiver, environment=environment, pk=pk)
    decide, sentence = _DECISIONS.get(request.POST.get("decision", ""), (None, ""))
    if decide is None:
        return render_item_error(request, environment, waiver.key, "A waiver can be approved, rejected or revoked.")
    try:
        decide(environment, pk, by=read_person(request), note=request.POST.get("note", ""))
    except WorkflowError as error:
        return render_item_error(request, environment, waiver.key, str(error))
    messages.success(request, sentence)
    return redirect("item", slug, waiver.key)
