"""How the catalogue's rows look as JSON objects for scripts; reads rows it is given, writes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from backups import storage, stores
from backups.models import Backup, BackupCopy, Job, Restore, State, Verification

_SNAPSHOT_KEYS = ("lsn", "timeline", "taken_at", "system_identifier", "server_version")


def describe_backup(backup: Backup) -> dict[str, Any]:
    """Everything a script needs of one backup; ``artifact`` is an absolute path or URL, null while there is none."""
    return {
        **describe_listed(backup),
        "snapshot": {key: backup.snapshot.get(key) for key in _SNAPSHOT_KEYS},
        "tables": backup.tables,
        "copies": [describe_copy(copy) for copy in backup.copies.select_related("backup")],
        "globals": backup.globals or None,
        "warnings": backup.warnings,
    }


def describe_listed(backup: Backup) -> dict[str, Any]:
    """One line of a listing."""
    is_there = backup.state == "done" and bool(backup.artifact)
    return {
        "id": backup.pk,
        "environment": backup.environment_slug,
        "database": backup.database_name,
        "status": backup.status,
        "artifact": _address(backup) if is_there else None,
        "bytes": backup.bytes,
        "sha256": backup.sha256 or None,
        "duration_ms": backup.duration_ms,
        "requested_at": _iso(backup.requested_at),
        "taken_at": _iso(backup.taken_at),
        "verified_at": _iso(backup.verified_at),
        "proven_at": _iso(backup.proven_at),
        "trigger": backup.trigger,
        "error": backup.damage or backup.error,
    }


def describe_copy(copy: BackupCopy) -> dict[str, Any]:
    """Where the backup is, or is to be, and how that went."""
    return {
        "store": copy.store,
        "state": "damaged" if copy.damaged_at and copy.state == State.DONE else copy.state,
        "address": storage.artifact_address(copy.backup.artifact, copy.store),
        "read_back_at": _iso(copy.read_back_at),
        "next_try_at": _iso(copy.next_try_at),
        "error": copy.error,
    }


def describe_verification(verification: Verification, backup: Backup) -> dict[str, Any]:
    """What one verify or prove showed; ``status`` is the backup's afterwards."""
    return {
        "id": backup.pk,
        "kind": verification.kind,
        "outcome": verification.outcome or verification.state,
        "status": backup.status,
        "detail": verification.detail or verification.error,
        "artifact": _address(backup),
        "duration_ms": _duration_ms(verification),
        "compared": verification.compared,
    }


def describe_restore(restore: Restore) -> dict[str, Any]:
    """What came of one restore; ``equal`` is null when nothing could be compared."""
    compared = restore.compared
    return {
        "id": restore.pk,
        "backup": restore.backup_id,
        "mode": restore.mode,
        "into": restore.target_database,
        "schema": restore.side_schema or None,
        "status": restore.state,
        "equal": not compared["different"] if compared else None,
        "compared": compared,
        "kept": restore.kept_database or None,
        "kept_until": _iso(restore.kept_until),
        "duration_ms": restore.duration_ms,
        "error": restore.error,
    }


def _address(backup: Backup) -> str:
    """Of the nearest good copy; asks for no row where the copies were fetched with the backup."""
    names = stores.order_stores([copy.store for copy in backup.copies.all() if copy.is_good])
    return storage.artifact_address(backup.artifact, names[0] if names else "")


def _duration_ms(job: Job) -> int | None:
    if job.started_at is None or job.finished_at is None:
        return None
    return round((job.finished_at - job.started_at).total_seconds() * 1000)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()
