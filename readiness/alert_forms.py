"""What people type about channels and rules, checked before it is stored."""

from __future__ import annotations

from typing import Any

from django import forms

from portal.secrets import SecretError, is_reference
from readiness.alerts.transports import explain_bad_address
from readiness.models import AlertRule, Channel
from readiness.tracker_forms import SecretInput


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]
    """One channel. An empty address keeps the stored one, which is shown again for e-mail only."""

    class Meta:
        model = Channel
        fields = ["name", "kind", "address", "language", "is_enabled"]
        widgets = {"address": SecretInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["address"].required = False
            self.fields["address"].help_text = "Leave empty to keep the stored one."

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        address = str(cleaned.get("address") or "").strip()
        kind = cleaned.get("kind")
        if address and not is_reference(address) and kind:
            why = explain_bad_address(kind, address)
            if why:
                self.add_error("address", why)
        elif not address and self.instance.pk:
            if kind != self.initial.get("kind"):
                self.add_error("address", "Another kind needs another address.")
            try:
                address = str(self.instance.address)
            except SecretError:
                self.add_error("address", "No key opens the stored address any more: type it again.")
        cleaned["address"] = address
        return cleaned

    def save(self, commit: bool = True) -> Channel:
        channel: Channel = super().save(commit=False)
        if channel.is_enabled:
            channel.permanent_failures, channel.disabled_why = 0, ""
        if commit:
            channel.save()
        return channel


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = AlertRule
        fields = [
            *("name", "kind", "environment", "threshold", "severity", "schedule", "channels", "group_seconds"),
            *("cooldown_minutes", "remind_minutes", "escalate_minutes", "escalate_to", "is_enabled"),
        ]
        widgets = {"channels": forms.CheckboxSelectMultiple}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        environment = self.fields["environment"]
        assert isinstance(environment, forms.ModelChoiceField)  # noqa: S101  narrows the type
        environment.empty_label = "every environment"
