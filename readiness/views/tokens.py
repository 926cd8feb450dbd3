"""The page on which API tokens are made, shown once, and revoked."""

from __future__ import annotations

from datetime import datetime, time

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from portal import audit
from readiness import tokens
from readiness.checklist_forms import DateInput
from readiness.models import ApiToken, Environment
from readiness.views.checklists import read_person

may_manage = permission_required("readiness.manage_apitoken", raise_exception=True)


class TokenForm(forms.Form):
    """What a token is for."""

    name = forms.CharField(max_length=80, help_text="What uses it, for example “GitHub Actions of the shop”.")
    environment = forms.ModelChoiceField(Environment.objects.active(), required=False, empty_label="all environments")
    scopes = forms.MultipleChoiceField(label="May", choices=ApiToken.Scope.choices, widget=forms.CheckboxSelectMultiple)
    expires_on = forms.DateField(label="Until", required=False, widget=DateInput())

    def clean_expires_on(self) -> datetime | None:
        """The end of that day."""
        day = self.cleaned_data["expires_on"]
        if day is None:
            return None
        if day < timezone.localdate():
            raise forms.ValidationError("This day has passed.")
        return timezone.make_aware(datetime.combine(day, time.max))


@may_manage
@never_cache
@require_http_methods(["GET", "POST"])
def show_tokens(request: HttpRequest) -> HttpResponse:
    """All tokens; a new one is shown with the answer to its form, and never again."""
    form, made = TokenForm(request.POST or None), None
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data
        made = tokens.make_token(
            typed["name"],
            typed["scopes"],
            environment=typed["environment"],
            by=read_person(request),
            now=timezone.now(),
            expires_at=typed["expires_on"],
        )
        audit.record(
            "made the API token",
            actor=request.user,
            environment=typed["environment"],
            subject=str(made.token),
            detail={"scopes": typed["scopes"]},
        )
        form = TokenForm()
    context = {
        "tokens": ApiToken.objects.select_related("environment", "created_by"),
        "form": form,
        "made": made,
        "now": timezone.now(),
        "page": "tokens",
    }
    return render(request, "readiness/tokens.html", context, status=400 if form.errors else 200)


@may_manage
@require_POST
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(ApiToken, pk=pk)
    if tokens.revoke_token(token.pk, timezone.now()):
        audit.record("revoked the API token", actor=request.user, environment=token.environment, subject=str(token))
        messages.success(request, f"{token.name} is let in no more.")
    return redirect("tokens")
