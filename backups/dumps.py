"""Composes one dump: snapshot, pg_dump, pipeline, artifact, manifest; writes artifact stores and the catalogue."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from typing import IO, Any

from django.conf import settings
from django.utils import timezone

from backups import (
    age_keys,
    catalogue,
    copying,
    job_runner,
    pg_binaries,
    pg_commands,
    pipeline,
    servers,
    storage,
    store_records,
    stores,
)
from backups.answering import answering
from backups.errors import ErrorCode, JobError, Place, explain, explain_store_error
from backups.large_objects import LargeObjects
from backups.models import Backup, State
from backups.pg_binaries import ClientBinaries
from backups.process import Child
from backups.progress import DumpProgress, watch_copies
from backups.selection import parse_selection
from backups.servers import Server
from backups.snapshot import HeldSnapshot, SnapshotFacts, hold_snapshot
from backups.store_config import LOCAL
from backups.stores import DirectoryStore

# What another session does to tables ends a dump that has hardly begun; a new snapshot knows better.
BEGINS_AGAIN = {ErrorCode.LOCK_TIMEOUT: "waiting for a lock", ErrorCode.TABLE_DROPPED: "beginning again"}
LOCK_ATTEMPTS = 3
MANIFEST_FORMAT = 1


def take(
    backup_id: int, notice: job_runner.Notice | None = None, within: job_runner.JobRun | None = None
) -> Backup | None:
    """Take the queued backup and return it as it ended; None when it was not queued any more."""
    backup = catalogue.claim(Backup, backup_id)
    if backup is None:
        return None
    with job_runner.running(backup, notice, within) as run:
        server = servers.server_of_backup(backup)
        for attempt in range(1, LOCK_ATTEMPTS + 1):
            try:
                dump_from(run, backup, server)
                break
            except JobError as error:
                if error.code not in BEGINS_AGAIN or attempt == LOCK_ATTEMPTS:
                    raise
                run.enter(BEGINS_AGAIN[error.code])
    copying.sweep_spool()
    return Backup.objects.get(pk=backup_id)


@dataclass
class _Taken:
    """What is known of a dump when its files are in the directory ``at``."""

    at: DirectoryStore
    facts: SnapshotFacts
    metadata: Mapping[str, Any]
    tables: Mapping[str, int]
    written: pipeline.Written
    tool_version: str
    duration_ms: int
    globals_: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def dump_from(run: job_runner.JobRun, backup: Backup, server: Server) -> None:
    """Dump the database of ``server`` as the claimed backup. Raises JobError."""
    recipients = age_keys.load_recipients()
    at = stores.local_store() if LOCAL in backup.stores else stores.spool()
    run.enter("connecting")
    with run.opened(hold_snapshot(server, run.application_name)) as held, run.stopped_by(held.interrupt):
        facts = held.facts
        client, warning = pg_binaries.find_dump_client(facts.major)
        selection = held.resolve(parse_selection(**backup.selection))
        _require_space(backup, at, facts.database_size_bytes)
        name = storage.name_artifact(backup.environment_slug, backup.database_name, backup.pk, timezone.now())
        catalogue.note_artifact(backup, name)
        progress = DumpProgress(run.show)
        began = time.monotonic()
        with (
            storage.new_artifact(name, at) as artifact,
            server.service_file(run.application_name) as service,
            watch_copies(server, run.application_name, progress.see_tuples),
            answering(run, server),
            run.child(
                pg_commands.dump_database(client.pg_dump, service, facts.snapshot_id, selection),
                secrets=server.secrets,
                gives_stdout=True,
                on_line=progress.hear,
            ) as child,
        ):

            def pump() -> pipeline.Written:
                written = _compress(child.stdout, artifact, recipients, run)
                require_success(child, server.place)
                return written

            def count() -> tuple[dict[str, int], dict[str, str], LargeObjects]:
                counts = held.count_rows(selection=selection)
                progress.learn_counts(counts)
                under_bytes = settings.CHECKSUM_TABLES_UNDER_MB * 1_000_000
                checksums = held.checksum_tables(under_bytes, counts.keys())
                return counts, checksums, held.read_large_objects(under_bytes)

            run.enter("reading the schema")
            written, (tables, checksums, large_objects) = run.wait_for(pump, count)
            run.enter("storing", 99)
            # From here until the row says done, a stop at any line leaves the files to the reaper, who asks the row.
            run.is_clean = False
            run.wait_for(artifact.seal)
        duration_ms = round((time.monotonic() - began) * 1000)
        kept = large_objects if selection.holds_large_objects else LargeObjects(0)
        metadata = _describe(backup, facts, checksums, kept)
        taken = _Taken(at, facts, metadata, tables, written, client.version, duration_ms)
        taken.warnings += [warning] if warning else []
        if kept.count != large_objects.count:
            taken.warnings.append(
                f"The {large_objects.count:,} large objects of {facts.database} are not in it, because they are of no "
                "schema and pg_dump leaves them out where schemas or tables are named: take the whole database as well."
            )
        if backup.with_globals:
            with _removed_on_failure(backup):
                _dump_globals(run, backup, server, client, held, taken)
    with _removed_on_failure(backup):
        _catalogue(run, backup, taken)


def _describe(
    backup: Backup, facts: SnapshotFacts, checksums: Mapping[str, str], large_objects: LargeObjects
) -> dict[str, Any]:
    """What a restore must know of the backup; where it came from elsewhere, the backup says so already."""
    of_rows = {"checksums": dict(checksums), "large_objects": large_objects.as_json_object()}
    metadata = {**facts.as_metadata(), **of_rows, **backup.metadata}
    if backup.is_foreign:
        # The role it was restored as is gone by the time that anybody reads this.
        metadata |= {"roles": [], "owner": ""}
    return metadata


def _compress(
    source: IO[bytes], artifact: stores.NewFile, recipients: Sequence[Any], run: job_runner.JobRun
) -> pipeline.Written:
    try:
        return pipeline.write_stream(
            source, artifact.file, recipients, settings.BACKUP_ZSTD_LEVEL, on_bytes=run.see_bytes
        )
    except OSError as error:
        raise explain_store_error(error, str(artifact.path.parent)) from None


def _dump_globals(
    run: job_runner.JobRun,
    backup: Backup,
    server: Server,
    client: ClientBinaries,
    held: HeldSnapshot,
    taken: _Taken,
) -> None:
    """The server's roles and settings, beside the artifact; what the role may not read becomes a warning."""
    run.enter("dumping roles and settings of the server", 99)
    (has_passwords,) = run.wait_for(held.may_read_passwords)
    if not has_passwords:
        taken.warnings.append(
            f"The roles were dumped without their passwords, since {server.place.user or 'the role'} may not read "
            "pg_authid: after a restore, set new passwords."
        )
    name = storage.name_globals(backup.artifact)
    with (
        storage.new_artifact(name, taken.at) as artifact,
        server.service_file(run.application_name) as service,
        run.child(
            pg_commands.dump_globals(client.pg_dumpall, service, with_passwords=has_passwords),
            secrets=server.secrets,
            gives_stdout=True,
        ) as child,
    ):

        def pump() -> pipeline.Written:
            written = _compress(child.stdout, artifact, age_keys.load_recipients(), run)
            require_success(child, server.place)
            return written

        (written,) = run.wait_for(pump)
        run.wait_for(artifact.seal)
    taken.globals_ = {
        "artifact": name,
        "bytes": written.bytes,
        "sha256": written.sha256,
        "plain_bytes": written.plain_bytes,
        "has_passwords": has_passwords,
    }


