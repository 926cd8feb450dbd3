"""What django-q2 calls: the pipeline of a backup, spelled once, and the recurring jobs; writes through catalogue."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from backups import catalogue, dumps, imports, pruning, reaper, restores, schedules, store_check, verify
from backups.errors import JobError, RequestError
from backups.models import Backup, BackupSchedule, Job, Restore, State, Trigger, Verification
from backups.proof_policy import is_proof_due

logger = logging.getLogger(__name__)

CLUSTER = "long"
# A task is lost when its worker dies between fetching and claiming; the queue itself would bring it back after hours.
TASK_PATIENCE = timedelta(minutes=10)


def enqueue(job: Job) -> None:
    """Queue the task for a requested job, after the transaction it was requested in."""
    if isinstance(job, Backup):
        name = "take_backup"
    elif isinstance(job, Restore):
        name = "restore_backup"
    else:
        is_proof = isinstance(job, Verification) and job.kind == Verification.Kind.PROVE
        name = "prove_backup" if is_proof else "verify_backup"
    catalogue.note_enqueued(job)
    transaction.on_commit(partial(async_task, f"backups.tasks.{name}", job.pk, cluster=CLUSTER))


def take_backup(backup_id: int) -> str:
    """Take, or take in from elsewhere, verify, prove; the backup's status afterwards."""
    is_foreign = Backup.objects.filter(pk=backup_id, trigger=Trigger.IMPORT).exists()
    backup = imports.take_in(backup_id) if is_foreign else dumps.take(backup_id)
    if backup is None or backup.state != State.DONE:
        return "not taken" if backup is None else backup.status
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


def tick() -> int:
    """Every minute: request what is due, go on with what broke off; how many backups were requested."""
    now = timezone.now()
    requested = 0
    for schedule in schedules.claim_due(now):
        try:
            request = catalogue.request_backup(
                schedule.database, actor_name="schedule", trigger=Trigger.SCHEDULE, schedule=schedule
            )
            enqueue(request)
            requested += 1
        except RequestError as error:
            logger.warning("Schedule %s was skipped: %s", schedule, error)
    for kind in Verification.Kind.values:
        for backup in catalogue.find_unread(kind, now, TASK_PATIENCE):
            if kind == Verification.Kind.PROVE and not is_proof_due(backup, now):
                continue
            with suppress(RequestError):
                enqueue(catalogue.request_verification(backup, kind, trigger=backup.trigger))
    for model in catalogue.JOB_MODELS:
        for job in catalogue.find_queued_without_task(model, now, TASK_PATIENCE):
            enqueue(job)
    return requested


def tend() -> int:
    """Every night: let expire what no rule keeps, try deletions again, say what store and catalogue differ in."""
    now = timezone.now()
    pruning.retry_deletions()
    gone = pruning.prune(BackupSchedule.objects.select_related("database"), now)
    try:
        difference = store_check.compare_store()
    except JobError as error:
        logger.warning("The backup store could not be looked at: %s", error.sentence)
    else:
        for name in difference.orphans:
            logger.warning("%s in the backup store belongs to no backup.", name)
        for backup in difference.missing:
            logger.warning("%s has no file %s in the backup store.", backup, backup.artifact)
    return len(gone)


def reap() -> int:
    """Every minute: fail what was abandoned and remove its leftovers; how many jobs were failed."""
    return reaper.reap()
