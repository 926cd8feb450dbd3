"""Tells what kind of dump somebody's file is and unpacks it, believing nothing in it; starts nothing.

A directory archive names files, and pg_restore opens what it names: a name that leads out of the directory would bring
the portal's own files into the database. A plain script is for psql, which runs programs when a script says so.
"""

from __future__ import annotations

import mmap
import re
import secrets
import shutil
import tarfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from backups import leftovers, servers
from backups.errors import ErrorCode, JobError, explain_disk_error

_MAGIC = b"PGDMP"
# After the magic: three bytes of version, the sizes of integers and offsets, then the format.
_FORMAT_AT = 10
_CUSTOM = 1
_MEMBER = re.compile(r"toc\.dat|restore\.sql|(\d+|blob_\d+)\.dat(\.gz|\.lz4|\.zst)?|blobs(_\d+)?\.toc")
_EXTENSION = re.compile(
    rb'CREATE EXTENSION IF NOT EXISTS "?(?P<name>[A-Za-z0-9_-]{1,63})"? WITH SCHEMA "?(?P<schema>[A-Za-z0-9_]{1,63})"?;'
)
_EDGE_BYTES = 8192
# psql's own way to say where a script of pg_dump begins and ends that may hold no commands of psql.
_RESTRICT = re.compile(rb"^\\restrict ([A-Za-z0-9]+)\r?\n", re.MULTILINE)
_BLOCK_BYTES = 256 * 1024


class Kind(StrEnum):
    """What a file turned out to be."""

    CUSTOM = "custom archive"
    TAR = "tar archive"
    DIRECTORY = "directory archive"
    PLAIN = "plain SQL"


def recognise(path: Path) -> Kind:
    """By its first bytes, never by its name. Raises JobError (BAD_SOURCE) for anything else."""
    with path.open("rb") as file:
        head = file.read(64 * 1024)
    if head.startswith(_MAGIC):
        if head[_FORMAT_AT : _FORMAT_AT + 1] == bytes([_CUSTOM]):
            return Kind.CUSTOM
        raise _refused("It is a part of an archive: give the whole directory in a tar file.")
    if head[257:262] == b"ustar":
        return _recognise_tar(path)
    if not head.strip():
        raise _refused("It is empty.")
    if b"\0" in head:
        raise _refused("It is neither an archive of pg_dump nor SQL.")
    return Kind.PLAIN


def find_extensions(path: Path, among: Collection[str]) -> list[dict[str, str]]:
    """Those ``among`` that the dump makes, as {"name", "schema"}; every kind holds that as a readable statement."""
    path = path / "toc.dat" if path.is_dir() else path
    found: dict[str, str] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        for match in _EXTENSION.finditer(text):
            name = match["name"].decode()
            if name in among:
                found.setdefault(name, match["schema"].decode())
    return [{"name": name, "schema": schema} for name, schema in found.items()]


@contextmanager
def unpacked(path: Path, max_bytes: int) -> Iterator[Path]:
    """The directory archive in a tar file as a directory of mode 0700, gone after the block. Raises JobError."""
    directory = servers.temporary_directory() / f"{leftovers.owner_mark()}-{secrets.token_hex(8)}.directory"
    directory.mkdir(mode=0o700)
    try:
        _unpack(path, directory, max_bytes)
        for each in directory.glob("*toc*"):
            _require_inside(each)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def read_script(path: Path) -> Iterator[bytes]:
    """A plain script in blocks, without the frame that pg_dump puts around it, since psql gets one of ours."""
    size = path.stat().st_size
    with path.open("rb") as file:
        # The frame is at the edges; a file that is not longer than them is one edge.
        head = file.read(_EDGE_BYTES if size > 2 * _EDGE_BYTES else size)
        key = _find_key(head)
        beginning = _RESTRICT.sub(b"", head, count=1) if key else head
        if len(head) == size:
            yield _without_end(beginning, key)
            return
        yield beginning
        rest = size - len(head)
        while rest > _EDGE_BYTES:
            block = file.read(min(_BLOCK_BYTES, rest - _EDGE_BYTES))
            if not block:
                return
            rest -= len(block)
            yield block
        yield _without_end(file.read(), key)


def _without_end(text: bytes, key: bytes) -> bytes:
    return re.sub(rb"^\\unrestrict " + key + rb"\r?\n?", b"", text, flags=re.MULTILINE) if key else text


def _find_key(head: bytes) -> bytes:
    """The key of the frame, only where nothing but comments is before it."""
    found = _RESTRICT.search(head)
    if found is None:
        return b""
    before = (line.strip() for line in head[: found.start()].splitlines())
    return b"" if any(line and not line.startswith(b"--") for line in before) else found[1]


def _recognise_tar(path: Path) -> Kind:
    """Both kinds have a table of contents that says tar; pg_dump's own tar begins with it and ends with a script."""
    has_contents = False
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.name == "restore.sql":
                    return Kind.TAR
                is_contents = Path(member.name).name == "toc.dat" and member.isreg() and member.size > 0
                has_contents = has_contents or is_contents
    except (tarfile.TarError, OSError, ValueError) as error:
        raise _refused(f"The tar file cannot be read ({type(error).__name__}).") from None
    if not has_contents:
        raise _refused("The tar file holds no archive of pg_dump: it has no toc.dat, or an empty one.")
    return Kind.DIRECTORY


def _unpack(path: Path, directory: Path, max_bytes: int) -> None:
    left = max_bytes
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.isdir():
                    continue
                name = Path(member.name).name
                if not member.isreg() or not _MEMBER.fullmatch(name) or (directory / name).exists():
                    raise _refused(f"The tar file holds {name[:60]!r}, which is no part of a directory archive.")
                left -= member.size
                if left < 0:
                    raise _too_big(max_bytes)
                source = tar.extractfile(member)
                with (directory / name).open("xb") as target:
                    if source is not None:
                        shutil.copyfileobj(source, target, _BLOCK_BYTES)
                (directory / name).chmod(0o600)
    except (tarfile.TarError, ValueError) as error:
        raise _refused(f"The tar file cannot be read ({type(error).__name__}).") from None
    except OSError as error:
        raise explain_disk_error(error, f"The directory {directory.parent}") from None


def _require_inside(table_of_contents: Path) -> None:
    """A file is named relative to the directory, so only a step upwards leads out of it."""
    overlap = b""
    with table_of_contents.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            if b".." in overlap + block:
                raise _refused("A name or a text in its table of contents has two dots: give a custom archive instead.")
            overlap = block[-1:]


def _too_big(max_bytes: int) -> JobError:
    return _refused(f"It holds more than {max_bytes / 1_000_000:,.0f} MB: raise IMPORT_MAX_MB if it is meant.")


def _refused(sentence: str) -> JobError:
    return JobError(ErrorCode.BAD_SOURCE, f"This file is not taken. {sentence}")
