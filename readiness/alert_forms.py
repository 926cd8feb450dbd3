"""What people type about channels and rules, checked before it is stored."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import transaction

from portal.secrets import SecretError, is_reference
from readiness.alerts.transports import explain_bad_address
from readiness.models import AlertRule, Channel, NoticeSettings, OnCallRota, OnCallTurn
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
            *("rota", "cooldown_minutes", "remind_minutes", "escalate_minutes", "escalate_to", "is_enabled"),
        ]
        widgets = {"channels": forms.CheckboxSelectMultiple}
        labels = {
            "threshold": "Threshold (days of a certificate, errors a minute, minutes late)",
            "group_seconds": "Seconds to gather messages",
            "cooldown_minutes": "Minutes of cool-down",
            "remind_minutes": "Minutes between reminders",
            "escalate_minutes": "Minutes until escalation",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        environment = self.fields["environment"]
        assert isinstance(environment, forms.ModelChoiceField)  # noqa: S101  narrows the type
        environment.empty_label = "every environment"
        for name in ("channels", "escalate_to"):
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)  # noqa: S101  narrows the type
            field.queryset = Channel.objects.filter(removed_at__isnull=True)


PLACES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


class RotaForm(forms.ModelForm):  # type: ignore[type-arg]
    """One rota; the channels take turns in the order of the fields, empty ones are left out."""

    class Meta:
        model = OnCallRota
        fields = ["name", "starts_at", "turn_hours"]
        widgets = {"starts_at": forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        turns = list(self.instance.turns.all()) if self.instance.pk else []
        for number, name in enumerate(PLACES):
            self.fields[name] = forms.ModelChoiceField(
                Channel.objects.filter(removed_at__isnull=True),
                required=number == 0,
                initial=turns[number].channel_id if number < len(turns) else None,
                empty_label="nobody",
            )

    def save(self, commit: bool = True) -> OnCallRota:
        with transaction.atomic():
            rota: OnCallRota = super().save(commit=True)
            rota.turns.all().delete()
            channels = [channel for name in PLACES if (channel := self.cleaned_data.get(name)) is not None]
            OnCallTurn.objects.bulk_create(
                OnCallTurn(rota=rota, channel=channel, position=position) for position, channel in enumerate(channels)
            )
        return rota


class NoticeForm(forms.ModelForm):  # type: ignore[type-arg]
    """What one person wants to be told."""

    class Meta:
        model = NoticeSettings
        fields = ["language", "wants_notices", "wants_weekly"]
