"""What was asked of the backup engine and what came of it; rows are written by backups.catalogue only."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, timedelta

from cronsim import CronSim, CronSimError
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils import timezone

from backups.selection import SelectionError, parse_selection


class State(models.TextChoices):
    """How far a job is. Only the last three are final."""

    WAITING = "waiting", "Waiting for approval"
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


ACTIVE_STATES = (State.QUEUED, State.RUNNING)
LATE = timedelta(minutes=10)


class Trigger(models.TextChoices):
    """What asked for a job."""

    MANUAL = "manual", "By hand"
    SCHEDULE = "schedule", "Schedule"
    COMMAND = "command", "Command line"
    RESTORE = "restore", "Before a restore"
    IMPORT = "import", "From elsewhere"


class Job(models.Model):
    """Long work that one process claims, keeps alive by renewing a lease, and finishes; a reaper fails the rest."""

    state = models.CharField(max_length=9, choices=State.choices, default=State.QUEUED, db_index=True)
    phase = models.CharField(max_length=200, blank=True)
    percent = models.PositiveSmallIntegerField(null=True, blank=True)
    # How fast the phase goes: {"bytes", "bytes_per_second", "seconds_left"}, each only where it is known.
    pace = models.JSONField(default=dict, blank=True)
    error = models.CharField(max_length=500, blank=True, help_text="One sentence: what is wrong, where, what to do.")
    error_code = models.CharField(max_length=30, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    requested_by_name = models.CharField(max_length=150, blank=True)
    trigger = models.CharField(max_length=8, choices=Trigger.choices, default=Trigger.MANUAL)
    requested_at = models.DateTimeField(default=timezone.now)
    enqueued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    # Names the one attempt that may write this row, and its sessions on every server.
    application_name = models.CharField(max_length=63, blank=True)
    # Who works on it: {"host", "boot_id", "pid_namespace", "pid", "start_time",
    # "children": [{"pid", "start_time", "program"}]}; the reaper ends what it finds there.
    worker = models.JSONField(default=dict, blank=True)
    # False from the claim until everything that the work may leave behind is known to be gone.
    is_swept = models.BooleanField(default=True)

    class Meta:
        abstract = True

    @property
    def is_active(self) -> bool:
        """Whether the work is still to be done or being done."""
        return self.state in ACTIVE_STATES

    @property
    def is_cancelling(self) -> bool:
        """Whether someone has asked to stop it and it has not stopped yet."""
        return self.is_active and self.cancel_requested_at is not None


class Backup(Job):
    """One dump of one database, taken under a snapshot; its file is the artifact."""

    database = models.ForeignKey(
        "readiness.Database", on_delete=models.SET_NULL, null=True, blank=True, related_name="backups"
    )
    environment = models.ForeignKey(
        "readiness.Environment", on_delete=models.SET_NULL, null=True, blank=True, related_name="backups"
    )
    # Another database of the same server, by its own name; empty for the one that the connection names.
    sibling = models.CharField(max_length=63, blank=True)
    database_name = models.CharField(max_length=63)
    environment_slug = models.CharField(max_length=60)
    environment_name = models.CharField(max_length=80)

    artifact = models.CharField(max_length=300, blank=True, help_text="Name in the artifact store.")
    bytes = models.BigIntegerField(null=True, blank=True)
    plain_bytes = models.BigIntegerField(null=True, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    manifest_sha256 = models.CharField(max_length=64, blank=True)
    duration_ms = models.PositiveBigIntegerField(null=True, blank=True, help_text="Of the dump alone.")
    taken_at = models.DateTimeField(null=True, blank=True, help_text="The moment whose data the backup holds.")
    # An object of lsn, timeline, taken_at, system_identifier and server_version.
    snapshot = models.JSONField(default=dict, blank=True)
    # From "schema.table" to its number of rows.
    tables = models.JSONField(default=dict, blank=True)
    # What a restore must know: see backups.snapshot.SnapshotFacts.as_metadata.
    metadata = models.JSONField(default=dict, blank=True)
    tool_version = models.CharField(max_length=60, blank=True)
    # What of the database it holds: {"only": [...], "without": [...]}, lines as people typed them.
    selection = models.JSONField(default=dict, blank=True)
    with_globals = models.BooleanField(default=False)
    # The server's roles and settings beside it: {"artifact", "bytes", "sha256", "plain_bytes", "has_passwords"}.
    globals = models.JSONField(default=dict, blank=True)
    # Sentences: what is not as it could be, though the backup is whole.
    warnings = models.JSONField(default=list, blank=True)
    # Names of the stores it is to be in, and so where its files may be.
    stores = models.JSONField(default=list, blank=True)

    # Of a dump that was made elsewhere: {"name", "where": "upload" or "store", "file"}; see backups.imports.
    source = models.JSONField(default=dict, blank=True)
    # While such a dump is taken in: {"database", "role"} on the proof server.
    scratch = models.JSONField(default=dict, blank=True)

    verified_at = models.DateTimeField(null=True, blank=True)
    proven_at = models.DateTimeField(null=True, blank=True)
    damaged_at = models.DateTimeField(null=True, blank=True)
    damage = models.CharField(max_length=500, blank=True)
    damage_found_by = models.CharField(max_length=6, blank=True)

    schedule = models.ForeignKey(
        "backups.BackupSchedule", on_delete=models.SET_NULL, null=True, blank=True, related_name="backups"
    )
    scheduled_for = models.DateTimeField(null=True, blank=True, help_text="When the schedule had it due.")
    attempt = models.PositiveSmallIntegerField(default=1, help_text="The first, or a retry after a failure.")
    pin_reason = models.CharField(max_length=200, blank=True, help_text="While there is one, retention keeps it.")
    pinned_by_name = models.CharField(max_length=150, blank=True)
    # Set before the files go, so that a deletion that breaks off is gone on with and shown.
    expired_at = models.DateTimeField(null=True, blank=True)
    expired_because = models.CharField(max_length=200, blank=True)
    delete_error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-requested_at", "-id"]
        indexes = [
            models.Index(fields=["environment", "-requested_at"], name="backup_history"),
            models.Index(fields=["database", "-taken_at"], name="backup_by_database"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["database", "sibling"],
                condition=models.Q(state__in=ACTIVE_STATES),
                name="one_active_backup_per_database",
            )
        ]
        permissions = [
            ("take_backup", "Can take, verify and prove backups"),
            ("download_backup", "Can download backups"),
            ("restore_backup", "Can restore backups"),
        ]

    # The store that this instance is read from; empty for the first one that has it. Not in the database.
    reads_from = ""

    def __str__(self) -> str:
        return f"{self.environment_slug}/{self.database_name} #{self.pk}"

    @property
    def is_partial(self) -> bool:
        """Whether tables were left out on purpose."""
        return bool(self.selection.get("only") or self.selection.get("without"))

    @property
    def was_missed(self) -> bool:
        """Whether it was taken late, because no worker was there when it was due."""
        return self.scheduled_for is not None and self.requested_at - self.scheduled_for > LATE

    @property
    def is_foreign(self) -> bool:
        """Whether it came from elsewhere: what it holds is nobody's whom we know."""
        return self.trigger == Trigger.IMPORT or "origin" in self.metadata

    @property
    def status(self) -> str:
        """queued, running, failed, cancelled; when done: damaged, else proven, else verified, else done."""
        if self.state != State.DONE:
            return str(self.state)
        if self.damaged_at is not None:
            return "damaged"
        if self.proven_at is not None:
            return "proven"
        return "verified" if self.verified_at is not None else "done"


