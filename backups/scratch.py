"""Makes a scratch database on a proof server, with a role of its own where ours has too many rights; drops both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from backups import catalogue, job_runner, pg_binaries, proof_checks, proof_roles, restoring
from backups.errors import ErrorCode, JobError
from backups.models import Backup, Restore, Verification
from backups.pg_binaries import ClientBinaries
from backups.proof_servers import ProofServer
from backups.servers import Server


@dataclass(frozen=True)
class Scratch:
    """An empty database like the original: ``server`` is it as whoever restores, ``ours`` as the role that made it.

    ``role`` is "" where ours has no rights worth stealing. ``made_schemas`` are there already, for extensions.
    """

    chosen: ProofServer
    client: ClientBinaries
    server: Server
    ours: Server
    role: str
    made_schemas: frozenset[str]
    notes: tuple[str, ...]
    reads_indexes: bool


@contextmanager
def made(
    run: job_runner.JobRun,
    job: Verification | Restore | Backup,
    chosen: ProofServer,
    name: str,
    metadata: Mapping[str, Any],
    *,
    reads_indexes: bool = False,
) -> Iterator[Scratch]:
    """The scratch database ``name`` for the block, with the extensions of ``metadata``. Raises JobError."""
    client = pg_binaries.find_client(chosen.facts.major)
    role = name if proof_roles.may_make_role(chosen.facts) else ""
    reads_indexes = reads_indexes and bool(role) and _may_read_indexes(chosen, client)
    ours = chosen.server.with_database(name)
    run.enter("creating a scratch database")
    catalogue.note_scratch(job, chosen.kind, name, role)
    with restoring.dropped_afterwards(run, chosen.server, name, role):
        as_role, made_schemas = chosen.server, frozenset[str]()
        if role:
            (as_role,) = run.wait_for(lambda: proof_roles.create_role(chosen.server, role, run.application_name))
        notes = restoring.create_scratch(run, chosen.server, name, metadata, role)
        server = as_role.with_database(name)
        if role:
            run.wait_for(lambda: proof_roles.require_login(server, run.application_name))
            if reads_indexes:
                run.wait_for(lambda: proof_checks.prepare_amcheck(ours, role, run.application_name))
            extensions = metadata.get("extensions", [])
            (made_schemas,) = run.wait_for(
                lambda: proof_roles.create_extensions(ours, role, extensions, run.application_name)
            )
        yield Scratch(chosen, client, server, ours, role, made_schemas, notes, reads_indexes)


def restore_into(
    run: job_runner.JobRun, backup: Backup, scratch: Scratch, keeps: Callable[[str], bool] | None = None
) -> None:
    """Restore the backup, or the entries of its contents that ``keeps`` says, so that all rows can be counted.

    Raises JobError: NOT_PROVABLE for what asks for more rights than the scratch database's role has.
    """
    entries = restoring.choose_entries(run, backup, scratch.client.pg_restore, scratch.made_schemas, keeps)
    run.enter("restoring", 0)
    try:
        restoring.restore_artifact(
            run,
            backup,
            scratch.server,
            scratch.client.pg_restore,
            keep_owners=False,
            for_proof=True,
            entries=entries,
        )
    except JobError as error:
        if scratch.role and error.code in {ErrorCode.NOT_PROVABLE, ErrorCode.PERMISSION}:
            raise needs_more_rights(error) from None
        raise
    run.enter("comparing", 97)
    if scratch.role:
        run.wait_for(lambda: proof_roles.see_all_rows(scratch.server, run.application_name))


def needs_more_rights(error: JobError) -> JobError:
    """The reason for what a role without rights could not restore."""
    return JobError(
        ErrorCode.NOT_PROVABLE,
        f"A proof runs without the rights of a superuser, and this backup asks for more ({error.said}): "
        "look at what it holds, and restore it into a new database if you trust it.",
    )


def _may_read_indexes(chosen: ProofServer, client: ClientBinaries) -> bool:
    """pg_amcheck needs an extension that only a superuser may make."""
    return chosen.facts.is_superuser and "amcheck" in chosen.facts.extensions and client.find("pg_amcheck") is not None
