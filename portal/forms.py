"""What administrators type about people."""

from __future__ import annotations

from django import forms
from django.contrib.auth.validators import UnicodeUsernameValidator

from portal.roles import ROLE_PERMISSIONS, STAKEHOLDER

ROLE_CHOICES = [(role, role) for role in ROLE_PERMISSIONS]


class InvitationForm(forms.Form):
    """Whom to invite, under which name, as what."""

    username = forms.CharField(label="User name", max_length=150, validators=[UnicodeUsernameValidator()])
    email = forms.EmailField(label="E-mail", max_length=254)
    role = forms.ChoiceField(choices=ROLE_CHOICES, initial=STAKEHOLDER)


class PersonForm(forms.Form):
    """What to change about somebody."""

    role = forms.ChoiceField(choices=ROLE_CHOICES, required=False)
    is_active = forms.TypedChoiceField(
        choices=[("1", "yes"), ("0", "no")], coerce=lambda value: value == "1", required=False, empty_value=None
    )