@contextmanager
def _removed_on_failure(backup: Backup) -> Iterator[None]:
    """What goes wrong takes the files of this machine away at once; remote stores are the reaper's, who has time."""
    try:
        yield
    except Exception:
        storage.delete_artifact(backup.artifact, [LOCAL] if LOCAL in backup.stores else [])
        raise


def _catalogue(run: job_runner.JobRun, backup: Backup, taken: _Taken) -> None:
    """The manifest comes after the artifact, the catalogue after both; what goes wrong here takes the files away."""
    manifest = _build_manifest(backup, taken)
    backup.sha256, backup.globals, backup.bytes = taken.written.sha256, taken.globals_, taken.written.bytes
    backup.manifest_sha256 = storage.write_manifest(backup.artifact, manifest, taken.at)
    stored_in = LOCAL if LOCAL in backup.stores else _send_to_one(run, backup, taken.at)
    finish = partial(
        catalogue.finish_backup,
        backup,
        facts=taken.facts,
        metadata=taken.metadata,
        tables=taken.tables,
        written=taken.written,
        manifest_sha256=backup.manifest_sha256,
        tool_version=taken.tool_version,
        duration_ms=taken.duration_ms,
        globals_=taken.globals_,
        warnings=taken.warnings,
        stored_in=stored_in,
    )
    # A second try after a lost answer finds that the first one had worked.
    if not (run.persist(finish) or run.persist(partial(catalogue.is_done, backup))):
        storage.delete_artifact(backup.artifact, backup.stores)
    else:
        run.persist(partial(store_records.note_usable, stored_in))
    run.is_clean = True


