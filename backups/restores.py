"""Restores a backup into a new database, and swaps that in where asked; a name only ever holds a whole database."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from backups import (
    catalogue,
    copying,
    job_runner,
    names,
    pg_binaries,
    proof_roles,
    replacing,
    restoring,
    scratch,
    servers,
    side_schemas,
    swapping,
)
from backups.errors import ErrorCode, JobError, explain_database_error
from backups.models import Backup, Restore
from backups.proof_servers import OWN, ProofServer, ServerFacts, read_server_facts
from backups.servers import Server


def restore(restore_id: int, notice: job_runner.Notice | None = None) -> Restore | None:
    """Do the queued restore and return it as it ended; None when it was not queued any more."""
    job = catalogue.claim(Restore, restore_id)
    if job is None:
        return None
    with job_runner.running(job, notice) as run:
        _restore(run, job)
    return Restore.objects.get(pk=restore_id)


def _restore(run: job_runner.JobRun, job: Restore) -> None:
    # With its database, because other threads must not ask the catalogue for it.
    backup = Backup.objects.select_related("database").get(pk=job.backup_id)
    began = time.monotonic()
    run.enter("looking before leaping")
    if job.mode == Restore.Mode.UNDO:
        replacing.undo(run, job)
        return
    copying.choose_copy(run, backup)
    copying.require_there(run, backup)
    if job.mode == Restore.Mode.SIDE:
        side_schemas.restore_beside(run, job, backup, began)
        return
    own = servers.server_of_restore(job)
    is_new = job.mode == Restore.Mode.NEW
    (server,) = run.wait_for(lambda: servers.find_maintenance(own, run.application_name, or_own=is_new))
    (facts,) = run.wait_for(lambda: read_server_facts(server, run.application_name))
    is_replaced = job.mode == Restore.Mode.REPLACE and job.target_database in facts.databases
    require_possible(backup, facts, server, None if is_replaced else job.target_database)
    client = pg_binaries.find_client(facts.major)
    keep_owners, notes = (False, ()) if backup.is_foreign else decide_owners(facts, backup.metadata)
    if is_replaced:
        in_use = own.with_database(job.target_database)
        run.wait_for(lambda: replacing.require_swappable(server, in_use, run.application_name))
        if not job.skips_safety_backup:
            replacing.take_safety_backup(run, job)

    database = names.name_restoring_database(job.pk)
    if backup.is_foreign and proof_roles.may_make_role(facts):
        _restore_foreign(run, job, backup, ProofServer(OWN, server, facts), began)
        return
    restored = server.with_database(database)
    run.enter("creating the database")
    catalogue.note_scratch(job, OWN, database)
    with restoring.dropped_afterwards(run, server, database):
        notes += restoring.create_scratch(run, server, database, backup.metadata)
        run.wait_for(lambda: swapping.shut_to_others(server, database, run.application_name))
        entries = restoring.choose_entries(run, backup, client.pg_restore)
        run.enter("restoring", 0)
        restoring.restore_artifact(
            run, backup, restored, client.pg_restore, keep_owners=keep_owners, for_proof=False, entries=entries
        )
        run.enter("comparing", 97)
        # Another major version may write some types differently.
        sums = facts.major == int(backup.metadata["server_version_num"]) // 10000
        (found,) = run.wait_for(lambda: restoring.read_restored(restored, backup, run.application_name, sums=sums))
        comparison = restoring.compare(backup, found, notes)
        if not comparison.is_equal:
            raise JobError(ErrorCode.NOT_EQUAL, f"{comparison.sentence} Nothing was kept.")
        if job.masking_sql:
            replacing.mask(run, restored, job.masking_sql)
        if is_replaced:
            replacing.swap_in(run, job, server, database, job.target_database, copies=True)
        else:
            run.enter("renaming", 99)
            _rename(server, database, job.target_database, run.application_name)
        replacing.finish(run, job, comparison, began)


def _restore_foreign(run: job_runner.JobRun, job: Restore, backup: Backup, chosen: ProofServer, began: float) -> None:
    """What came from elsewhere is restored as a role without rights, and belongs to that role for good."""
    name, owner = names.name_restoring_database(job.pk), names.name_foreign_owner(job.target_database, job.pk)
    with scratch.made(run, job, chosen, name, backup.metadata) as made:
        run.wait_for(lambda: swapping.shut_to_others(chosen.server, name, run.application_name))
        scratch.restore_into(run, backup, made)
        (found,) = run.wait_for(lambda: restoring.read_restored(made.server, backup, run.application_name, sums=False))
        note = (
            f"It came from elsewhere, so all of it belongs to the role {owner}, which has no other rights and cannot "
            f"log in: look at it, then run REASSIGN OWNED BY {owner} TO somebody."
        )
        comparison = restoring.compare(backup, found, (*made.notes, note))
        if not comparison.is_equal:
            raise JobError(ErrorCode.NOT_EQUAL, f"{comparison.sentence} Nothing was kept.")
        if job.masking_sql:
            replacing.mask(run, made.server, job.masking_sql)
        run.enter("renaming", 99)
        _rename(chosen.server, name, job.target_database, run.application_name, owner=owner)
        replacing.finish(run, job, comparison, began)


def require_possible(backup: Backup, facts: ServerFacts, server: Server, target: str | None) -> None:
    """Raises JobError with what stands in the way, before anything is made; ``target`` is a name that must be free."""
    where = server.place.server
    if target in facts.databases:
        raise name_taken(where, str(target))
    if not facts.may_create_databases:
        raise JobError(
            ErrorCode.NO_CREATEDB,
            f"{server.place.user or 'The role'} may not create databases on {where}: "
            f"run ALTER ROLE {server.place.user} CREATEDB there. Where the provider forbids that, take tables into a "
            "schema beside, or make an empty database in its console and restore an export into it (restore runbook).",
        )
    major = pg_binaries.archive_major(int(backup.metadata["server_version_num"]), backup.tool_version)
    if facts.major < major:
        raise JobError(
            ErrorCode.TOOL_FAILED,
            f"The backup is of PostgreSQL {major} and {where} runs {facts.major}, which is too old for it.",
        )
    needed = {str(extension["name"]) for extension in backup.metadata.get("extensions", [])}
    if missing := sorted(needed - facts.extensions):
        raise JobError(
            ErrorCode.TOOL_FAILED, f"The server {where} lacks the extension {', '.join(missing)}: install it there."
        )


def decide_owners(facts: ServerFacts, metadata: Mapping[str, Any]) -> tuple[bool, tuple[str, ...]]:
    """Whether owners and privileges can be kept, and what to tell when not."""
    missing = sorted({str(role) for role in metadata.get("roles", [])} - facts.roles)
    if missing:
        return False, (f"Owners and privileges are left out, because the server lacks the role {missing[0]}.",)
    if not facts.is_superuser:
        return False, ("Owners and privileges are left out, because only a superuser can give them to others.",)
    return True, ()


def name_taken(where: str, name: str) -> JobError:
    """The reason that stands in for overwriting something."""
    return JobError(
        ErrorCode.NAME_TAKEN, f"The server {where} already has a database {name}: choose a name that is free."
    )


def _rename(server: Server, database: str, target: str, application_name: str, *, owner: str = "") -> None:
    """Give the database its name; its role of the same name becomes ``owner``, where there is one to become."""
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(database), sql.Identifier(target))
    admit = sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO PUBLIC").format(sql.Identifier(target))
    # By this the reaper knows that it was done, when the worker dies before it can say so.
    mark = sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(target), sql.Literal(application_name))
    with server.connect(application_name) as connection:
        try:
            with connection.transaction():
                connection.execute(rename)
                connection.execute(admit)
                connection.execute(mark)
                if owner:
                    old, new = sql.Identifier(database), sql.Identifier(owner)
                    connection.execute(sql.SQL("ALTER ROLE {} RENAME TO {}").format(old, new))
                    connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(new))
        except psycopg.errors.DuplicateDatabase:
            raise name_taken(server.place.server, target) from None
        except psycopg.Error as error:
            raise explain_database_error(error, server.place) from None
