"""What people type about meetings, decisions and costs, checked before it is stored."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError

from readiness.checklists.decisions import TEXT_LENGTH
from readiness.models import CostEntry, CostTable, Meeting

_LOCAL_MOMENT = "%Y-%m-%dT%H:%M"


class _MomentInput(forms.DateTimeInput):
    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format=_LOCAL_MOMENT)


class MeetingForm(forms.Form):
    """When a meeting is, and what it is about beside what the portal lists by itself."""

    planned_for = forms.DateTimeField(required=False, label="When", widget=_MomentInput())
    agenda = forms.CharField(
        required=False,
        max_length=TEXT_LENGTH,
        label="Also on the agenda",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What stands in the way, waivers and missing signatures are listed by themselves.",
    )


class DecisionForm(forms.Form):
    """What a meeting decides."""

    outcome = forms.ChoiceField(label="Decision", choices=[("", "choose"), *Meeting.Outcome.choices])
    note = forms.CharField(
        required=False,
        max_length=TEXT_LENGTH,
        label="Why, and what was agreed",
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class RoleForm(forms.Form):
    """A role that must sign, and who holds it."""

    name = forms.CharField(max_length=60, label="Role", widget=forms.TextInput(attrs={"placeholder": "Product owner"}))
    person = forms.ModelChoiceField(User.objects.none(), required=False, empty_label="nobody in particular")
    group = forms.ModelChoiceField(
        Group.objects.order_by("name"), required=False, label="Or anybody of", empty_label="no group"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        person = self.fields["person"]
        assert isinstance(person, forms.ModelChoiceField)  # noqa: S101  narrows the type
        person.queryset = User.objects.filter(is_active=True).order_by("username")


class LiveForm(forms.Form):
    """Since when an environment is live; now when nothing is said."""

    live_since = forms.DateTimeField(required=False, label="Live since", widget=_MomentInput())


class CostEntryForm(forms.ModelForm):  # type: ignore[type-arg]
    """One line of a cost table. Alternatives are of one main line, in its currency."""

    class Meta:
        model = CostEntry
        fields = ["service", "plan", "amount", "currency", "period", "severity", "alternative_of", "note"]

    def __init__(self, *args: Any, table: CostTable, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        main = self.fields["alternative_of"]
        assert isinstance(main, forms.ModelChoiceField)  # noqa: S101  narrows the type
        main.queryset = table.entries.filter(alternative_of__isnull=True).exclude(pk=self.instance.pk)
        main.empty_label = "nothing"
        main.help_text = "Of a line and its alternatives only one is counted."

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        main = cleaned.get("alternative_of")
        has_alternatives = self.instance.pk is not None and self.instance.alternatives.exists()
        if main is not None and has_alternatives:
            raise ValidationError("This line has alternatives itself: take those away first.")
        currency = cleaned.get("currency")
        if main is not None and currency and currency != main.currency:
            self.add_error("currency", f"Use {main.currency}, as the line that it replaces.")
        if has_alternatives and currency and self.instance.alternatives.exclude(currency=currency).exists():
            self.add_error("currency", "Its alternatives have another currency.")
        return cleaned

    def clean_currency(self) -> str:
        return str(self.cleaned_data["currency"]).upper()
