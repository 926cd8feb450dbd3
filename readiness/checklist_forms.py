"""What people fill in about checklist items; the workflow judges it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.utils import timezone

from readiness.checklists.life import Action
from readiness.checklists.workflow import COMMENT_LENGTH
from readiness.models import Waiver

STEPS = [(action.value, action.value) for action in Action if action not in {Action.VERIFY, Action.AGE}]
BULK_STEPS = [
    ("start", "Start"),
    ("approve", "Approve"),
    ("assign", "Give to"),
    ("plan", "Due on"),
    ("waive", "Ask for a waiver"),
    ("approve_waiver", "Approve the waiver"),
]


class DateInput(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class StepForm(forms.Form):
    """One step with one item, at the version that was seen."""

    action = forms.ChoiceField(choices=STEPS)
    version = forms.IntegerField(min_value=0)
    note = forms.CharField(required=False)
    evidence_url = forms.CharField(required=False)
    evidence_note = forms.CharField(required=False)
    attachment = forms.IntegerField(required=False)
    file = forms.FileField(required=False, allow_empty_file=True)


class AssignmentForm(forms.Form):
    """Who cares for an item, and until when."""

    owner = forms.ModelChoiceField(User.objects.none(), required=False, empty_label="nobody")
    due_on = forms.DateField(label="Due", required=False, widget=DateInput())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        owner = self.fields["owner"]
        assert isinstance(owner, forms.ModelChoiceField)  # noqa: S101  it is declared above
        owner.queryset = User.objects.filter(is_active=True).order_by("username")


class PlanForm(AssignmentForm):
    """The same of one item, at the version that was seen."""

    version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)


class BulkForm(AssignmentForm):
    """One step with several items, each at the version that was seen."""

    action = forms.ChoiceField(label="With the marked items", choices=BULK_STEPS)
    reason = forms.CharField(label="Reason of the waiver", required=False, max_length=COMMENT_LENGTH)
    risk = forms.CharField(label="Risk of the waiver", required=False, max_length=COMMENT_LENGTH)
    expires_on = forms.DateField(label="Waived until", required=False, widget=DateInput())
    field_order = ("action", "owner", "due_on", "reason", "risk", "expires_on")


class WaiverForm(forms.Form):
    """Why to go live without an item, what may come of it, and until when that holds."""

    reason = forms.CharField(max_length=COMMENT_LENGTH, widget=forms.Textarea(attrs={"rows": 2}))
    risk = forms.CharField(max_length=COMMENT_LENGTH, widget=forms.Textarea(attrs={"rows": 2}))
    expires_on = forms.DateField(
        label="Until", widget=DateInput(), help_text=f"{Waiver.LONGEST.days} days from today at most."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["expires_on"].initial = timezone.localdate() + timedelta(days=30)
