"""Compares stores with the catalogue, rebuilds the catalogue from a store, and exports plain archives."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from backups import age_keys, copying, pipeline, restoring, storage, stores
from backups.errors import JobError, RequestError, explain_disk_error, explain_store_error
from backups.models import Backup, BackupCopy, State, Trigger
from backups.store_config import LOCAL
from backups.stores import Store
from portal import audit
from readiness.models import Database, Environment

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


def compare_store(name: str = LOCAL) -> StoreDifference:
    """Look at every name in one store; nothing is changed, least of all deleted. Raises JobError."""
    names = set(stores.open_store(name).list_names())
    artifacts = {_artifact_of(each) for each in names} - {""}
    known = set(Backup.objects.exclude(artifact="").values_list("artifact", flat=True))
    is_there = Q(copies__store=name, copies__state=State.DONE)
    if name == LOCAL:
        is_there |= Q(copies__isnull=True)
    done = Backup.objects.filter(state=State.DONE, expired_at__isnull=True)
    expected = done.filter(is_there).distinct().defer("tables", "metadata")
    missing = tuple(backup for backup in expected if backup.artifact not in names)
    return StoreDifference(tuple(sorted(artifacts - known)), missing)


def rebuild_catalogue(actor_name: str, name: str = LOCAL) -> Rebuilt:
    """Add a row for every manifest in the store that has none, and link rows to databases that exist again.

    A backup that has a row gets its copy in this store noted. Rows are never changed otherwise. Nothing is taken as
    verified: that is for a verify to say. Raises JobError.
    """
    store = stores.open_store(name)
    added, refused = [], []
    known = {backup.artifact: backup for backup in Backup.objects.exclude(artifact="").defer("tables", "metadata")}
    names = set(store.list_names())
    for manifest in sorted(names):
        artifact = manifest.removesuffix(storage.MANIFEST)
        if not manifest.endswith(storage.ENDING + storage.MANIFEST):
            continue
        if artifact in known:
            _note_copy(known[artifact], name, is_there=artifact in names)
            continue
        try:
            backup = _read_manifest(store, manifest)
        except (ValueError, KeyError, TypeError) as error:
            refused.append(f"{manifest} is not a manifest that can be used ({type(error).__name__}).")
            continue
        except JobError as error:
            refused.append(error.sentence)
            continue
        if backup.artifact not in names:
            refused.append(f"{manifest} has no artifact beside it.")
            continue
        with transaction.atomic():
            backup.stores = [name]
            backup.save(force_insert=True)
            _note_copy(backup, name, is_there=True)
            subject = f"{backup} from {manifest}"
            audit.record("rebuilt the catalogue row of", actor_name=actor_name, subject=subject)
        added.append(backup)
    return Rebuilt(tuple(added), _link_databases(), tuple(refused))


def _note_copy(backup: Backup, store: str, *, is_there: bool) -> None:
    """Only a manifest's word for it: the copy counts as there, and not as read back."""
    if is_there and backup.state == State.DONE and not backup.copies.filter(store=store).exists():
        BackupCopy.objects.create(
            backup=backup, store=store, state=State.DONE, trigger=Trigger.COMMAND, finished_at=timezone.now()
        )


def _artifact_of(name: str) -> str:
    """The artifact that a file in a store belongs to; empty for files that are none of ours."""
    name = name.removesuffix(storage.MANIFEST)
    if name.endswith(storage.GLOBALS_ENDING):
        return name.removesuffix(storage.GLOBALS_ENDING) + storage.ENDING
    return name if name.endswith(storage.ENDING) else ""


def export_plain(backup: Backup, path: Path) -> int:
    """Write the archive decrypted and decompressed, for pg_restore; its size in bytes. Never overwrites.

    From the first copy that is whole. Raises RequestError when the file is there already, JobError when none is.
    """
    first: JobError | None = None
    for name in _stores_to_read(backup):
        backup.reads_from = name
        try:
            return _export(backup, path)
        except JobError as error:
            if error.code not in copying.TRY_ANOTHER:
                raise
            first = first or error
    assert first is not None  # noqa: S101  there is at least one to read
    raise first


def _stores_to_read(backup: Backup) -> Sequence[str]:
    return [copy.store for copy in copying.good_copies(backup)] or [""]


def _export(backup: Backup, path: Path) -> int:
    identities = age_keys.load_identities()
    with storage.open_artifact(backup.artifact, backup.reads_from) as source:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise RequestError(f"The file {path} is there already: choose another name.") from None
        except OSError as error:
            raise explain_disk_error(error, f"The file {path}") from None
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


def _read_manifest(store: Store, name: str) -> Backup:
    """The row that a manifest describes. What is written there was written by somebody: all of it is checked."""
    data = store.read_bytes(name)
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
        sibling=str(found.get("sibling", ""))[:63],
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
        selection={key: str(dict(found.get("selection", {})).get(key, "")) for key in ("only", "without")},
        globals=_read_globals(found),
        with_globals=bool(found.get("globals")),
        warnings=[str(sentence)[:500] for sentence in list(found.get("warnings", []))],
        tool_version=found["tool"].removeprefix("pg_dump ")[:60],
    )


def _read_globals(found: dict[str, Any]) -> dict[str, Any]:
    given = dict(found.get("globals") or {})
    if not given:
        return {}
    if given["artifact"] != storage.name_globals(found["artifact"]):
        raise ValueError("globals")
    return {
        "artifact": given["artifact"],
        "bytes": int(given["bytes"]),
        "sha256": str(given["sha256"])[:64],
        "plain_bytes": int(given["plain_bytes"]),
        "has_passwords": bool(given["has_passwords"]),
    }


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
