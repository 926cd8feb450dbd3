"""Ends what died: fails jobs whose holder is gone, and removes what their attempts left on servers, disks and here."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import psycopg
from django.utils import timezone

from backups import catalogue, copying, imports, leftovers, restore_requests, servers, storage, stores, swapping
from backups.errors import JobError
from backups.models import ACTIVE_STATES, Backup, BackupCopy, Job, Restore, State, Verification
from backups.proof_roles import drop_role
from backups.proof_servers import find_server
from backups.restoring import drop_scratch
from backups.servers import Server
from backups.side_schemas import drop_if_ours

logger = logging.getLogger(__name__)

# A server that is gone for good is not asked for ever, and not by many at once: the reaper itself has a deadline.
SWEEP_DAYS = 7
SWEEPS_PER_RUN = 5


def reap() -> int:
    """Fail every abandoned job, then sweep; how many jobs were failed. Safe anywhere at any time, twice at once."""
    failed = 0
    for model in catalogue.JOB_MODELS:
        for job in model._default_manager.filter(state=State.RUNNING):
            failed += catalogue.fail_if_abandoned(job)
    for model in catalogue.JOB_MODELS:
        recent = timezone.now() - timedelta(days=SWEEP_DAYS)
        unswept = model._default_manager.filter(is_swept=False, finished_at__gte=recent).exclude(
            state__in=ACTIVE_STATES
        )
        for job in unswept.order_by("?")[:SWEEPS_PER_RUN]:
            sweep(job)
    restore_requests.expire_waiting(timezone.now())
    drop_kept_databases(timezone.now())
    leftovers.sweep_files(servers.temporary_directory())
    copying.sweep_spool()
    return failed


def sweep(job: Job) -> None:
    """Remove everything that the attempt may have left; what cannot be removed now is left to the next reaper."""
    leftovers.end_children(job.worker)
    try:
        if isinstance(job, Backup):
            _sweep_backup(job)
        elif isinstance(job, BackupCopy):
            _sweep_copy(job)
        elif isinstance(job, Verification | Restore):
            _sweep_scratch(job)
    except (JobError, OSError) as error:
        logger.warning("What %s left behind cannot be removed yet: %s", job, error)
        return
    catalogue.mark_swept(job)


def drop_kept_databases(now: datetime) -> int:
    """Drop the databases that were kept after a restore and whose time is over; how many."""
    dropped = 0
    for restore in Restore.objects.filter(kept_database__gt="", kept_until__lte=now)[:SWEEPS_PER_RUN]:
        try:
            admin = servers.find_maintenance(servers.server_of_restore(restore), _reaper_name())
            swapping.drop_kept(admin, restore.kept_database, _reaper_name())
        except JobError as error:
            logger.warning("The database %s is kept on: %s", restore.kept_database, error.sentence)
            continue
        catalogue.note_kept_gone(restore)
        dropped += 1
    return dropped


def _settle_swap(restore: Restore) -> None:
    """Ask the server whether a swap took place: then the row says so, otherwise what was closed is reopened."""
    swap = swapping.Swap(**restore.swap)
    admin = servers.find_maintenance(servers.server_of_restore(restore), _reaper_name())
    _end_sessions(admin, restore.application_name)
    if swapping.is_swapped(admin, swap, _reaper_name()):
        catalogue.settle_restore(restore)
    elif swapping.reopen(admin, swap.live, swap.live_oid, _reaper_name()):
        logger.warning("%s was closed when its restore died, and is open again.", swap.live)


def _sweep_backup(backup: Backup) -> None:
    if backup.state != State.DONE:
        storage.delete_artifact(backup.artifact, catalogue.list_places(backup))
    storage.delete_artifact(imports.uploaded_file(backup))
    if backup.scratch:
        _sweep_scratch(backup)
        return
    try:
        _end_sessions(servers.server_of_backup(backup), backup.application_name)
    except JobError as error:
        # Sessions end with their client anyway, at the latest when their wait for a lock times out.
        logger.info("The sessions of %s were not looked for: %s", backup, error.sentence)


def _sweep_copy(job: BackupCopy) -> None:
    """A copy that is not there leaves at most what an upload left that broke off; the next try writes over the rest."""
    if job.state != State.DONE:
        store = stores.open_store(job.store)
        for name in (job.backup.artifact, storage.name_globals(job.backup.artifact)):
            store.clear_partial(name)


def _sweep_scratch(job: Verification | Restore | Backup) -> None:
    if isinstance(job, Restore) and job.swap and job.state != State.DONE:
        _settle_swap(job)
    if not job.scratch:
        return
    if isinstance(job, Restore) and job.mode == Restore.Mode.SIDE:
        if job.state != State.DONE:
            target = servers.server_of_restore(job).with_database(job.target_database)
            _end_sessions(target, job.application_name)
            drop_if_ours(target, job.side_schema, job.application_name, _reaper_name())
        server = find_server(job.scratch["server"], job.backup)
    elif isinstance(job, Restore):
        server = servers.find_maintenance(servers.server_of_restore(job), _reaper_name(), or_own=True)
    else:
        server = find_server(job.scratch["server"], job if isinstance(job, Backup) else job.backup)
    _end_sessions(server, job.application_name)
    if isinstance(job, Restore) and job.mode == Restore.Mode.NEW and job.state != State.DONE:
        made = swapping.read_live_facts(server, job.target_database, _reaper_name())
        if made is not None and made.comment == job.application_name:
            catalogue.settle_restore(job)
    drop_scratch(server, job.scratch["database"], _reaper_name())
    if role := job.scratch.get("role"):
        drop_role(server, role, _reaper_name())


def _end_sessions(server: Server, application_name: str) -> None:
    """End the sessions of one attempt; its name holds random digits, so nobody else's match."""
    if not application_name:
        return
    with server.connect(_reaper_name()) as connection:
        try:
            connection.execute(
                "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
                "WHERE pg_catalog.starts_with(application_name, %s) AND pid <> pg_catalog.pg_backend_pid()",
                [application_name],
            )
        except psycopg.Error as error:
            logger.info("Sessions of %s could not be ended: %s", application_name, error.sqlstate)


def _reaper_name() -> str:
    return "preflight reaper"
