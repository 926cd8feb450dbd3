"""Puts a restored database in the place of the one in use, and back; writes servers, and the catalogue's restores."""

from __future__ import annotations

import time

import psycopg

from backups import catalogue, dumps, job_runner, names, servers, swapping
from backups.errors import CAN_PASS, ErrorCode, JobError, RequestError, explain_database_error
from backups.models import Restore, State, Trigger
from backups.restoring import Comparison
from backups.servers import Server
from backups.swapping import LiveFacts, Swap


def require_swappable(admin: Server, server: Server, application_name: str) -> LiveFacts | None:
    """The database in use, None where there is none. Raises JobError with the first thing that forbids a swap."""
    live = server.place.database
    facts = swapping.read_live_facts(admin, live, application_name)
    if facts is not None and (objections := swapping.object_to_swap(facts, live, server.place.user)):
        raise JobError(ErrorCode.PERMISSION, objections[0])
    return facts


def take_safety_backup(run: job_runner.JobRun, job: Restore) -> None:
    """Back up the database in use before it is replaced. Raises JobError when that does not succeed."""
    database = job.target or job.backup.database
    assert database is not None  # noqa: S101  its server was asked already
    run.enter("taking a safety backup")
    try:
        request = catalogue.request_backup(database, actor_name=f"restore {job.pk}", trigger=Trigger.RESTORE)
    except RequestError as error:
        raise JobError(ErrorCode.BUSY, str(error)) from None
    taken = dumps.take(request.pk, lambda phase, percent: run.show(f"safety backup: {phase}", percent), within=run)
    run.enter("safety backup taken")
    if taken is None or taken.state != State.DONE:
        reason = taken.error if taken else "it was cancelled"
        if taken is not None and taken.error_code in CAN_PASS:
            # Nobody is to go without a safety backup for want of a second try.
            raise JobError(ErrorCode(taken.error_code), f"The safety backup failed, and nothing was replaced. {reason}")
        raise JobError(
            ErrorCode.TOOL_FAILED,
            f"The safety backup failed, and nothing was replaced ({reason}): "
            "restore into a new database instead, or replace without a safety backup.",
        )
    catalogue.note_safety_backup(job, taken)


def mask(run: job_runner.JobRun, scratch: Server, script: str) -> None:
    """Run the masking script in one transaction, while nobody else can connect. Raises JobError."""

    def execute() -> None:
        with scratch.connect(run.application_name) as connection, run.stopped_by(connection.cancel):
            try:
                with connection.transaction():
                    connection.execute(script.encode())
            except psycopg.Error as error:
                said = error.diag.message_primary or explain_database_error(error, scratch.place).sentence
                raise JobError(
                    ErrorCode.TOOL_FAILED, f"The masking script failed, and nothing was kept: {said}."
                ) from None

    run.enter("masking", 98)
    run.wait_for(execute)


def swap_in(run: job_runner.JobRun, job: Restore, admin: Server, incoming: str, live: str, *, copies: bool) -> None:
    """Swap ``incoming`` into the name ``live``. From the note on, whoever comes after knows what to reopen."""
    facts = swapping.read_live_facts(admin, live, run.application_name)
    new = swapping.read_live_facts(admin, incoming, run.application_name)
    if facts is None or new is None:
        missing = live if facts is None else incoming
        raise JobError(
            ErrorCode.DATABASE_MISSING, f"The server {admin.place.server} has no database {missing} any more."
        )
    swap = Swap(live, incoming, names.name_kept_database(job.pk), facts.oid, new.oid)
    catalogue.note_swap(job, swap.as_json_object())
    run.enter("swapping", 99)
    # From here until the row says done, a stop at any line leaves the names to the reaper, who asks the server.
    run.is_clean = False
    try:
        # Not stoppable: it takes a second, and half of it must never stay.
        run.finish(lambda: swapping.swap(admin, swap, facts, run.application_name, copies=copies))
    except JobError:
        run.is_clean = True
        raise


def finish(run: job_runner.JobRun, job: Restore, comparison: Comparison | None, began: float) -> None:
    """Tell the catalogue what came of it."""
    compared = comparison.as_json_object() if comparison else {}
    duration_ms = round((time.monotonic() - began) * 1000)
    run.persist(lambda: catalogue.finish_restore(job, compared=compared, duration_ms=duration_ms))
    run.is_clean = True


def undo(run: job_runner.JobRun, job: Restore) -> None:
    """Give the database before its name back; the one that was restored is kept in its place."""
    began = time.monotonic()
    undone = job.undoes
    if undone is None or not undone.can_be_undone:
        raise JobError(ErrorCode.DATABASE_MISSING, "The database before that restore is not kept any more.")
    server = servers.server_of_restore(job)
    admin = servers.find_maintenance(server, run.application_name)
    kept = undone.kept_database
    run.enter("looking before leaping")
    facts = require_swappable(admin, server.with_database(job.target_database), run.application_name)
    before = swapping.read_live_facts(admin, kept, run.application_name)
    if before is None or facts is None or before.oid != undone.swap.get("live_oid"):
        raise JobError(
            ErrorCode.DATABASE_MISSING,
            f"The database {kept} that was kept on {admin.place.server} is not there any more: restore a backup.",
        )
    swap_in(run, job, admin, kept, job.target_database, copies=False)
    finish(run, job, None, began)
