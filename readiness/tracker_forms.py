"""What people type about error trackers, checked before it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from portal.secrets import SecretError, is_reference
from readiness.models import Tracker
from readiness.trackers.base import ProjectFound


class SecretInput(forms.TextInput):
    """Shows a reference as it is; a secret that was typed is never sent back to the page."""

    def format_value(self, value: Any) -> str | None:
        text = super().format_value(value)
        return str(text) if text and is_reference(str(text)) else None


class TrackerForm(forms.ModelForm):  # type: ignore[type-arg]
    """An environment's tracker and its projects by role. An empty token keeps the stored one."""

    backend = forms.CharField(max_length=100, required=False, label="Backend project")
    frontend = forms.CharField(max_length=100, required=False, label="Frontend project")
    offered: Mapping[str, Sequence[str]] = {}

    class Meta:
        model = Tracker
        fields = ["provider", "url", "organization", "token", "tracker_environment", "monthly_quota", "allow_http"]
        widgets = {
            "url": forms.URLInput(attrs={"placeholder": "https://sentry.example.org"}),
            "token": SecretInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
        }
        help_texts = {"organization": "Its slug; Bugsink has none.", "url": "Without /api."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["backend"].help_text = self.fields["frontend"].help_text = "Its slug or id in the tracker."
        if self.instance.pk:
            self.fields["token"].required = False
            self.fields["token"].help_text = "Leave empty to keep the stored token."
            for project in self.instance.projects.all():
                self.initial[project.role] = project.name

    def clean_url(self) -> str:
        return str(self.cleaned_data["url"]).rstrip("/")

    def clean_token(self) -> str:
        token = str(self.cleaned_data["token"] or "").strip()
        if token:
            return token
        try:
            return str(self.instance.token)
        except SecretError:
            raise ValidationError("No key opens the stored token any more: type it again.") from None

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        url = cleaned.get("url") or ""
        if url.startswith("http:") and not cleaned.get("allow_http"):
            self.add_error("url", "Plain HTTP sends the token unencrypted: use https, or allow it below.")
        if cleaned.get("provider") != Tracker.Provider.BUGSINK and not cleaned.get("organization"):
            self.add_error("organization", "Give the organisation's slug.")
        if self.instance.pk and not self.data.get("token") and {"url"} & set(self.changed_data):
            # Else whoever may change the address could have the stored token sent to a host of their own.
            self.add_error("token", "Type the token again: it is only sent to the address it was stored for.")
        return cleaned

    def offer(self, organizations: Sequence[str], projects: Sequence[ProjectFound]) -> None:
        """Lets people pick what a test has found; what they type themselves stays possible."""
        self.offered = {"organizations": organizations, "projects": [one.slug or one.name for one in projects]}
        for name, offered in (("organization", "organizations"), ("backend", "projects"), ("frontend", "projects")):
            if self.offered[offered]:
                self.fields[name].widget.attrs["list"] = offered

    def list_projects(self) -> list[tuple[str, str]]:
        """(role, name) of the projects that were typed."""
        roles = ("backend", "frontend")
        found = [(role, str(self.cleaned_data.get(role) or "").strip()) for role in roles]
        names: dict[str, str] = {}
        for role, name in found:
            if name:
                names.setdefault(name, role)
        return [(role, name) for name, role in names.items()]
