"""The form for where the health of one database turns from pass to warn to fail."""

from __future__ import annotations

from typing import Any

from django import forms

from readiness.form_fields import BytesField, write_bytes
from readiness.models import Database
from readiness.probes.postgres_health.thresholds import DEFAULTS, SECTIONS, Line, find_threshold_faults

Row = tuple[Line, list[forms.BoundField]]


class ThresholdForm(forms.Form):
    """One field for each threshold; what is left empty keeps its default. ``database`` is where changes are stored."""

    def __init__(self, *args: Any, database: Database, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.database = database
        self.initial = {**database.thresholds, **(self.initial or {})}
        for _, lines in SECTIONS:
            for line in lines:
                for name in line.names:
                    self.fields[name] = _make_field(line, name)

    def list_sections(self) -> list[tuple[str, list[Row]]]:
        """The fields as the page shows them: by section, a line for what warns and what fails."""
        return [(title, [(line, [self[name] for name in line.names]) for line in lines]) for title, lines in SECTIONS]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            for name, fault in find_threshold_faults(self.read_changes()):
                self.add_error(name, f"{fault[:1].upper()}{fault[1:]}.")
        return cleaned

    def read_changes(self) -> dict[str, float]:
        """What departs from the defaults, by name."""
        return {
            name: int(value) if float(value).is_integer() else value
            for name, value in self.cleaned_data.items()
            if value is not None and value != getattr(DEFAULTS, name)
        }

    def save(self) -> Database:
        """Stores the changes and nothing else of the database."""
        self.database.thresholds = self.read_changes()
        self.database.save(update_fields=["thresholds"])
        return self.database


def _make_field(line: Line, name: str) -> forms.Field:
    default, level = getattr(DEFAULTS, name), {"warn": "warns", "fail": "fails"}.get(name.split("_")[-2], "")
    attrs = {"autocomplete": "off", "aria-label": " ".join(part for part in (line.title, level) if part)}
    if line.unit == "bytes":
        return BytesField(widget=forms.TextInput(attrs={**attrs, "placeholder": write_bytes(default)}))
    attrs |= {"placeholder": f"{default:.15g}", "step": "any", "inputmode": "decimal"}
    return forms.FloatField(required=False, min_value=0, max_value=1e12, widget=forms.NumberInput(attrs=attrs))
