"""What the person who is signed in wants to be told by mail; writes their NoticeSettings."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from readiness.alert_forms import NoticeForm
from readiness.models import NoticeSettings


@permission_required("readiness.view_environment", raise_exception=True)
@require_http_methods(["GET", "POST"])
def change_notices(request: HttpRequest) -> HttpResponse:
    person = request.user
    assert isinstance(person, User)  # noqa: S101  the permission wants an account
    stored = NoticeSettings.objects.filter(person=person).first() or NoticeSettings(person=person)
    form = NoticeForm(request.POST or None, instance=stored)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("my_notices")
    context = {"form": form, "address": person.email, "page": "notices"}
    return render(request, "readiness/notices.html", context, status=400 if form.errors else 200)
