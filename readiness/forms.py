"""What people type about environments, checked before it is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import available_timezones

from cronsim import CronSim, CronSimError
from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils.text import slugify

from portal.secrets import is_reference
from readiness.checklists.gate import KIND_TITLES
from readiness.form_fields import BytesField
from readiness.models import Database, Endpoint, Environment, MaintenanceWindow
from readiness.probes.base import TargetError, TargetOptions
from readiness.probes.registry import get_probe, list_kinds


class EnvironmentForm(forms.ModelForm):  # type: ignore[type-arg]
    """An environment's own facts. The slug is made from the name when it is left empty."""

    tags = forms.CharField(required=False, max_length=200, help_text="Separated by commas.")

    class Meta:
        model = Environment
        fields = ["name", "slug", "kind", "owner", "target_date", "tags", "ca_bundle"]
        widgets = {
            "target_date": forms.DateInput(attrs={"type": "date"}),
            "ca_bundle": forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false"}),
        }
        help_texts = {
            "slug": "Its name in addresses and on the command line; made from the name when left empty.",
            "owner": "Who is asked when something is wrong.",
            "target_date": "When it shall go live.",
            "ca_bundle": "PEM certificates of your own certificate authority, if its sites use one.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slug"].required = False
        owner = self.fields["owner"]
        assert isinstance(owner, forms.ModelChoiceField)  # noqa: S101  narrows the type
        owner.queryset = User.objects.filter(is_active=True).order_by("username")
        owner.empty_label = "nobody yet"
        if self.instance.pk:
            self.initial["tags"] = ", ".join(self.instance.tags)

    def clean_tags(self) -> list[str]:
        tags = [tag.strip() for tag in self.cleaned_data["tags"].split(",") if tag.strip()]
        if any(len(tag) > 40 for tag in tags):
            raise ValidationError("A tag has at most 40 characters.")
        return list(dict.fromkeys(tags))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        slug = cleaned.get("slug") or slugify(cleaned.get("name") or "")[:60]
        if not slug:
            self.add_error("slug", "Give a slug: the name holds no letter that could make one.")
        elif Environment.objects.filter(slug=slug).exclude(pk=self.instance.pk).exists():
            self.add_error("slug", f"There is already an environment with the slug {slug}.")
        cleaned["slug"] = slug
        return cleaned


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    """One URL; a URL that the environment has already is refused in words."""

    class Meta:
        model = Endpoint
        fields = ["role", "url", "health_path", "expected_text", "latency_budget_ms"]
        widgets = {
            "url": forms.URLInput(attrs={"placeholder": "https://app.example.org/"}),
            "health_path": forms.TextInput(attrs={"placeholder": "/health"}),
        }
        help_texts = {"health_path": "For an API: the path that answers 2xx when it is well."}

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        same = Endpoint.objects.filter(environment=self.instance.environment, url=url).exclude(pk=self.instance.pk)
        if same.exists():
            raise ValidationError("This environment has that URL already.")
        return url


class ConnectionInput(forms.TextInput):
    """Shows a reference as it is; what else was typed holds a password and is never sent back to the page."""

    def format_value(self, value: Any) -> str | None:
        text = super().format_value(value)
        return str(text) if text and is_reference(str(text)) else None


class MaintenanceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A window that happens once, or again and again."""

    class Meta:
        model = MaintenanceWindow
        fields = ["reason", "environment", "kind", "starts_at", "cron", "time_zone", "duration_minutes"]
        widgets = {"starts_at": forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")}
        labels = {"starts_at": "Starts once at", "cron": "Or starts again and again", "duration_minutes": "Minutes"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        environment = self.fields["environment"]
        assert isinstance(environment, forms.ModelChoiceField)  # noqa: S101  narrows the type
        environment.queryset = Environment.objects.active()
        environment.empty_label = "all environments"
        kinds = [("", "all probes"), *((kind, KIND_TITLES.get(kind, kind)) for kind in list_kinds())]
        self.fields["kind"] = forms.ChoiceField(choices=kinds, required=False)
        self.fields["time_zone"].initial = settings.TIME_ZONE
        self.fields["starts_at"].help_text = f"In {settings.TIME_ZONE} time."
        self.fields["time_zone"].help_text = "Of the cron expression, for example Europe/Berlin."

    def clean_cron(self) -> str:
        cron = str(self.cleaned_data["cron"] or "").strip()
        if cron:
            try:
                next(CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC)))
            except (CronSimError, StopIteration):
                raise ValidationError(
                    "This is not a cron expression; give five fields, for example 0 3 * * SUN."
                ) from None
        return cron

    def clean_time_zone(self) -> str:
        name = str(self.cleaned_data["time_zone"])
        if name not in available_timezones():
            raise ValidationError("This is not a time zone; give a name such as Europe/Berlin.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and (cleaned.get("starts_at") is None) == (not cleaned.get("cron")):
            self.add_error(None, "Give either the moment it starts once, or a cron expression.")
        return cleaned


class MuteForm(forms.Form):
    """For how long to keep quiet, and why."""

    hours = forms.TypedChoiceField(
        label="Mute for",
        coerce=int,
        choices=[(1, "1 hour"), (4, "4 hours"), (24, "1 day"), (72, "3 days"), (168, "1 week")],
    )
    reason = forms.CharField(max_length=200)


class DatabaseForm(forms.ModelForm):  # type: ignore[type-arg]
    """One database. An empty connection keeps the stored one, which is never shown again."""

    plan_storage_bytes = BytesField(
        label="Storage of the plan",
        help_text="For example 10 GB. Days until it is full are forecast.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    class Meta:
        model = Database
        fields = [
            *("name", "dsn", "application_role", "plan_connections", "plan_storage_bytes", "region"),
            "prove_on_own_server",
        ]
        widgets = {
            "dsn": ConnectionInput(
                attrs={
                    "placeholder": "postgresql://user:password@host:5432/name",
                    "autocomplete": "off",
                    "spellcheck": "false",
                    "class": "mono",
                }
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Beside the environment's own form on one page: ids are not shared.
        super().__init__(*args, **{"auto_id": "id_database_%s", **kwargs})
        if not self.instance.pk:
            self.initial["name"] = "main"
        elif self.instance.dsn:
            self.fields["dsn"].required = False
            if not is_reference(self.instance.dsn):
                self.fields["dsn"].help_text = "Leave empty to keep the stored connection."

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        same = Database.objects.filter(environment=self.instance.environment, name=name).exclude(pk=self.instance.pk)
        if same.exists():
            raise ValidationError(f"This environment has a database called {name} already.")
        return name

    def clean_dsn(self) -> str:
        dsn = str(self.cleaned_data["dsn"] or "").strip()
        if not dsn:
            return str(self.instance.dsn)
        if not is_reference(dsn):
            try:
                get_probe("postgres").parse_target(dsn, TargetOptions())
            except TargetError as error:
                raise ValidationError(str(error)) from None
        return dsn

    def full_clean(self) -> None:
        super().full_clean()
        typed = str(self.data.get(self.add_prefix("dsn")) or "").strip()
        if self.errors and "dsn" not in self.errors and typed and not is_reference(typed):
            self.add_error("dsn", "Type the connection again, too: it is not sent back to the page.")
