"""What people type about schedules and restores, checked before anything is stored or done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation, ValidationError

from backups import proof_checks, servers, storage, stores
from backups.errors import JobError, RequestError
from backups.models import Backup, BackupSchedule, ProofAssertion
from backups.names import check_restore_name, check_side_schema, split_table
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


def _break_glass_field(otherwise: str) -> forms.CharField:
    return forms.CharField(
        label="Break the glass, because",
        required=False,
        max_length=300,
        help_text=f"{otherwise} A reason starts at once and tells all administrators.",
    )


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
    break_glass_reason = _break_glass_field("Leave it empty to wait for a second operator.")
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


class _IntoForm(forms.Form):
    """What both ways of restoring beside ask: on whose server, masked how, confirmed by the environment's name."""

    into = forms.ModelChoiceField(Database.objects.none(), label="On the server of", required=False)
    masking_sql = forms.CharField(
        label="Masking script",
        required=False,
        help_text="SQL that runs on what was restored, in one transaction, before anybody can connect.",
        widget=forms.Textarea(attrs={"class": "mono", "rows": 3, "spellcheck": "false"}),
    )
    break_glass_reason = _break_glass_field("Only where a second operator has to approve; else leave it empty.")
    confirmation = forms.CharField(
        label="Type the environment’s name to confirm", widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, backup: Backup, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.backup = backup
        databases = Database.objects.filter(environment__retired_at__isnull=True).select_related("environment")
        self.fields["into"] = forms.ModelChoiceField(
            databases.defer("dsn"),
            label=self.fields["into"].label,
            required=backup.database_id is not None,
            empty_label=None if backup.database_id else "Choose one",
        )
        last = ["masking_sql", "break_glass_reason", "confirmation"]
        self.order_fields([name for name in self.fields if name not in last] + last)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        into, typed = cleaned.get("into"), str(cleaned.get("confirmation", "")).strip()
        name = into.environment.name if into else self.backup.environment_name
        if typed and typed != name:
            self.add_error("confirmation", f"This is not “{name}”; nothing was restored.")
        return cleaned


class RestoreForm(_IntoForm):
    """Into which new database."""

    target = forms.CharField(
        label="New database",
        max_length=63,
        help_text="It must not exist yet; the database in use stays untouched.",
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_target(self) -> str:
        return _checked(str(self.cleaned_data["target"]), check_restore_name)


class SideForm(_IntoForm):
    """Which tables into which new schema of the database in use."""

    tables = forms.MultipleChoiceField(label="Tables", widget=forms.SelectMultiple(attrs={"class": "mono", "size": 10}))
    side_schema = forms.CharField(
        label="New schema",
        max_length=63,
        help_text="It must not exist yet; the tables in use stay untouched.",
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, backup: Backup, **kwargs: Any) -> None:
        super().__init__(*args, backup=backup, **kwargs)
        self.fields["into"].label = "In the database"
        schemas = sorted({split_table(table)[0] for table in backup.tables})
        whole = [(f"{schema}.*", f"{schema}.* (all of the schema)") for schema in schemas]
        choices = [*whole, *((table, table) for table in sorted(backup.tables))]
        self.fields["tables"].choices = choices  # type: ignore[attr-defined]

    def clean_side_schema(self) -> str:
        return _checked(str(self.cleaned_data["side_schema"]), check_side_schema)


class AssertionForm(forms.ModelForm):  # type: ignore[type-arg]
    """What every restored copy has to answer with true; tried on the database itself, which parses it only."""

    class Meta:
        model = ProofAssertion
        fields = ["database", "name", "sql"]
        widgets = {"sql": forms.Textarea(attrs={"class": "mono", "rows": 4, "spellcheck": "false"})}

    def __init__(self, *args: Any, environment: Environment, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        databases = Database.objects.filter(environment=environment)
        self.fields["database"] = DatabaseChoiceField(databases, empty_label=None)
        self.order_fields(["database", "name", "sql"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        database, text = cleaned.get("database"), cleaned.get("sql")
        if database is None or not text:
            return cleaned
        try:
            complaint = proof_checks.try_assertion(servers.own_server(database), text, "preflight preflight")
        except JobError as error:
            self.add_error("sql", f"It cannot be tried now. {error.sentence}")
        else:
            if complaint:
                self.add_error("sql", f"{database.name} does not understand it: {complaint}.")
        return cleaned


class ImportForm(forms.Form):
    """Where a dump made elsewhere is: uploaded, or a file in the local store."""

    upload = forms.FileField(
        label="File",
        required=False,
        help_text="Made by pg_dump: a custom archive, tar, a directory in a tar file, or plain SQL, also as gzip.",
    )
    path = forms.CharField(
        label="Or its name in the local backup store",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_path(self) -> str:
        path = str(self.cleaned_data["path"]).strip()
        try:
            if path and not storage.artifact_path(path).is_file():
                raise ValidationError("The backup store has no such file.")
        except (SuspiciousFileOperation, OSError, ValueError):
            raise ValidationError("The name has to be that of a file in the backup store.") from None
        return path

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and bool(cleaned.get("upload")) is bool(cleaned.get("path")):
            self.add_error(
                None,
                f"Give a file of at most {settings.IMPORT_MAX_MB:,} MB, or the name of one in the local store, "
                "and not both.",
            )
        return cleaned


def _checked(name: str, check: Callable[[str], None]) -> str:
    try:
        check(name)
    except RequestError as error:
        raise ValidationError(str(error)) from None
    return name