class BackupCopy(Job):
    """The files of one backup in one store: to be copied there, there and read back, or not there and why."""

    backup = models.ForeignKey(Backup, on_delete=models.CASCADE, related_name="copies")
    store = models.CharField(max_length=40)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    # When all of its bytes were last read and were those that were written.
    read_back_at = models.DateTimeField(null=True, blank=True)
    damaged_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "backup copies"
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["backup", "store"], name="one_copy_per_store")]

    def __str__(self) -> str:
        return f"{self.backup} in {self.store}"

    @property
    def is_good(self) -> bool:
        """Whether the backup can be read from there, as far as the portal knows."""
        return self.state == State.DONE and self.damaged_at is None


class StoreState(models.Model):
    """What was last found out about one store; written by backups.store_records."""

    name = models.CharField(max_length=40, unique=True)
    tested_at = models.DateTimeField(null=True, blank=True)
    is_usable = models.BooleanField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)
    error_at = models.DateTimeField(null=True, blank=True)
    compared_at = models.DateTimeField(null=True, blank=True)
    # Names of files that belong to no backup, and numbers of backups whose file is not there.
    orphans = models.JSONField(default=list, blank=True)
    missing = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Verification(Job):
    """One reading (verify) or one restore into a scratch database (prove) of a backup, and what it showed."""

    class Kind(models.TextChoices):
        VERIFY = "verify", "Verify"
        PROVE = "prove", "Prove"

    class Outcome(models.TextChoices):
        PASS = "pass", "Passed"
        FAIL = "fail", "Failed"
        NOT_PROVABLE = "not_provable", "Not provable here"
        ERROR = "error", "Could not tell"

    backup = models.ForeignKey(Backup, on_delete=models.CASCADE, related_name="verifications")
    kind = models.CharField(max_length=6, choices=Kind.choices)
    outcome = models.CharField(max_length=12, choices=Outcome.choices, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    # Of verify: sha256, bytes, plain_bytes. Of prove: see backups.verify.Proof.as_json_object.
    compared = models.JSONField(default=dict, blank=True)
    # Where the scratch database was made: {"server": "proof" or "own", "database", "role": may be missing}.
    scratch = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-requested_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["backup", "kind"],
                condition=models.Q(state__in=ACTIVE_STATES),
                name="one_active_verification_per_kind",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.backup}"


