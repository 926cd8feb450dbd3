"""The form for how one kind is probed on one environment; the page and the admin keep the same rules."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone

from readiness.claims import longest_timeout_seconds
from readiness.models import ProbeSchedule


class ScheduleForm(forms.ModelForm):  # type: ignore[type-arg]
    """How often, how patient, and how long to wait; the admin adds when a mute ends."""

    class Meta:
        model = ProbeSchedule
        fields = [
            "is_enabled",
            "interval_seconds",
            "jitter_seconds",
            "timeout_seconds",
            "failures_before_down",
            "successes_before_up",
            "retry_seconds",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "id_schedule_%s", **kwargs})

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        interval, jitter = self._read("interval_seconds"), self._read("jitter_seconds")
        if interval and jitter and jitter * 2 > interval:
            self._refuse("jitter_seconds", f"Jitter is at most half of the interval: {interval // 2} seconds.")
        longest, timeout = longest_timeout_seconds(self.instance.kind), self._read("timeout_seconds")
        if timeout and timeout > longest:
            self._refuse("timeout_seconds", f"A run may take {longest} seconds at most.")
        self._clean_mute()
        return cleaned

    def _clean_mute(self) -> None:
        until, reason = self._read("muted_until"), self._read("mute_reason")
        if until and not reason:
            self._refuse("mute_reason", "Say why it is muted.")
        if "muted_until" in self.changed_data and until and until <= timezone.now():
            self._refuse("muted_until", "A mute ends in the future; empty it to end it now.")

    def _read(self, name: str) -> Any:
        """What was typed, or what is stored where the form does not ask; None where it was wrong."""
        return self.cleaned_data.get(name) if name in self.fields else getattr(self.instance, name)

    def _refuse(self, name: str, sentence: str) -> None:
        self.add_error(name if name in self.fields else None, sentence)
