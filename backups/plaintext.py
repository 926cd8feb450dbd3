"""Keeps plain archives that programs must seek in: mode 0600, under var/tmp, gone afterwards or swept by the reaper."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from backups import leftovers, servers
from backups.errors import ErrorCode, JobError, explain_disk_error

# So much of the disk stays free: the portal's own database may live on it.
SPARE_BYTES = 256 * 1024 * 1024


def free_bytes() -> int:
    """How much may be written now. Raises JobError."""
    directory = servers.temporary_directory()
    try:
        return max(0, shutil.disk_usage(directory).free - SPARE_BYTES)
    except OSError as error:
        raise explain_disk_error(error, f"The directory {directory}") from None


def require_room(size_bytes: int) -> None:
    """Raises JobError (NO_SPACE) unless a file of that size fits."""
    free = free_bytes()
    if free < size_bytes:
        raise JobError(
            ErrorCode.NO_SPACE,
            f"{servers.temporary_directory()} has {_megabytes(free)} to spare and {_megabytes(size_bytes)} are needed: "
            "free some space and try again.",
        )


class PlainFile:
    """A file being written that remembers why it could not be: whoever writes through others asks afterwards."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self._file = file
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self._error = error
            raise

    def seal(self) -> None:
        """Everything is in the file. Raises JobError, NO_SPACE and others, when it is not."""
        try:
            self._file.flush()
        except OSError as error:
            self._error = self._error or error
        if self._error is not None:
            raise explain_disk_error(self._error, f"The directory {self.path.parent}")


@contextmanager
def new_file(kind: str) -> Iterator[PlainFile]:
    """A file of mode 0600 that ends in ``kind``, opened for writing; gone after the block. Raises JobError."""
    path = servers.temporary_directory() / f"{leftovers.owner_mark()}-{secrets.token_hex(8)}.{kind}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise explain_disk_error(error, f"The directory {path.parent}") from None
    try:
        file = os.fdopen(descriptor, "wb")
        try:
            yield PlainFile(path, file)
        finally:
            with suppress(OSError):
                # Unwritten bytes on a full disk.
                file.close()
    finally:
        path.unlink(missing_ok=True)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:,.0f} MB"
