"""Writes Backup, BackupCopy, Verification and Restore rows from claim to end; requests backups and verifications.

Restores are requested in backups.restore_requests; backups.store_check makes rows anew from manifests.

Every step is one conditional UPDATE that names the state it expects and the attempt it belongs to, so that two
processes never both do, finish or fail the same job, whatever line they are killed at.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from backups import leftovers, storage, stores
from backups.errors import ErrorCode, JobError, RequestError
from backups.models import ACTIVE_STATES, Backup, BackupCopy, BackupSchedule, Job, Restore, State, Trigger, Verification
from backups.pipeline import Written
from backups.snapshot import SnapshotFacts
from backups.store_config import LOCAL
from portal import audit
from readiness.models import Database, Environment

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

    Actor = AbstractBaseUser | AnonymousUser | None

logger = logging.getLogger(__name__)

JobT = TypeVar("JobT", bound=Job)
JOB_MODELS: tuple[type[Job], ...] = (Backup, BackupCopy, Verification, Restore)
# A copy that failed is tried again after so many minutes, by the number of tries.
COPY_BACK_OFF_MINUTES = (1, 5, 15, 60, 360)


@dataclass(frozen=True)
class Plan:
    """What a schedule wants of one backup: which database of the server, what of it, where to, when it was due."""

    schedule: BackupSchedule | None = None
    sibling: str = ""
    stores: tuple[str, ...] = ()
    only: str = ""
    without: str = ""
    with_globals: bool = False
    scheduled_for: datetime | None = None
    attempt: int = 1


@dataclass(frozen=True)
class Renewal:
    """What the holder of a job learns when it renews its lease."""

    is_ours: bool
    is_cancelled: bool


def request_backup(
    database: Database,
    *,
    actor: Actor = None,
    actor_name: str = "",
    trigger: str = Trigger.MANUAL,
    plan: Plan | None = None,
) -> Backup:
    """A queued backup of the database. Raises RequestError when one is queued or running already."""
    plan = plan or Plan()
    same = Backup.objects.filter(database=database, sibling=plan.sibling)
    for running in same.filter(state=State.RUNNING):
        fail_if_abandoned(running)
    try:
        with transaction.atomic():
            backup = Backup.objects.create(
                database=database,
                environment=database.environment,
                sibling=plan.sibling,
                database_name=plan.sibling or database.name,
                environment_slug=database.environment.slug,
                environment_name=database.environment.name,
                trigger=trigger,
                schedule=plan.schedule,
                stores=stores.order_stores(plan.stores or stores.default_stores()),
                selection={"only": plan.only, "without": plan.without},
                with_globals=plan.with_globals,
                scheduled_for=plan.scheduled_for,
                attempt=plan.attempt,
                **describe_requester(actor, actor_name),
            )
            _audit("requested a backup of", backup, str(database), actor, actor_name)
    except IntegrityError:
        active = same.filter(state__in=ACTIVE_STATES).first()
        number = f" (number {active.pk}, {active.state})" if active else ""
        raise RequestError(
            f"A backup of {database} is under way already{number}: wait until it has ended, or cancel it."
        ) from None
    return backup


def request_import(
    environment: Environment,
    source: Mapping[str, str],
    *,
    actor: Actor = None,
    actor_name: str = "",
    trigger: str = Trigger.IMPORT,
) -> Backup:
    """A queued taking in of a dump made elsewhere: ``source`` is {"name", "where", "file"}, see backups.imports.

    It belongs to the environment and to none of its databases: it is no backup of any of them.
    """
    with transaction.atomic():
        backup = Backup.objects.create(
            environment=environment,
            # No database is called so: names have no spaces.
            database_name=f"import {source['name']}"[:63],
            environment_slug=environment.slug,
            environment_name=environment.name,
            trigger=trigger,
            source=dict(source),
            stores=stores.order_stores(stores.default_stores()),
            **describe_requester(actor, actor_name),
        )
        _audit("took in a dump from elsewhere as", backup, str(backup), actor, actor_name)
    return backup


def request_verification(
    backup: Backup, kind: str, *, actor: Actor = None, actor_name: str = "", trigger: str = Trigger.MANUAL
) -> Verification:
    """A queued verify or prove. Raises RequestError when there is nothing to read or one is under way."""
    require_done(backup)
    try:
        with transaction.atomic():
            verification = Verification.objects.create(
                backup=backup, kind=kind, trigger=trigger, **describe_requester(actor, actor_name)
            )
            if actor is not None or actor_name:
                verb = "verification" if kind == Verification.Kind.VERIFY else "proof"
                _audit(f"requested a {verb} of", backup, str(backup), actor, actor_name)
    except IntegrityError:
        raise RequestError(f"Backup {backup.pk} is being read for this already: wait until that has ended.") from None
    return verification


def request_cancel(job: Job, *, actor: Actor = None, actor_name: str = "") -> bool:
    """Ask a job to stop; one that nobody has claimed yet is cancelled at once. False when it has ended already."""
    now = timezone.now()
    rows = _rows(job)
    changed = rows.filter(state__in=(State.WAITING, State.QUEUED)).update(
        state=State.CANCELLED, phase="", cancel_requested_at=now, finished_at=now
    ) or rows.filter(state=State.RUNNING, cancel_requested_at__isnull=True).update(cancel_requested_at=now)
    if changed:
        _audit(f"cancelled a {type(job).__name__.lower()} of", _backup_of(job), str(job), actor, actor_name)
    return bool(changed)


def note_enqueued(job: Job) -> None:
    """Remember that a task was queued for the job."""
    _rows(job).update(enqueued_at=timezone.now())


def claim(model: type[JobT], pk: int) -> JobT | None:
    """Take a queued job: exactly one caller gets it, everyone else None."""
    now = timezone.now()
    name = f"preflight {model.__name__.lower()} {pk} {secrets.token_hex(6)}"
    claimed = model._default_manager.filter(pk=pk, state=State.QUEUED).update(
        state=State.RUNNING,
        phase="starting",
        percent=None,
        started_at=now,
        lease_expires_at=now + _lease(),
        application_name=name,
        worker=leftovers.describe_self(),
        is_swept=False,
    )
    return model._default_manager.get(pk=pk) if claimed == 1 else None


def renew(job: Job, phase: str, percent: int | None, pace: Mapping[str, int] | None = None) -> Renewal:
    """Prolong the lease and say how far and how fast the work is."""
    is_ours = bool(
        _mine(job).update(
            lease_expires_at=timezone.now() + _lease(), phase=phase[:200], percent=percent, pace=dict(pace or {})
        )
    )
    row = _rows(job).values_list("cancel_requested_at", flat=True).first()
    return Renewal(is_ours, is_cancelled=row is not None)


def note_child(job: Job, child: Mapping[str, object]) -> None:
    """Remember a program that the job started, so that the reaper can end it."""
    job.worker = {**job.worker, "children": [*job.worker.get("children", []), dict(child)]}
    _mine(job).update(worker=job.worker)


def note_artifact(backup: Backup, name: str) -> None:
    """Remember the name before the file exists: what is not recorded is never swept. Raises JobError when not ours."""
    if not _mine(backup).update(artifact=name):
        raise lost_lease()
    backup.artifact = name


def note_scratch(job: Verification | Restore | Backup, server: str, database: str, role: str = "") -> None:
    """Remember a database, and a role, before they are made: ``server`` is "proof" or "own".

    Raises JobError when not ours.
    """
    scratch = {"server": server, "database": database, **({"role": role} if role else {})}
    if not _mine(job).update(scratch=scratch):
        raise lost_lease()
    job.scratch = scratch


def finish_backup(
    backup: Backup,
    *,
    facts: SnapshotFacts,
    metadata: Mapping[str, Any],
    tables: Mapping[str, int],
    written: Written,
    manifest_sha256: str,
    tool_version: str,
    duration_ms: int,
    globals_: Mapping[str, Any],
    warnings: Sequence[str],
    stored_in: str,
) -> bool:
    """The artifact and its manifest are in one store. False when the job is not ours any more: then nothing changed.

    The other stores of the backup get a queued copy each, in the same transaction.
    """
    now = timezone.now()
    with transaction.atomic():
        if not _finish(
            backup,
            bytes=written.bytes,
            plain_bytes=written.plain_bytes,
            sha256=written.sha256,
            manifest_sha256=manifest_sha256,
            duration_ms=duration_ms,
            taken_at=facts.taken_at,
            snapshot=facts.as_point_in_time(),
            tables=dict(tables),
            metadata=dict(metadata),
            tool_version=tool_version,
            globals=dict(globals_),
            warnings=list(warnings),
        ):
            return False
        for store in backup.stores:
            there: dict[str, Any] = {"state": State.DONE, "percent": 100, "finished_at": now, "read_back_at": now}
            BackupCopy.objects.create(
                backup=backup, store=store, trigger=backup.trigger, **(there if store == stored_in else {})
            )
    return True


def finish_copy(copy: BackupCopy) -> bool:
    """Every file is in the store and was read back. False when the job is not ours any more."""
    return _finish(
        copy, read_back_at=timezone.now(), damaged_at=None, next_try_at=None, attempts=0, error="", error_code=""
    )


def note_copy_read(copy: BackupCopy) -> None:
    """All bytes of the copy were read and are those that were written."""
    _rows(copy).filter(state=State.DONE).update(read_back_at=timezone.now(), damaged_at=None, error="")


def note_copy_damaged(copy: BackupCopy, sentence: str) -> None:
    """The copy is not what was written, or is gone: nothing is read from it any more, until it is copied again."""
    now = timezone.now()
    _rows(copy).filter(state=State.DONE).update(
        damaged_at=now, error=sentence[:500], error_code=ErrorCode.ARTIFACT_DAMAGED, next_try_at=now
    )


def request_copy(copy: BackupCopy, *, actor: Actor = None, actor_name: str = "") -> None:
    """Queue once more a copy that failed, was cancelled or is damaged. Raises RequestError."""
    with transaction.atomic():
        if not _queue_copies(_rows(copy).filter(_is_wanting())):
            raise RequestError(f"The copy of backup {copy.backup_id} in {copy.store} is there or under way already.")
        _audit(f"requested a copy in {copy.store} of", copy.backup, str(copy.backup), actor, actor_name)


def find_copies_to_retry(now: datetime) -> list[BackupCopy]:
    """Copies that failed or were found damaged and whose time has come; each is queued and given to one caller only."""
    due = BackupCopy.objects.filter(_is_wanting(), next_try_at__lte=now, backup__expired_at__isnull=True)
    return [copy for copy in due.select_related("backup") if _queue_copies(_rows(copy).filter(_is_wanting()))]


def _is_wanting() -> models.Q:
    """A copy that is not there, of a backup that is."""
    lost = models.Q(state__in=(State.FAILED, State.CANCELLED)) | models.Q(state=State.DONE, damaged_at__isnull=False)
    return lost & models.Q(backup__state=State.DONE)


def _queue_copies(copies: models.QuerySet[BackupCopy]) -> int:
    ids = list(copies.values_list("pk", flat=True))
    return (
        BackupCopy.objects.filter(pk__in=ids)
        .exclude(state__in=ACTIVE_STATES)
        .update(state=State.QUEUED, next_try_at=None, cancel_requested_at=None, enqueued_at=timezone.now())
    )


def is_done(job: Job) -> bool:
    """Whether this attempt has ended well."""
    return _rows(job).filter(state=State.DONE, application_name=job.application_name).exists()


def finish_verification(
    verification: Verification,
    outcome: str,
    *,
    detail: str = "",
    compared: Mapping[str, Any] | None = None,
    damage_found_by: str = "",
    is_damage: bool = True,
) -> bool:
    """Record an outcome and what it means for the backup, both or neither. False when the job is not ours any more.

    A damage that verify found ends with a verify or a prove that passes; one that prove found only with a prove. A
    failure that is no damage takes the proof away and nothing else.
    """
    now = timezone.now()
    backup = Backup.objects.filter(pk=verification.backup_id)
    is_proof = verification.kind == Verification.Kind.PROVE
    with transaction.atomic():
        if not _finish(verification, outcome=outcome, detail=detail[:500], compared=dict(compared or {})):
            return False
        if outcome == Verification.Outcome.PASS:
            good: dict[str, Any] = {"damaged_at": None, "damage": "", "damage_found_by": ""}
            healed = backup if is_proof else backup.exclude(damage_found_by=Verification.Kind.PROVE)
            healed.update(**good)
            backup.update(verified_at=now, **({"proven_at": now} if is_proof else {}))
        elif outcome == Verification.Outcome.FAIL and not is_damage:
            backup.update(proven_at=None)
        elif outcome == Verification.Outcome.FAIL:
            backup.update(damaged_at=now, damage=detail[:500], damage_found_by=damage_found_by or verification.kind)
    return True


def finish_restore(restore: Restore, *, compared: Mapping[str, Any], duration_ms: int) -> bool:
    """The database is there under its name, what was there before is kept. False when the job is not ours any more."""
    with transaction.atomic():
        if not _finish(restore, compared=dict(compared), duration_ms=duration_ms, **_kept(restore)):
            return False
        _tell_restored(restore)
    return True


def settle_restore(restore: Restore) -> bool:
    """A restore whose worker died right after the last rename has done what it was to do: the row must say so."""
    dead = _rows(restore).filter(state=State.FAILED, application_name=restore.application_name)
    done: dict[str, Any] = {"state": State.DONE, "error": "", "error_code": "", "phase": "", "percent": 100}
    with transaction.atomic():
        if not dead.update(**done, **_kept(restore)):
            return False
        _tell_restored(restore)
    return True


def note_swap(restore: Restore, swap: Mapping[str, Any]) -> None:
    """Remember what is about to be closed and renamed. Raises JobError when not ours."""
    if not _mine(restore).update(swap=dict(swap)):
        raise lost_lease()
    restore.swap = dict(swap)


def note_safety_backup(restore: Restore, backup: Backup) -> None:
    """Remember the backup that was taken before. Raises JobError when not ours."""
    if not _mine(restore).update(safety_backup=backup):
        raise lost_lease()


def note_kept_gone(restore: Restore) -> None:
    """The database before is not kept any more."""
    _rows(restore).update(kept_database="", kept_until=None)


def _kept(restore: Restore) -> dict[str, Any]:
    if not restore.swap:
        return {}
    until = timezone.now() + timedelta(days=settings.RESTORE_KEEP_OLD_DAYS)
    return {"kept_database": restore.swap["kept"], "kept_until": until}


def _tell_restored(restore: Restore) -> None:
    if restore.undoes is not None:
        note_kept_gone(restore.undoes)
    audit.record(
        "undid" if restore.mode == Restore.Mode.UNDO else "restored",
        actor=restore.requested_by,
        actor_name=restore.requested_by_name,
        environment=_target_environment(restore),
        subject=str(restore),
        detail={
            "backup": restore.backup_id,
            "database": restore.target_database,
            "kept": restore.swap.get("kept", ""),
            "is_break_glass": restore.is_break_glass,
        },
    )


def _target_environment(restore: Restore) -> Environment | None:
    return restore.target.environment if restore.target else restore.backup.environment


def fail(job: Job, code: ErrorCode, sentence: str) -> bool:
    """End a running job of ours with a reason. False when it is not ours any more."""
    return bool(_mine(job).update(**_failure(job, code, sentence)))


def finish_cancelled(job: Job) -> bool:
    """End a running job of ours that was asked to stop."""
    return bool(
        _mine(job).update(
            state=State.CANCELLED, finished_at=timezone.now(), lease_expires_at=None, phase="", percent=None
        )
    )


def fail_if_abandoned(job: Job) -> bool:
    """Fail a running job whose holder is dead or has stopped renewing: the attempt that was seen, and only once.

    A holder on this machine is looked at, so its death is known at once; one elsewhere only by its lease.
    """
    doing = job.phase or "starting"
    host, pid = job.worker.get("host", "an unknown host"), job.worker.get("pid", "?")
    if leftovers.is_dead(job.worker):
        sentence = f"The worker died while {doing} (process {pid} on {host}): nothing was kept, start it again."
    elif job.lease_expires_at is None or job.lease_expires_at < timezone.now():
        sentence = (
            f"The worker on {host} gave no sign of life for {settings.BACKUP_LEASE_SECONDS} seconds while {doing}: "
            "nothing was kept, start it again."
        )
    else:
        return False
    seen = _mine(job).filter(lease_expires_at=job.lease_expires_at)
    if not seen.update(**_failure(job, ErrorCode.ABANDONED, sentence)):
        return False
    logger.warning("%s: %s", job, sentence)
    return True


def mark_swept(job: Job) -> None:
    """Nothing that the job may have left behind is left."""
    _rows(job).update(is_swept=True)


def delete_backup(backup: Backup) -> None:
    """Remove a backup with its files, files last: a row without a file would be a promise that nobody can keep.

    Raises RequestError while something reads or writes it.
    """
    busy = backup.is_active or _is_used(backup)
    if busy:
        raise RequestError(f"Backup {backup.pk} is in use: wait until that has ended, or cancel it.")
    name, places = backup.artifact, list_places(backup)
    backup.delete()
    try:
        storage.delete_artifact(name, places)
    except JobError as error:
        logger.warning("%s was removed and a file of it stays, which the nightly look lists: %s", name, error.sentence)


def expire(backup: Backup, because: str, now: datetime) -> bool:
    """Decide that a backup goes. False when it was pinned, is in use, or went already: then it stays as it is."""
    with transaction.atomic():
        row = Backup.objects.select_for_update().filter(pk=backup.pk, state=State.DONE, expired_at=None, pin_reason="")
        if not row.exists() or _is_used(backup):
            return False
        Backup.objects.filter(pk=backup.pk).update(expired_at=now, expired_because=because[:200])
        audit.record(
            "let expire",
            environment=backup.environment,
            subject=str(backup),
            detail={"backup": backup.pk, "artifact": backup.artifact, "because": because[:200]},
        )
    return True


def delete_expired(backup: Backup) -> bool:
    """Delete the files and then the row of a backup that expired. False when they stay, which its row then says."""
    rows = Backup.objects.filter(pk=backup.pk, expired_at__isnull=False)
    try:
        storage.delete_artifact(backup.artifact, list_places(backup))
    except JobError as error:
        rows.update(delete_error=error.sentence)
        logger.warning("Backup %s expired and cannot be deleted yet: %s", backup, error.sentence)
        return False
    rows.delete()
    return True


def list_places(backup: Backup) -> list[str]:
    """Names of all stores where files of the backup may be; a row that names none is of the local one."""
    return stores.order_stores([*backup.stores, *backup.copies.values_list("store", flat=True)]) or [LOCAL]


def _is_used(backup: Backup) -> bool:
    """Whether something reads, copies or restores it."""
    return any(
        related.filter(state__in=ACTIVE_STATES).exists()
        for related in (backup.copies, backup.verifications, backup.restores)
    )


def pin(backup: Backup, reason: str, *, actor: Actor = None, actor_name: str = "") -> None:
    """Keep a backup from expiring while there is a reason; an empty one takes the pin away. Raises RequestError."""
    who = describe_requester(actor, actor_name)["requested_by_name"] if reason else ""
    open_rows = _rows(backup).filter(state=State.DONE, expired_at__isnull=True)
    if not open_rows.update(pin_reason=reason.strip()[:200], pinned_by_name=who):
        raise RequestError(f"Backup {backup.pk} cannot be pinned: it is {backup.state} or has expired.")
    _audit("pinned" if reason else "unpinned", backup, str(backup), actor, actor_name)


def lost_lease() -> JobError:
    """The reason of an attempt that was declared dead while it was only slow."""
    return JobError(ErrorCode.ABANDONED, "The job lost its lease and stopped.")


def find_queued_without_task(model: type[JobT], now: datetime, patience: timedelta) -> list[JobT]:
    """Queued jobs whose task has not come for ``patience``; each is noted as enqueued and given to one caller only."""
    found = []
    late = models.Q(enqueued_at__lte=now - patience) | models.Q(
        enqueued_at__isnull=True, requested_at__lte=now - patience
    )
    for job in model._default_manager.filter(late, state=State.QUEUED):
        same = _rows(job).filter(state=State.QUEUED, enqueued_at=job.enqueued_at)
        if same.update(enqueued_at=now):
            found.append(job)
    return found


def find_unread(kind: str, now: datetime, patience: timedelta) -> list[Backup]:
    """Backups of the last day whose pipeline broke off before it had verified or proven them; tried at most twice.

    Those of the command line are left alone: whoever typed it decides what is read.
    """
    same = Verification.objects.filter(backup=models.OuterRef("pk"), kind=kind)
    is_proof = kind == Verification.Kind.PROVE
    reached = "verified_at" if is_proof else "finished_at"
    missing = {"proven_at__isnull" if is_proof else "verified_at__isnull": True}
    return list(
        Backup.objects.filter(
            models.Q(**{f"{reached}__gt": now - timedelta(days=1), f"{reached}__lte": now - patience}),
            ~models.Exists(same.exclude(outcome=Verification.Outcome.ERROR)),
            state=State.DONE,
            damaged_at__isnull=True,
            **missing,
        )
        .exclude(trigger=Trigger.COMMAND)
        .annotate(tries=models.Count("verifications", filter=models.Q(verifications__kind=kind)))
        .filter(tries__lt=2)
    )


def _finish(job: Job, **fields: Any) -> bool:
    done: dict[str, Any] = {
        "state": State.DONE,
        "phase": "",
        "percent": 100,
        "pace": {},
        "finished_at": timezone.now(),
    }
    return bool(_mine(job).update(lease_expires_at=None, **done, **fields))


def _failure(job: Job, code: ErrorCode, sentence: str) -> dict[str, Any]:
    """What a failed row says; a verification that failed could not tell anything about its backup."""
    fields: dict[str, Any] = {
        "state": State.FAILED,
        "error": sentence[:500],
        "error_code": code,
        "finished_at": timezone.now(),
        "lease_expires_at": None,
    }
    if isinstance(job, BackupCopy):
        minutes = COPY_BACK_OFF_MINUTES[min(job.attempts, len(COPY_BACK_OFF_MINUTES) - 1)]
        fields |= {"attempts": job.attempts + 1, "next_try_at": timezone.now() + timedelta(minutes=minutes)}
    if isinstance(job, Verification):
        fields |= {"outcome": Verification.Outcome.ERROR, "detail": sentence[:500]}
    return fields


def _rows(job: JobT) -> models.QuerySet[JobT]:
    return type(job)._default_manager.filter(pk=job.pk)


def _mine(job: JobT) -> models.QuerySet[JobT]:
    return _rows(job).filter(state=State.RUNNING, application_name=job.application_name)


def _lease() -> timedelta:
    return timedelta(seconds=settings.BACKUP_LEASE_SECONDS)


def require_done(backup: Backup) -> None:
    """Raises RequestError for a backup that there is nothing to read of."""
    if backup.state != State.DONE:
        raise RequestError(f"Backup {backup.pk} is {backup.state}: there is nothing to read.")
    if backup.expired_at is not None:
        raise RequestError(f"Backup {backup.pk} has expired ({backup.expired_because}) and is being deleted.")


def _backup_of(job: Job) -> Backup:
    if isinstance(job, Backup):
        return job
    assert isinstance(job, BackupCopy | Verification | Restore)  # noqa: S101  there are four kinds of job
    return job.backup


def describe_requester(actor: Actor, actor_name: str) -> dict[str, Any]:
    """The columns that say who asked."""
    is_person = actor is not None and actor.is_authenticated
    return {
        "requested_by_id": actor.pk if is_person and actor is not None else None,
        "requested_by_name": actor.get_username() if is_person and actor is not None else actor_name,
    }


def _audit(action: str, backup: Backup, subject: str, actor: Actor, actor_name: str) -> None:
    audit.record(
        action,
        actor=actor,
        actor_name=actor_name,
        environment=backup.environment,
        subject=subject,
        detail={"backup": backup.pk},
    )
