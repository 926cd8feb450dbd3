"""Opens the stores that the settings name; reads, writes, lists and deletes files there, with a sentence on error.

A store is a Django storage backend: a directory, or one of backups.store_kinds. Errors of all of them come out as
JobError: STORE_UNREACHABLE, STORE_FAILED, NO_SPACE, ARTIFACT_MISSING.
"""

from __future__ import annotations

import importlib
import io
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation, SuspiciousOperation
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, InvalidStorageError, storages

from backups.errors import ErrorCode, JobError, StoreReadError, explain_store_error
from backups.store_config import LOCAL, StoreConfig, alias_of
from portal.secrets import SecretError
from readiness.probes.base import mask_secrets

PART = ".part"


class Store(ABC):
    """One place for files, by names such as "shop/20260301T040506Z-main-7-ab.dump.zst.age"."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def address(self, name: str = "") -> str:
        """Where the store, or a file in it, is, for people."""

    @abstractmethod
    def put(self, name: str, source: IO[bytes]) -> None:
        """Write all of ``source``, which can be sought; what was there under the name is replaced."""

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """The file to read from beginning to end. Raises JobError (ARTIFACT_MISSING) when there is none."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove the file and what is half written of it; harmless when there is none."""

    @abstractmethod
    def clear_partial(self, name: str) -> None:
        """Remove what an upload that broke off has left of the file."""

    @abstractmethod
    def list_names(self) -> list[str]:
        """Every whole file."""

    def free_bytes(self) -> int | None:
        """How much fits, where that can be known."""
        return None

    def clear_abandoned(self, begun_before: datetime) -> int:
        """Give up uploads that broke off, of whatever file; how many."""
        return 0

    def read_bytes(self, name: str) -> bytes:
        """All of a small file."""
        with self.open(name) as file:
            try:
                return file.read()
            except OSError as error:
                raise explain_store_error(error, self.address(name)) from None


