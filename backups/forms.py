"""What people type about schedules and restores, checked before anything is stored or done."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError

from backups import stores
from backups.errors import RequestError
from backups.models import Backup, BackupSchedule
from backups.names import check_restore_name
from readiness.models import Database, Environment


class DatabaseChoiceField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A choice among the databases of one environment, by the name people gave them."""

    def label_from_instance(self, obj: Database) -> str:
        return obj.name


class ScheduleForm(forms.ModelForm):  # type: ignore[type-arg]
    """When a database is backed up by itself."""

    class Meta:
        model = BackupSchedule
        fields = ["database", "cron", "time_zone", "is_enabled"]
        help_texts = {"cron": "Minute, hour, day, month, weekday: 30 2 * * * is every night at 2:30."}

    def __init__(self, *args: Any, environment: Environment, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["database"] = DatabaseChoiceField(
            Database.objects.filter(environment=environment), empty_label=None
        )
        self.fields["time_zone"].initial = settings.TIME_ZONE
        self.fields["time_zone"].widget = forms.Select(choices=[(name, name) for name in sorted(available_timezones())])


class FullScheduleForm(ScheduleForm):
    """The same with all that a schedule may be told."""

    stores = forms.MultipleChoiceField(
        label="Stores",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="One copy in each. None for the default.",
    )

    class Meta(ScheduleForm.Meta):
        fields = [
            *ScheduleForm.Meta.fields,
            *("covers_server", "skip_databases", "only", "without", "with_globals", "stores"),
            *("retries", "jitter_minutes", "quiet_from", "quiet_until"),
        ]
        widgets = {
            **{
                name: forms.Textarea(attrs={"class": "mono", "rows": 3, "spellcheck": "false"})
                for name in ("skip_databases", "only", "without")
            },
            **{name: forms.TimeInput(attrs={"type": "time"}, format="%H:%M") for name in ("quiet_from", "quiet_until")},
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = stores.order_stores([*stores.list_stores(), *self.instance.stores])
        self.fields["stores"].choices = [(name, self._label(name)) for name in names]  # type: ignore[attr-defined]

    @staticmethod
    def _label(name: str) -> str:
        return f"{name} (default)" if name in stores.default_stores() else name


class RetentionForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a schedule keeps; every field may stay empty, and all empty keeps everything."""

    class Meta:
        model = BackupSchedule
        fields = [
            "keep_last",
            "keep_days",
            "keep_hourly",
            "keep_daily",
            "keep_weekly",
            "keep_monthly",
            "keep_yearly",
            "max_megabytes",
        ]


class ReplaceForm(forms.Form):
    """In the place of which database in use, masked how, alone or not; confirmed by typing the environment's name."""

    into = forms.ModelChoiceField(Database.objects.none(), label="Database to replace", empty_label=None)
    masking_sql = forms.CharField(
        label="Masking script",
        required=False,
        help_text="SQL that runs in the restored database, in one transaction, before anybody can connect.",
        widget=forms.Textarea(attrs={"class": "mono", "rows": 3, "spellcheck": "false"}),
    )
    skips_safety_backup = forms.BooleanField(
        label="Without a safety backup", required=False, help_text="Only where the database in use cannot be read."
    )
    break_glass_reason = forms.CharField(
        label="Break the glass, because",
        required=False,
        max_length=300,
        help_text="Leave it empty to wait for a second operator. A reason starts at once and tells all administrators.",
    )
    confirmation = forms.CharField(
        label="Type the name of the environment that is changed", widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        databases = Database.objects.filter(environment__retired_at__isnull=True).select_related("environment")
        self.fields["into"].queryset = databases.defer("dsn")  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        into, typed = cleaned.get("into"), str(cleaned.get("confirmation", "")).strip()
        if into is not None and typed and typed != into.environment.name:
            self.add_error("confirmation", f"This is not “{into.environment.name}”; nothing was changed.")
        return cleaned


class RestoreForm(forms.Form):
    """Into which new database, confirmed by typing the environment's name."""

    target = forms.CharField(
        label="New database",
        max_length=63,
        help_text="It must not exist yet; the database in use stays untouched.",
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )
    confirmation = forms.CharField(
        label="Type the environment’s name to confirm", widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, backup: Backup, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.backup = backup
        self.fields["confirmation"].help_text = f"{backup.environment_name}"

    def clean_target(self) -> str:
        target = str(self.cleaned_data["target"])
        try:
            check_restore_name(target)
        except RequestError as error:
            raise ValidationError(str(error)) from None
        return target

    def clean_confirmation(self) -> str:
        typed = str(self.cleaned_data["confirmation"]).strip()
        if typed != self.backup.environment_name:
            raise ValidationError(f"This is not “{self.backup.environment_name}”; nothing was restored.")
        return typed
