"""What django-q2 calls: the pipeline of a backup, spelled once, and the recurring jobs; writes through catalogue."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from backups import (
    catalogue,
    copying,
    dumps,
    imports,
    pruning,
    reaper,
    restores,
    schedules,
    siblings,
    store_check,
    store_records,
    stores,
    verify,
)
from backups.errors import JobError, RequestError
from backups.models import Backup, BackupCopy, BackupSchedule, Job, Restore, State, Trigger, Verification
from backups.proof_policy import is_proof_due
from readiness.models import Database

logger = logging.getLogger(__name__)

CLUSTER = "long"
# A task is lost when its worker dies between fetching and claiming; the queue itself would bring it back after hours.
TASK_PATIENCE = timedelta(minutes=10)
# Parts of uploads that broke off are invisible and cost money; no upload that goes on is as old as this.
ABANDONED_UPLOADS = timedelta(days=2)


def enqueue(job: Job) -> None:
    """Queue the task for a requested job, after the transaction it was requested in."""
    if isinstance(job, Backup):
        name = "take_backup"
    elif isinstance(job, BackupCopy):
        name = "copy_backup"
    elif isinstance(job, Restore):
        name = "restore_backup"
    else:
        is_proof = isinstance(job, Verification) and job.kind == Verification.Kind.PROVE
        name = "prove_backup" if is_proof else "verify_backup"
    catalogue.note_enqueued(job)
    transaction.on_commit(partial(async_task, f"backups.tasks.{name}", job.pk, cluster=CLUSTER))


def take_backup(backup_id: int) -> str:
    """Take, or take in from elsewhere, copy, verify, prove; the backup's status afterwards."""
    is_foreign = Backup.objects.filter(pk=backup_id, trigger=Trigger.IMPORT).exists()
    backup = imports.take_in(backup_id) if is_foreign else dumps.take(backup_id)
    if backup is None or backup.state != State.DONE:
        return "not taken" if backup is None else backup.status
    for copy in backup.copies.filter(state=State.QUEUED):
        copying.copy(copy.pk)
    for kind, read in ((Verification.Kind.VERIFY, verify.verify), (Verification.Kind.PROVE, verify.prove)):
        if kind == Verification.Kind.PROVE and not is_proof_due(backup, timezone.now()):
            break
        try:
            request = catalogue.request_verification(backup, kind, trigger=backup.trigger)
        except RequestError as error:
            # Somebody pressed the button meanwhile; what they asked for is what would be done here.
            logger.info("%s", error)
            break
        verification = read(request.pk)
        if verification is None or verification.outcome != Verification.Outcome.PASS:
            break
    return Backup.objects.get(pk=backup_id).status


def verify_backup(verification_id: int) -> str:
    """Read one backup again; the outcome."""
    verification = verify.verify(verification_id)
    return "not queued" if verification is None else verification.outcome


def prove_backup(verification_id: int) -> str:
    """Restore one backup into a scratch database again; the outcome."""
    verification = verify.prove(verification_id)
    return "not queued" if verification is None else verification.outcome


def restore_backup(restore_id: int) -> str:
    """Restore one backup into a new database; the state."""
    restore = restores.restore(restore_id)
    return "not queued" if restore is None else restore.state


def copy_backup(copy_id: int) -> str:
    """Copy one backup into one more store; the state."""
    copy = copying.copy(copy_id)
    return "not queued" if copy is None else copy.state


def start_server_backups(schedule_id: int, scheduled_for: datetime) -> int:
    """Request a backup of every database of a schedule's server; how many were requested."""
    schedule = BackupSchedule.objects.select_related("database__environment").filter(pk=schedule_id).first()
    if schedule is None:
        return 0
    try:
        found = siblings.find_siblings(schedule)
    except JobError as error:
        schedules.note_problem(schedule, error.sentence)
        logger.warning("Schedule %s began nothing: %s", schedule, error.sentence)
        return 0
    schedules.note_problem(schedule, "")
    plans = [(each.database, schedules.describe_run(schedule, scheduled_for, each.name)) for each in found]
    return sum(_request(database, plan) for database, plan in plans)


def tick() -> int:
    """Every minute: request what is due, go on with what broke off; how many backups were requested."""
    now = timezone.now()
    requested = 0
    for due in schedules.claim_due(now):
        if due.schedule.covers_server:
            # Asking a server may take long, and the minute is everybody's.
            async_task("backups.tasks.start_server_backups", due.schedule.pk, due.scheduled_for, cluster=CLUSTER)
        else:
            plan = schedules.describe_run(due.schedule, due.scheduled_for)
            requested += _request(due.schedule.database, plan)
    for backup, plan in schedules.find_retries(now):
        assert backup.database is not None  # noqa: S101  one whose database is gone has no schedule either
        requested += _request(backup.database, plan)
    for kind in Verification.Kind.values:
        for backup in catalogue.find_unread(kind, now, TASK_PATIENCE):
            if kind == Verification.Kind.PROVE and not is_proof_due(backup, now):
                continue
            with suppress(RequestError):
                enqueue(catalogue.request_verification(backup, kind, trigger=backup.trigger))
    for copy in catalogue.find_copies_to_retry(now):
        enqueue(copy)
    for model in catalogue.JOB_MODELS:
        for job in catalogue.find_queued_without_task(model, now, TASK_PATIENCE):
            enqueue(job)
    return requested


def _request(database: Database, plan: catalogue.Plan) -> bool:
    """Request and queue one backup of a schedule; False, and logged, when one is under way already."""
    try:
        request = catalogue.request_backup(database, actor_name="schedule", trigger=Trigger.SCHEDULE, plan=plan)
    except RequestError as error:
        logger.warning("Schedule %s was skipped: %s", plan.schedule, error)
        return False
    enqueue(request)
    return True


def tend() -> int:
    """Every night: let expire what no rule keeps, try deletions again, say what stores and catalogue differ in."""
    now = timezone.now()
    pruning.retry_deletions()
    gone = pruning.prune(BackupSchedule.objects.select_related("database"), now)
    for name in stores.list_stores():
        try:
            stores.open_store(name).clear_abandoned(now - ABANDONED_UPLOADS)
            difference = store_check.compare_store(name)
        except JobError as error:
            store_records.note_error(name, error.sentence)
            logger.warning("The backup store %s could not be looked at: %s", name, error.sentence)
            continue
        store_records.note_difference(name, difference.orphans, [backup.pk for backup in difference.missing])
        for orphan in difference.orphans:
            logger.warning("%s in the backup store %s belongs to no backup.", orphan, name)
        for backup in difference.missing:
            logger.warning("%s has no file %s in the backup store %s.", backup, backup.artifact, name)
    return len(gone)


def reap() -> int:
    """Every minute: fail what was abandoned and remove its leftovers; how many jobs were failed."""
    return reaper.reap()