def _send_to_one(run: job_runner.JobRun, backup: Backup, at: DirectoryStore) -> str:
    """Send the files to the first of the backup's stores that takes them; its name. Raises JobError when none does."""
    first: JobError | None = None
    names: list[str] = backup.stores
    for name in names:
        try:
            copying.send(run, backup, at, stores.open_store(name))
        except JobError as error:
            if error.code not in copying.TRY_ANOTHER:
                raise
            run.persist(partial(store_records.note_error, name, error.sentence))
            first = first or error
            continue
        return name
    assert first is not None  # noqa: S101  a backup has at least one store
    raise first


def _build_manifest(backup: Backup, taken: _Taken) -> dict[str, Any]:
    return {
        "format": MANIFEST_FORMAT,
        "id": backup.pk,
        "environment": backup.environment_slug,
        "database": backup.database_name,
        "sibling": backup.sibling,
        "artifact": backup.artifact,
        "bytes": taken.written.bytes,
        "sha256": taken.written.sha256,
        "plain_bytes": taken.written.plain_bytes,
        "layers": ["pg_dump custom archive", "zstd", "age"],
        "recipients": age_keys.recipient_names(),
        "tool": f"pg_dump {taken.tool_version}",
        "requested_at": backup.requested_at.astimezone(UTC).isoformat(),
        "snapshot": taken.facts.as_point_in_time(),
        "tables": dict(taken.tables),
        "selection": backup.selection,
        "globals": taken.globals_,
        "warnings": taken.warnings,
        "metadata": dict(taken.metadata),
    }


def _require_space(backup: Backup, at: DirectoryStore, database_size_bytes: int) -> None:
    """Refuse before writing: half as much again as the last one took, or the whole database where there was none."""
    last = (
        # Dumps from elsewhere have no database and nothing in common.
        None
        if backup.database is None
        else Backup.objects.filter(
            database=backup.database,
            sibling=backup.sibling,
            selection=backup.selection,
            state=State.DONE,
            bytes__isnull=False,
        )
        .order_by("-taken_at")
        .values_list("bytes", flat=True)
        .first()
    )
    need = database_size_bytes if last is None else min(database_size_bytes, last * 3 // 2)
    free = at.free_bytes()
    if free < need:
        raise JobError(
            ErrorCode.NO_SPACE,
            f"The backup store {at.directory} has {_megabytes(free)} free and this backup may need "
            f"{_megabytes(need)}: free some space and try again.",
        )


def require_success(child: Child, place: Place) -> None:
    """Wait for a program to end, however long that takes. Raises JobError with its complaint in one sentence."""
    status = child.wait()
    if status < 0:
        raise JobError(ErrorCode.STOPPED, f"{child.program} was killed by signal {-status}: try again.")
    if status != 0:
        raise explain(child.complaint, place, child.program)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:,.0f} MB"
