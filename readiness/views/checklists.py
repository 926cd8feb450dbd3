"""The checklist in the browser: ticking, unticking, commenting; writes through the workflow only."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from readiness.checklists import workflow
from readiness.checklists.assessment import assess
from readiness.checklists.workflow import WorkflowError
from readiness.models import Environment, ItemEvent
from readiness.views.language import choose_language

may_tick = permission_required("readiness.tick_item", raise_exception=True)


@permission_required("readiness.view_environment", raise_exception=True)
@require_safe
def show_item(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """One item: why, how, what verifies it, where it stands, and everything that was done to it."""
    environment = get_object_or_404(Environment, slug=slug)
    assessment = assess([environment], timezone.now())[environment.pk]
    standing = next((one for one in assessment.standings if one.item.key == key), None)
    if standing is None:
        raise Http404
    context = {
        "environment": environment,
        "standing": standing,
        "item": standing.item,
        "section": next(section for section in assessment.template.sections if section.key == standing.item.section),
        "events": ItemEvent.objects.filter(environment=environment, key=key)[:100],
        "language": choose_language(request),
        "comment_length": workflow.COMMENT_LENGTH,
    }
    return render(request, "readiness/item.html", context)


@may_tick
@require_POST
def tick_item(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """Ticks or unticks; the page it came from is shown again."""
    environment = get_object_or_404(Environment, slug=slug)
    try:
        workflow.set_ticked(environment, key, is_ticked=request.POST.get("ticked") == "1", by=_person(request))
    except WorkflowError as error:
        messages.error(request, str(error))
    if request.POST.get("from") == "item":
        return redirect("item", slug, key)
    return redirect("environment", slug)


@may_tick
@require_POST
def comment_item(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    environment = get_object_or_404(Environment, slug=slug)
    try:
        workflow.comment(environment, key, request.POST.get("text", ""), by=_person(request))
    except WorkflowError as error:
        messages.error(request, str(error))
    return redirect("item", slug, key)


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  the permission decorator has seen to it
    return request.user