class DirectoryStore(Store):
    """A directory on this machine, or one that is mounted."""

    def __init__(self, name: str, directory: Path) -> None:
        super().__init__(name)
        self.directory = directory

    def path(self, name: str) -> Path:
        """Where the file is. Refuses names that lead out of the store."""
        root = self.directory.resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise SuspiciousFileOperation(f"The name {name[:100]!r} leads out of the store.")
        return path

    def address(self, name: str = "") -> str:
        return str(self.path(name)) if name else str(self.directory)

    def make_directory(self) -> Path:
        """The directory itself, made 0700 when it is missing. Raises JobError."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise explain_store_error(error, str(self.directory)) from None
        return self.directory

    def put(self, name: str, source: IO[bytes]) -> None:
        with self.new_file(name, replaces=True) as new:
            try:
                shutil.copyfileobj(source, new.file, 1024 * 1024)
            except OSError as error:
                raise explain_store_error(error, str(new.path.parent)) from None
            new.seal()

    @contextmanager
    def new_file(self, name: str, *, replaces: bool = False) -> Iterator[NewFile]:
        """A `.part` file of mode 0600 to write to; gone after the block unless it was sealed. Raises JobError."""
        path = self.path(name)
        part = path.with_name(path.name + PART)
        self.make_directory()
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if replaces:
                part.unlink(missing_ok=True)
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise explain_store_error(error, str(path.parent)) from None
        file = os.fdopen(descriptor, "wb", buffering=0)
        try:
            yield NewFile(name, _Whole(file), part, path)  # type: ignore[arg-type]
        finally:
            file.close()
            part.unlink(missing_ok=True)

    def open(self, name: str) -> IO[bytes]:
        path = self.path(name)
        try:
            return path.open("rb", buffering=0)
        except FileNotFoundError:
            raise _missing(str(path)) from None
        except OSError as error:
            raise explain_store_error(error, str(path)) from None

    def has(self, name: str) -> bool:
        return self.path(name).is_file()

    def delete(self, name: str) -> None:
        self.clear_partial(name)
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError as error:
            raise explain_store_error(error, str(self.path(name).parent)) from None

    def clear_partial(self, name: str) -> None:
        path = self.path(name)
        try:
            path.with_name(path.name + PART).unlink(missing_ok=True)
        except OSError as error:
            raise explain_store_error(error, str(path.parent)) from None

    def list_names(self) -> list[str]:
        directory = self.make_directory()
        try:
            names = [str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()]
        except OSError as error:
            raise explain_store_error(error, str(directory)) from None
        return [name for name in names if not name.endswith(PART)]

    def free_bytes(self) -> int:
        directory = self.make_directory()
        try:
            return shutil.disk_usage(directory).free
        except OSError as error:
            raise explain_store_error(error, str(directory)) from None


class NewFile:
    """A file being written; it gets its name by ``seal`` only."""

    def __init__(self, name: str, file: IO[bytes], part: Path, path: Path) -> None:
        self.name, self.file, self.part, self.path = name, file, part, path

    def seal(self) -> None:
        """Make what was written durable, then give it its name. Raises JobError."""
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.part.rename(self.path)
            _sync_directory(self.path.parent)
        except OSError as error:
            raise explain_store_error(error, str(self.path.parent)) from None


class RemoteStore(Store):
    """A Django storage backend of one of the remote kinds."""

    def __init__(self, config: StoreConfig, storage: Any, kind: ModuleType) -> None:
        super().__init__(config.name)
        self._config = config
        self._storage = storage
        self._kind = kind

    def address(self, name: str = "") -> str:
        return f"{self._config.address}/{name}" if name else self._config.address

    def put(self, name: str, source: IO[bytes]) -> None:
        with self._explained():
            source.seek(0)
            if self._config.kind == "sftp":
                # Of all kinds only this one would otherwise store it under a name of its own choice.
                self._storage.delete(name)
            stored = self._storage.save(name, File(source, name))
        if stored != name:
            raise JobError(ErrorCode.STORE_FAILED, f"The backup store {self.name} stored {name} under another name.")

    def open(self, name: str) -> IO[bytes]:
        with self._explained(name):
            return _Explained(self._kind.open_stream(self._storage, name), self)  # type: ignore[return-value]

    def has(self, name: str) -> bool:
        with self._explained():
            return bool(self._storage.exists(name))

    def delete(self, name: str) -> None:
        self.clear_partial(name)
        with self._explained():
            self._storage.delete(name)
            if self._storage.exists(name):
                raise JobError(ErrorCode.STORE_FAILED, f"The backup store {self.name} did not delete {name}.")

    def clear_partial(self, name: str) -> None:
        if hasattr(self._kind, "abort_uploads"):
            with self._explained():
                self._kind.abort_uploads(self._storage, name=name)

    def clear_abandoned(self, begun_before: datetime) -> int:
        if not hasattr(self._kind, "abort_uploads"):
            return 0
        with self._explained():
            return int(self._kind.abort_uploads(self._storage, begun_before=begun_before))

    def list_names(self) -> list[str]:
        with self._explained():
            try:
                folders, names = self._storage.listdir("")
            except FileNotFoundError:
                return []
            found = [str(name) for name in names]
            # One level of folders: that is how artifacts are named.
            for folder in folders:
                found += [f"{folder}/{name}" for name in self._storage.listdir(folder)[1]]
        return found

    def explain(self, error: Exception) -> JobError:
        """The sentence for what the kind's library raised."""
        said = mask_secrets(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
        said = said.rstrip(".")[:300]
        if isinstance(error, self._kind.UNREACHABLE):
            return JobError(
                ErrorCode.STORE_UNREACHABLE,
                f"The backup store {self.name} ({self.address()}) cannot be reached: {said}.",
            )
        return JobError(ErrorCode.STORE_FAILED, f"The backup store {self.name} ({self.address()}) failed: {said}.")

    @contextmanager
    def _explained(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise _missing(self.address(name)) from None
        except SuspiciousOperation:
            raise
        except (*self._kind.ERRORS, OSError) as error:
            raise self.explain(error) from None


class _Explained(io.RawIOBase):
    """A remote file whose reads raise OSError, as those of a local file do; the text is one sentence."""

    def __init__(self, file: Any, store: RemoteStore) -> None:
        super().__init__()
        self._file, self._store = file, store

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        try:
            return bytes(self._file.read() if size is None or size < 0 else self._file.read(size))
        except (*self._store._kind.ERRORS, OSError) as error:
            raise StoreReadError(self._store.explain(error)) from None

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


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


def list_stores() -> list[str]:
    """Names of all stores that the settings know, the local one first."""
    return list(settings.BACKUP_STORE_CONFIGS)


def default_stores() -> list[str]:
    """Where a backup goes when nobody says otherwise."""
    return list(settings.BACKUP_DEFAULT_STORES)


def order_stores(names: Sequence[str]) -> list[str]:
    """The same names as the settings order them, so that the nearest comes first; unknown ones last."""
    known = list_stores()
    return sorted(set(names), key=lambda name: (known.index(name) if name in known else len(known), name))


def open_store(name: str) -> Store:
    """The store of that name; opens no connection yet. Raises JobError."""
    config: StoreConfig | None = settings.BACKUP_STORE_CONFIGS.get(name)
    if config is None:
        raise JobError(
            ErrorCode.STORE_FAILED, f"The settings know no backup store {name}: add it to BACKUP_STORES again."
        )
    try:
        # Not the shared one: connections of these libraries do not belong to several threads.
        storage = storages.create_storage(dict(settings.STORAGES[alias_of(name)]))  # type: ignore[call-overload]
    except InvalidStorageError:
        raise JobError(
            ErrorCode.STORE_FAILED,
            f"The backup store {name} needs a package that is not installed: "
            "pip install --require-hashes -r requirements-stores.txt.",
        ) from None
    except (SecretError, ValueError) as error:
        raise JobError(ErrorCode.STORE_FAILED, f"The backup store {name} cannot be opened: {error}") from None
    if isinstance(storage, FileSystemStorage):
        return DirectoryStore(name, Path(storage.location))
    return RemoteStore(config, storage, importlib.import_module(f"backups.store_kinds.{config.kind}"))


def describe_address(store: str, name: str = "") -> str:
    """Where a store, or a file in it, is, for people; loads no library and opens nothing."""
    config: StoreConfig | None = settings.BACKUP_STORE_CONFIGS.get(store)
    if config is None:
        return f"{store}:{name}" if name else "not in the settings any more"
    if config.kind == "directory":
        return open_store(store).address(name)
    return f"{config.address}/{name}" if name else config.address


def local_store() -> DirectoryStore:
    """The directory BACKUP_STORE."""
    store = open_store(LOCAL)
    assert isinstance(store, DirectoryStore)  # noqa: S101  the settings make it one
    return store


def spool() -> DirectoryStore:
    """Where a dump lies that goes to remote stores only, until it is there."""
    return DirectoryStore("spool", Path(settings.VAR_DIR) / "spool")


def _missing(where: str) -> JobError:
    return JobError(
        ErrorCode.ARTIFACT_MISSING,
        f"The artifact {where} is missing: is the store mounted? Otherwise put the file back from a copy.",
    )


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