class ProofAssertion(models.Model):
    """A question of the owner's that every restored copy of a database has to answer with true."""

    database = models.ForeignKey("readiness.Database", on_delete=models.CASCADE, related_name="proof_assertions")
    name = models.CharField(max_length=80, help_text="What it says, for example: orders of the last day.")
    sql = models.TextField(
        "SQL",
        max_length=2000,
        help_text="One query that gives true or false, run read-only in the scratch database. "
        "current_setting('preflight.taken_at')::timestamptz is the moment of the backup.",
    )

    class Meta:
        ordering = ["database_id", "id"]
        constraints = [models.UniqueConstraint(fields=["database", "name"], name="proof_assertion_once")]

    def __str__(self) -> str:
        return f"{self.database}: {self.name}"


class Restore(Job):
    """One restore of a backup: into a new database, or in the place of one that is kept for a while; or its undoing."""

    class Mode(models.TextChoices):
        NEW = "new", "Into a new database"
        REPLACE = "replace", "In the place of the database in use"
        UNDO = "undo", "Back to the database before"
        SIDE = "side", "Tables into a schema beside"

    backup = models.ForeignKey(Backup, on_delete=models.CASCADE, related_name="restores")
    mode = models.CharField(max_length=7, choices=Mode.choices, default=Mode.NEW)
    # Whose server it goes to; None is the backup's own.
    target = models.ForeignKey(
        "readiness.Database", on_delete=models.SET_NULL, null=True, blank=True, related_name="incoming_restores"
    )
    target_database = models.CharField(max_length=63)
    # Of a restore into a schema beside: its name, and the "schema.table"s that go there.
    side_schema = models.CharField(max_length=63, blank=True)
    chosen_tables = models.JSONField(default=list, blank=True)
    masking_sql = models.TextField(blank=True, help_text="Runs in one transaction before anybody can connect.")
    safety_backup = models.ForeignKey(Backup, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    skips_safety_backup = models.BooleanField(default=False)

    reason = models.CharField(max_length=300, blank=True)
    is_break_glass = models.BooleanField(default=False)
    approval_expires_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    approved_by_name = models.CharField(max_length=150, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)

    # Known before anything is closed or renamed: {"live", "incoming", "kept", "live_oid", "incoming_oid"}.
    swap = models.JSONField(default=dict, blank=True)
    kept_database = models.CharField(max_length=63, blank=True, help_text="The database before, closed.")
    kept_until = models.DateTimeField(null=True, blank=True)
    undoes = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="undoings")

    duration_ms = models.PositiveBigIntegerField(null=True, blank=True)
    # Tables, rows, different (a list), notes (a list).
    compared = models.JSONField(default=dict, blank=True)
    scratch = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-requested_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["backup", "target_database"],
                condition=models.Q(state__in=ACTIVE_STATES),
                name="one_active_restore_per_name",
            )
        ]

    def __str__(self) -> str:
        verb = {self.Mode.REPLACE: "in the place of", self.Mode.UNDO: "undone in"}.get(self.Mode(self.mode), "into")
        return f"{self.backup} {verb} {self.target_shown}"

    @property
    def target_shown(self) -> str:
        """Where it goes, for people: a database, or a schema in one."""
        if self.mode == self.Mode.SIDE:
            return f"{self.target_database}, schema {self.side_schema}"
        return self.target_database

    @property
    def is_waiting(self) -> bool:
        """Whether a second operator has to approve it first."""
        return self.state == State.WAITING

    @property
    def can_be_undone(self) -> bool:
        """Whether the database before is still there, as far as the portal knows."""
        return self.state == State.DONE and bool(self.kept_database)


