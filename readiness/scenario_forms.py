"""What people type about scenarios, their secrets and DNS records, and the text that a new scenario starts with."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_slug

from readiness.models import Endpoint, Environment, ExpectedRecord, Scenario, ScenarioSecret
from readiness.probes.scenarios.shipped import TEMPLATE_NAMES, read_template

_EXAMPLE_URL = "https://shop.example.org"
_EMPTY = """name = "What it proves"
base_url = "https://shop.example.org"

[[steps]]
name = "Open the first page"
url = "/"
expect.status = 200
"""
_BASE_URL = re.compile(r"^base_url = .*$", re.MULTILINE)
_SECRETS = re.compile(r"^\[secrets\].*?(?=^\[)", re.MULTILINE | re.DOTALL)


def make_draft(template: str, environment: Environment) -> str:
    """The text of a shipped template, or of an empty scenario for "", at the address of the environment's frontend.

    References are left out: stored scenarios have their secrets from ScenarioSecret rows.
    """
    frontend = environment.endpoints.filter(role=Endpoint.Role.FRONTEND).first()
    parts = urlsplit(frontend.url if frontend is not None else _EXAMPLE_URL)
    base_url = json.dumps(f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/"), ensure_ascii=False)
    text = read_template(template) if template else _EMPTY
    return _BASE_URL.sub(lambda _: f"base_url = {base_url}", _SECRETS.sub("", text))


class ScenarioAddForm(forms.Form):
    """Which template to start from, and what to call it here."""

    template = forms.ChoiceField(
        required=False,
        label="Start from",
        initial=TEMPLATE_NAMES[0],
        choices=[*((name, name.capitalize()) for name in TEMPLATE_NAMES), ("", "An empty scenario")],
    )
    name = forms.CharField(
        required=False,
        max_length=40,
        validators=[validate_slug],
        help_text="Letters, digits and dashes; the template's own when left empty, by which the checklist finds it.",
    )

    def __init__(self, *args: Any, environment: Environment, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "id_scenario_%s", **kwargs})
        self.environment = environment

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        name = cleaned.get("name") or cleaned.get("template")
        if not name:
            self.add_error("name", "Give the empty scenario a name.")
        elif Scenario.objects.filter(environment=self.environment, name=name).exists():
            self.add_error("name", f"This environment has a scenario called {name} already.")
        return {**cleaned, "name": name}


class ScenarioForm(forms.ModelForm):  # type: ignore[type-arg]
    """The steps of one scenario; what is wrong with them is one sentence that names step and field."""

    class Meta:
        model = Scenario
        fields = ["text", "is_enabled"]
        widgets = {
            "text": forms.Textarea(
                attrs={"rows": 28, "class": "mono", "spellcheck": "false", "autocapitalize": "off", "wrap": "off"}
            )
        }

    def clean_text(self) -> str:
        return str(self.cleaned_data["text"]).replace("\r\n", "\n").rstrip() + "\n"


class ScenarioSecretForm(forms.Form):
    """A secret to be stored, or to replace the one of that name; its value is never sent back."""

    name = forms.CharField(
        max_length=40,
        validators=ScenarioSecret._meta.get_field("name").validators,
        help_text="Steps send it as {{ secret.name }}.",
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )
    value = forms.CharField(
        max_length=4_000, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "id_secret_%s", **kwargs})


class ExpectedRecordForm(forms.ModelForm):  # type: ignore[type-arg]
    """What DNS should say; no values: that there is no such record."""

    values = forms.CharField(
        required=False,
        max_length=2_000,
        help_text="Separated by commas or blanks. Empty: there must be no such record.",
        widget=forms.TextInput(attrs={"class": "mono", "placeholder": "192.0.2.7, 192.0.2.8"}),
    )

    class Meta:
        model = ExpectedRecord
        fields = ["name", "type", "values"]
        widgets = {"name": forms.TextInput(attrs={"class": "mono", "placeholder": "www.example.org"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "id_record_%s", **kwargs})
        self.initial["values"] = ", ".join(self.instance.values)

    def clean_name(self) -> str:
        return str(self.cleaned_data["name"] or "").strip().rstrip(".").lower()

    def clean_values(self) -> list[str]:
        return [value for value in re.split(r"[,\s]+", self.cleaned_data["values"] or "") if value]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        same = ExpectedRecord.objects.filter(
            environment=self.instance.environment, name=cleaned.get("name", ""), type=cleaned.get("type", "")
        )
        if not self.errors and same.exists():
            raise ValidationError("This name and type is there already: remove it first.")
        return cleaned
