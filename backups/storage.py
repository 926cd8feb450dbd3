"""Names, finds, checks and deletes artifacts and their manifests, in whatever stores they are; writes those files."""

from __future__ import annotations

import hashlib
import io
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from backups import stores
from backups.errors import ErrorCode, JobError
from backups.store_config import LOCAL
from backups.stores import DirectoryStore, NewFile, Store

ENDING = ".dump.zst.age"
GLOBALS_ENDING = ".globals.sql.zst.age"
MANIFEST = ".manifest.json"


def name_artifact(environment_slug: str, database_name: str, backup_id: int, at: datetime) -> str:
    """A name that no other backup ever has: SLUG/TIME-DATABASE-ID-RANDOM.dump.zst.age."""
    stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    unique = f"{backup_id}-{secrets.token_hex(4)}"
    return f"{_plain(environment_slug)}/{stamp}-{_plain(database_name)}-{unique}{ENDING}"


def name_globals(artifact: str) -> str:
    """The name of the server's roles and settings beside an artifact."""
    return artifact.removesuffix(ENDING) + GLOBALS_ENDING


def artifact_path(name: str) -> Path:
    """Where the artifact is in the local store. Refuses names that lead out of the store."""
    return stores.local_store().path(name)


def manifest_path(name: str) -> Path:
    """Where the artifact's manifest is in the local store."""
    return artifact_path(name + MANIFEST)


def store_directory() -> Path:
    """The local store's own directory, made 0700 when it is missing. Raises JobError."""
    return stores.local_store().make_directory()


@contextmanager
def new_artifact(name: str, store: DirectoryStore | None = None) -> Iterator[NewFile]:
    """A `.part` file to write to, in the local store or the directory given; gone unless sealed. Raises JobError."""
    with (store or stores.local_store()).new_file(name) as new:
        yield new


def write_manifest(name: str, content: Mapping[str, Any], store: Store | None = None) -> str:
    """Write the manifest beside its artifact, atomically; the sha256 of its bytes. Raises JobError."""
    data = render_manifest(content)
    (store or stores.local_store()).put(name + MANIFEST, io.BytesIO(data))
    return hashlib.sha256(data).hexdigest()


def render_manifest(content: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest."""
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def check_manifest(name: str, sha256: str, store: str = "") -> None:
    """Raises JobError (ARTIFACT_MISSING or ARTIFACT_DAMAGED) unless the manifest is the one that was written.

    In the store of that name, else in the first that has it.
    """
    try:
        found = _find(name + MANIFEST, store)
        data = found.read_bytes(name + MANIFEST)
    except JobError as error:
        if error.code != ErrorCode.ARTIFACT_MISSING:
            raise
        where = artifact_address(name + MANIFEST, store)
        raise JobError(
            ErrorCode.ARTIFACT_MISSING, f"The manifest {where} is missing: put it back from a copy of the store."
        ) from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise JobError(
            ErrorCode.ARTIFACT_DAMAGED,
            f"The manifest {found.address(name + MANIFEST)} is not what was written: "
            "put it back from a copy of the store.",
        )


def open_artifact(name: str, store: str = "") -> IO[bytes]:
    """The artifact, opened for reading, in the store of that name, else in the first that has it. Raises JobError."""
    return _find(name, store).open(name)


def artifact_address(name: str, store: str = "") -> str:
    """Where the artifact is, for people; opens nothing."""
    return stores.describe_address(store or LOCAL, name)


def delete_artifact(name: str, in_stores: Iterable[str] | None = None) -> None:
    """Remove an artifact with all that belongs to it, wherever it may be; harmless when it is gone. Raises JobError.

    A store that cannot be reached does not keep the others from being cleared.
    """
    if not name:
        return
    first: JobError | None = None
    names = list(in_stores) if in_stores is not None else stores.list_stores()[:1]
    for store in ["", *names]:
        try:
            opened: Store = stores.open_store(store) if store else stores.spool()
            # The manifest first: a file without one is an orphan, one with it would look like a backup.
            for each in (name + MANIFEST, name_globals(name), name):
                opened.delete(each)
        except JobError as error:
            first = first or error
    if first is not None:
        raise first


def _find(name: str, store: str) -> Store:
    """The store to read from: the one named, else the first that has the file; the local one says what is missing."""
    if store:
        return stores.open_store(store)
    candidates = stores.list_stores()
    unreachable: JobError | None = None
    for candidate in candidates:
        try:
            opened = stores.open_store(candidate)
            if opened.has(name):
                return opened
        except JobError as error:
            unreachable = unreachable or error
    if unreachable is not None:
        raise unreachable
    return stores.open_store(candidates[0])


def _plain(text: str) -> str:
    """Only what is safe in a file name: the text was typed by somebody."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text).lstrip(".")[:60] or "_"