def validate_cron(text: str) -> None:
    """Raises ValidationError unless cronsim understands the expression."""
    try:
        next(CronSim(text, datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC"))))
    except (CronSimError, StopIteration):
        raise ValidationError("This is not a cron expression; give five fields, for example 30 2 * * *.") from None


def validate_time_zone(name: str) -> None:
    """Raises ValidationError unless the name is in the time zone database."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError("This is not a time zone; give a name such as Europe/Berlin.")


class BackupSchedule(models.Model):
    """When a database is backed up by itself: a cron expression read in a time zone."""

    database = models.ForeignKey("readiness.Database", on_delete=models.CASCADE, related_name="backup_schedules")
    cron = models.CharField(max_length=100, default="30 2 * * *", validators=[validate_cron])
    time_zone = models.CharField(max_length=60, default="UTC", validators=[validate_time_zone])
    is_enabled = models.BooleanField("enabled", default=True)

    covers_server = models.BooleanField(
        "all databases of this server",
        default=False,
        help_text="New ones are picked up by the next run. Templates and those that take no connections are left out.",
    )
    skip_databases = models.TextField("except", blank=True, help_text="Names of databases, one a line.")
    only = models.TextField(
        "only",
        blank=True,
        help_text="Schemas, or tables as schema.table, one a line. Empty for all. Quote a name that holds a dot.",
    )
    without = models.TextField("without", blank=True, help_text="Schemas or tables that are left out, one a line.")
    with_globals = models.BooleanField(
        "roles and settings of the server", default=False, help_text="pg_dumpall --globals-only, beside each backup."
    )
    stores = models.JSONField("stores", default=list, blank=True)
    retries = models.PositiveSmallIntegerField(
        "retries", default=3, validators=[MaxValueValidator(10)], help_text="Of failures that can pass by themselves."
    )
    jitter_minutes = models.PositiveSmallIntegerField(
        "start within, in minutes",
        default=0,
        validators=[MaxValueValidator(720)],
        help_text="Each run starts at a random moment within so many minutes, so that not all start at once.",
    )
    quiet_from = models.TimeField(
        "no start from", null=True, blank=True, help_text="Between the two no backup starts: it waits for the end."
    )
    quiet_until = models.TimeField("no start until", null=True, blank=True)
    keep_last = models.PositiveIntegerField("keep the last", null=True, blank=True, help_text="Backups, by number.")
    keep_days = models.PositiveIntegerField("keep for days", null=True, blank=True)
    keep_hourly = models.PositiveIntegerField("hourly", null=True, blank=True)
    keep_daily = models.PositiveIntegerField("daily", null=True, blank=True)
    keep_weekly = models.PositiveIntegerField("weekly", null=True, blank=True)
    keep_monthly = models.PositiveIntegerField("monthly", null=True, blank=True)
    keep_yearly = models.PositiveIntegerField("yearly", null=True, blank=True)
    max_megabytes = models.PositiveBigIntegerField(
        "at most, in MB", null=True, blank=True, help_text="All of its backups together; the oldest go first."
    )
    next_run_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The moment of the expression behind next_run_at, which jitter and a quiet window may have moved.
    due_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_requested_at = models.DateTimeField(null=True, blank=True, editable=False)
    problem = models.CharField(max_length=500, blank=True, editable=False, help_text="Why the last run began nothing.")

    class Meta:
        ordering = ["database_id", "id"]
        constraints = [
            models.UniqueConstraint(fields=["database", "cron", "time_zone"], name="backup_schedule_once"),
        ]

    def __str__(self) -> str:
        return f"{self.database}: {self.cron} ({self.time_zone})"

    def clean(self) -> None:
        """Raises ValidationError for what only all fields together can tell."""
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValidationError({"quiet_until": "Give both ends of the time in which no backup starts, or neither."})
        if self.quiet_from is not None and self.quiet_from == self.quiet_until:
            raise ValidationError({"quiet_until": "The time in which no backup starts must leave some time over."})
        for name, text in (("only", {"only": self.only}), ("without", {"only": self.only, "without": self.without})):
            try:
                parse_selection(**text)
            except SelectionError as error:
                raise ValidationError({name: str(error)}) from None
        if unknown := [name for name in self.stores if name not in settings.BACKUP_STORE_CONFIGS]:
            raise ValidationError({"stores": f"The settings know no backup store {unknown[0]}: choose others."})
        if self.only and self.covers_server:
            raise ValidationError({"only": "All databases of a server have no schemas in common: leave this empty."})
