"""Composes one dump: snapshot, pg_dump, pipeline, artifact, manifest; writes the artifact store and the catalogue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC
from functools import partial
from typing import Any

from django.conf import settings
from django.utils import timezone

from backups import age_keys, catalogue, job_runner, pg_binaries, pg_commands, pipeline, servers, storage
from backups.answering import answering
from backups.errors import ErrorCode, JobError, Place, explain, explain_store_error
from backups.models import Backup, State
from backups.process import Child
from backups.progress import DumpProgress, watch_copies
from backups.servers import Server
from backups.snapshot import SnapshotFacts, hold_snapshot

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
        server = servers.own_server(backup.database)
        for attempt in range(1, LOCK_ATTEMPTS + 1):
            try:
                dump_from(run, backup, server)
                break
            except JobError as error:
                if error.code != ErrorCode.LOCK_TIMEOUT or attempt == LOCK_ATTEMPTS:
                    raise
                run.enter("waiting for a lock")
    return Backup.objects.get(pk=backup_id)


def dump_from(run: job_runner.JobRun, backup: Backup, server: Server) -> None:
    """Dump the database of ``server`` as the claimed backup. Raises JobError."""
    recipients = age_keys.load_recipients()
    run.enter("connecting")
    with run.opened(hold_snapshot(server, run.application_name)) as held, run.stopped_by(held.interrupt):
        facts = held.facts
        client = pg_binaries.find_client(facts.major)
        _require_space(backup, facts.database_size_bytes)
        name = storage.name_artifact(backup.environment_slug, backup.database_name, backup.pk, timezone.now())
        catalogue.note_artifact(backup, name)
        progress = DumpProgress(run.show)
        began = time.monotonic()
        with (
            storage.new_artifact(name) as artifact,
            server.service_file(run.application_name) as service,
            watch_copies(server, run.application_name, progress.see_tuples),
            answering(run, server),
            run.child(
                pg_commands.dump_database(client.pg_dump, service, facts.snapshot_id),
                secrets=server.secrets,
                gives_stdout=True,
                on_line=progress.hear,
            ) as child,
        ):

            def pump() -> pipeline.Written:
                try:
                    written = pipeline.write_stream(child.stdout, artifact.file, recipients, settings.BACKUP_ZSTD_LEVEL)
                except OSError as error:
                    raise explain_store_error(error, str(artifact.path.parent)) from None
                require_success(child, server.place)
                return written

            def count() -> tuple[dict[str, int], dict[str, str]]:
                counts = held.count_rows()
                progress.learn_counts(counts)
                under_bytes = settings.CHECKSUM_TABLES_UNDER_MB * 1_000_000
                return counts, held.checksum_tables(under_bytes, counts.keys())

            run.enter("reading the schema")
            written, (tables, checksums) = run.wait_for(pump, count)
            run.enter("storing", 99)
            # From here until the row says done, a stop at any line leaves the files to the reaper, who asks the row.
            run.is_clean = False
            run.wait_for(artifact.seal)
        duration_ms = round((time.monotonic() - began) * 1000)
    metadata = {**facts.as_metadata(), "checksums": checksums, **backup.metadata}
    if backup.is_foreign:
        # The role it was restored as is gone by the time that anybody reads this.
        metadata["roles"] = []
    _catalogue(run, backup, facts, metadata, tables, written, client.version, duration_ms)


def _catalogue(
    run: job_runner.JobRun,
    backup: Backup,
    facts: SnapshotFacts,
    metadata: Mapping[str, Any],
    tables: Mapping[str, int],
    written: pipeline.Written,
    tool_version: str,
    duration_ms: int,
) -> None:
    """The manifest comes after the artifact, the catalogue after both; what goes wrong here takes the files away."""
    try:
        manifest = _build_manifest(backup, facts, metadata, tables, written, tool_version)
        manifest_sha256 = storage.write_manifest(backup.artifact, manifest)
    except Exception:
        storage.delete_artifact(backup.artifact)
        raise
    finish = partial(
        catalogue.finish_backup,
        backup,
        facts=facts,
        metadata=metadata,
        tables=tables,
        written=written,
        manifest_sha256=manifest_sha256,
        tool_version=tool_version,
        duration_ms=duration_ms,
    )
    # A second try after a lost answer finds that the first one had worked.
    if not (run.persist(finish) or run.persist(partial(catalogue.is_done, backup))):
        storage.delete_artifact(backup.artifact)
    run.is_clean = True


def _build_manifest(
    backup: Backup,
    facts: SnapshotFacts,
    metadata: Mapping[str, Any],
    tables: Mapping[str, int],
    written: pipeline.Written,
    tool_version: str,
) -> dict[str, Any]:
    return {
        "format": MANIFEST_FORMAT,
        "id": backup.pk,
        "environment": backup.environment_slug,
        "database": backup.database_name,
        "artifact": backup.artifact,
        "bytes": written.bytes,
        "sha256": written.sha256,
        "plain_bytes": written.plain_bytes,
        "layers": ["pg_dump custom archive", "zstd", "age"],
        "recipients": age_keys.recipient_names(),
        "tool": f"pg_dump {tool_version}",
        "requested_at": backup.requested_at.astimezone(UTC).isoformat(),
        "snapshot": facts.as_point_in_time(),
        "tables": dict(tables),
        "metadata": dict(metadata),
    }


def _require_space(backup: Backup, database_size_bytes: int) -> None:
    """Refuse before writing: half as much again as the last one took, or the whole database where there was none."""
    last = (
        Backup.objects.filter(database=backup.database, state=State.DONE, bytes__isnull=False)
        .order_by("-taken_at")
        .values_list("bytes", flat=True)
        .first()
    )
    need = database_size_bytes if last is None else min(database_size_bytes, last * 3 // 2)
    free = storage.free_bytes()
    if free < need:
        raise JobError(
            ErrorCode.NO_SPACE,
            f"The backup store {storage.store_directory()} has {_megabytes(free)} free and this backup may need "
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
