"""Compares the store with the catalogue, rebuilds the catalogue from a store, and exports plain archives."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db import transaction

from backups import age_keys, pipeline, restoring, storage
from backups.errors import RequestError, explain_store_error
from backups.models import Backup, State, Trigger
from portal import audit
from readiness.models import Database, Environment

_ENDING = ".dump.zst.age"
_TEXTS = ("environment", "database", "artifact", "sha256", "tool")


@dataclass(frozen=True)
class StoreDifference:
    """What store and catalogue do not agree on: artifact names without a row, and backups without a file."""

    orphans: tuple[str, ...]
    missing: tuple[Backup, ...]


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild came to: rows added, rows linked to their database again, and what was left out, with reasons."""

    added: tuple[Backup, ...]
    linked: int
    refused: tuple[str, ...]


def compare_store() -> StoreDifference:
    """Look at every name; nothing is changed, least of all deleted. Raises JobError."""
    names = {name for name in _list_names(storage.store_directory()) if name.endswith(_ENDING)}
    done = Backup.objects.filter(state=State.DONE, expired_at__isnull=True).defer("tables", "metadata")
    known = set(Backup.objects.exclude(artifact="").values_list("artifact", flat=True))
    missing = tuple(backup for backup in done if backup.artifact not in names)
    return StoreDifference(tuple(sorted(names - known)), missing)


def rebuild_catalogue(actor_name: str) -> Rebuilt:
    """Add a row for every manifest in the store that has none, and link rows to databases that exist again.

    Rows that are there are never changed otherwise. Nothing is taken as verified: that is for a verify to say.
    Raises JobError.
    """
    directory = storage.store_directory()
    added, refused = [], []
    known = set(Backup.objects.exclude(artifact="").values_list("artifact", flat=True))
    for name in sorted(_list_names(directory)):
        if not name.endswith(_ENDING + storage.MANIFEST) or name.removesuffix(storage.MANIFEST) in known:
            continue
        try:
            backup = _read_manifest(directory, name)
        except (OSError, ValueError, KeyError, TypeError) as error:
            refused.append(f"{name} is not a manifest that can be used ({type(error).__name__}).")
            continue
        if not (directory / backup.artifact).is_file():
            refused.append(f"{name} has no artifact beside it.")
            continue
        with transaction.atomic():
            backup.save(force_insert=True)
            subject = f"{backup} from {name}"
            audit.record("rebuilt the catalogue row of", actor_name=actor_name, subject=subject)
        added.append(backup)
    return Rebuilt(tuple(added), _link_databases(), tuple(refused))


def export_plain(backup: Backup, path: Path) -> int:
    """Write the archive decrypted and decompressed, for pg_restore; its size in bytes. Never overwrites.

    Raises RequestError when the file is there already, JobError when the artifact is not whole.
    """
    identities = age_keys.load_identities()
    with storage.open_artifact(backup.artifact) as source:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise RequestError(f"The file {path} is there already: choose another name.") from None
        except OSError as error:
            raise explain_store_error(error, str(path.parent)) from None
        try:
            with os.fdopen(descriptor, "wb") as file:
                read = pipeline.read_stream(source, file, identities)
                file.flush()
                os.fsync(file.fileno())
            restoring.require_whole(backup, read)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise explain_store_error(error, str(path.parent)) from None
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return read.plain_bytes


def _list_names(directory: Path) -> list[str]:
    try:
        return [str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()]
    except OSError as error:
        raise explain_store_error(error, str(directory)) from None


def _read_manifest(directory: Path, name: str) -> Backup:
    """The row that a manifest describes. What is written there was written by somebody: all of it is checked."""
    data = (directory / name).read_bytes()
    found: dict[str, Any] = json.loads(data)
    if found["format"] != 1 or any(not isinstance(found[key], str) for key in _TEXTS):
        raise ValueError("format")
    if found["artifact"] != name.removesuffix(storage.MANIFEST):
        raise ValueError("artifact")
    tables, snapshot, metadata = dict(found["tables"]), dict(found["snapshot"]), dict(found["metadata"])
    int(metadata["server_version_num"])
    taken_at = datetime.fromisoformat(snapshot["taken_at"]).astimezone(UTC)
    return Backup(
        state=State.DONE,
        percent=100,
        trigger=Trigger.COMMAND,
        database_name=found["database"][:63],
        environment_slug=found["environment"][:60],
        environment_name=found["environment"][:80],
        artifact=found["artifact"],
        bytes=int(found["bytes"]),
        plain_bytes=int(found["plain_bytes"]),
        sha256=found["sha256"][:64],
        manifest_sha256=hashlib.sha256(data).hexdigest(),
        requested_at=datetime.fromisoformat(found["requested_at"]),
        finished_at=taken_at,
        taken_at=taken_at,
        snapshot=snapshot,
        tables={str(table): int(rows) for table, rows in tables.items()},
        metadata=metadata,
        tool_version=found["tool"].removeprefix("pg_dump ")[:60],
    )


def _link_databases() -> int:
    """Give rows without a database the one that is called as theirs was."""
    linked = 0
    for backup in Backup.objects.filter(database__isnull=True).only("environment_slug", "database_name"):
        environment = Environment.objects.filter(slug=backup.environment_slug).first()
        database = Database.objects.filter(environment=environment, name=backup.database_name).first()
        if environment is not None and database is not None:
            linked += Backup.objects.filter(pk=backup.pk).update(
                database=database, environment=environment, environment_name=environment.name
            )
    return linked
