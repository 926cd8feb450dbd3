"""Writes artifacts and manifests into STORAGES["backups"], so that a name there is always a whole file."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from django.core.files.storage import FileSystemStorage, storages

from backups.errors import ErrorCode, JobError, explain_store_error

PART = ".part"
MANIFEST = ".manifest.json"


def name_artifact(environment_slug: str, database_name: str, backup_id: int, at: datetime) -> str:
    """A name that no other backup ever has: SLUG/TIME-DATABASE-ID-RANDOM.dump.zst.age."""
    stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    unique = f"{backup_id}-{secrets.token_hex(4)}"
    return f"{_plain(environment_slug)}/{stamp}-{_plain(database_name)}-{unique}.dump.zst.age"


def artifact_path(name: str) -> Path:
    """Where the artifact is on this machine. Refuses names that lead out of the store."""
    return Path(_store().path(name)).resolve()


def manifest_path(name: str) -> Path:
    """Where the artifact's manifest is."""
    path = artifact_path(name)
    return path.with_name(path.name + MANIFEST)


def store_directory() -> Path:
    """The store's own directory, made 0700 when it is missing. Raises JobError."""
    directory = Path(_store().location)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise explain_store_error(error, str(directory)) from None
    return directory


def free_bytes() -> int:
    """Free space of the store in bytes. Raises JobError."""
    directory = store_directory()
    try:
        return shutil.disk_usage(directory).free
    except OSError as error:
        raise explain_store_error(error, str(directory)) from None


@dataclass
class NewArtifact:
    """A file being written; it gets its name by ``seal`` only."""

    name: str
    file: IO[bytes]
    part: Path
    path: Path

    def seal(self) -> None:
        """Make what was written durable, then give it its name. Raises JobError."""
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.part.rename(self.path)
            _sync_directory(self.path.parent)
        except OSError as error:
            raise explain_store_error(error, str(self.path.parent)) from None


@contextmanager
def new_artifact(name: str) -> Iterator[NewArtifact]:
    """A `.part` file of mode 0600 to write to; gone after the block unless it was sealed. Raises JobError."""
    path = artifact_path(name)
    part = path.with_name(path.name + PART)
    store_directory()
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise explain_store_error(error, str(path.parent)) from None
    file = os.fdopen(descriptor, "wb", buffering=0)
    try:
        yield NewArtifact(name, _Whole(file), part, path)  # type: ignore[arg-type]
    finally:
        file.close()
        part.unlink(missing_ok=True)


def write_manifest(name: str, content: Mapping[str, Any]) -> str:
    """Write the manifest beside its artifact, atomically; the sha256 of its bytes. Raises JobError."""
    data = (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    path = manifest_path(name)
    part = path.with_name(path.name + PART)
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        _sync_directory(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise explain_store_error(error, str(path.parent)) from None
    return hashlib.sha256(data).hexdigest()


def check_manifest(name: str, sha256: str) -> None:
    """Raises JobError (ARTIFACT_MISSING or ARTIFACT_DAMAGED) unless the manifest is the one that was written."""
    path = manifest_path(name)
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise JobError(
            ErrorCode.ARTIFACT_MISSING, f"The manifest {path} is missing: put it back from a copy of the store."
        ) from None
    except OSError as error:
        raise explain_store_error(error, str(path)) from None
    if found != sha256:
        raise JobError(
            ErrorCode.ARTIFACT_DAMAGED,
            f"The manifest {path} is not what was written: put it back from a copy of the store.",
        )


def open_artifact(name: str) -> IO[bytes]:
    """The artifact, opened for reading. Raises JobError when it is missing."""
    path = artifact_path(name)
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        raise JobError(
            ErrorCode.ARTIFACT_MISSING,
            f"The artifact {path} is missing: is the store mounted? Otherwise put the file back from a copy.",
        ) from None
    except OSError as error:
        raise explain_store_error(error, str(path)) from None


def delete_artifact(name: str) -> None:
    """Remove an artifact, its manifest and whatever was half written of either; harmless when they are gone."""
    if not name:
        return
    for path in (artifact_path(name), manifest_path(name)):
        path.with_name(path.name + PART).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


class _Whole:
    """An unbuffered file whose write always writes all of it."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        return len(data)

    def flush(self) -> None:
        self._file.flush()

    def fileno(self) -> int:
        return int(self._file.fileno())


def _store() -> FileSystemStorage:
    store = storages["backups"]
    assert isinstance(store, FileSystemStorage)  # noqa: S101  the local store is the only kind so far
    return store


def _plain(text: str) -> str:
    """Only what is safe in a file name: the text was typed by somebody."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text).lstrip(".")[:60] or "_"


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
