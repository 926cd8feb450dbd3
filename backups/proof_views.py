"""Pages of what an owner asserts about a restored copy: add, see, take away."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from backups.forms import AssertionForm
from backups.models import ProofAssertion
from portal import audit
from readiness.models import Environment

may_take = permission_required("backups.take_backup", raise_exception=True)


@may_take
@require_http_methods(["GET", "HEAD", "POST"])
def show_assertions(request: HttpRequest, slug: str) -> HttpResponse:
    """What a proof asks of every restored copy, and a form for more; a new one is tried on the database itself."""
    environment = get_object_or_404(Environment, slug=slug)
    form = AssertionForm(request.POST or None, environment=environment)
    if request.method == "POST" and form.is_valid():
        assertion = form.save()
        detail = {"sql": assertion.sql}
        audit.record("asserts of", actor=request.user, environment=environment, subject=str(assertion), detail=detail)
        messages.success(request, "Saved. Every proof from now on asks it.")
        return redirect("proof_assertions", slug)
    context = {
        "environment": environment,
        "assertions": ProofAssertion.objects.filter(database__environment=environment).select_related("database"),
        "form": form,
        "tab": "backups",
    }
    return render(request, "backups/assertions.html", context, status=400 if form.errors else 200)


@may_take
@require_POST
def remove_assertion(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    assertion = get_object_or_404(ProofAssertion, database__environment__slug=slug, pk=pk)
    environment = assertion.database.environment
    assertion.delete()
    audit.record("no longer asserts of", actor=request.user, environment=environment, subject=str(assertion))
    return redirect("proof_assertions", slug)
