"""Builds what PostgreSQL's client programs are started with: pure, (argv, env) out, no process, no file.

No secret is in argv or in env: both can be read under /proc. Passwords travel in a service file of mode 0600.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backups.selection import Selection

SERVICE = "preflight"
LOCK_WAIT = "10s"
EVERYTHING = Selection()


class ServiceError(ValueError):
    """A connection cannot be written as a service file; the text is one sentence without a secret."""


@dataclass(frozen=True)
class Command:
    """One program to start: its arguments, the first being its path, and its whole environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]

    @property
    def program(self) -> str:
        """The program's name, for people."""
        return Path(self.argv[0]).name


def render_service(parameters: Mapping[str, str], application_name: str) -> str:
    """The text of a service file with one service, SERVICE. Raises ServiceError.

    libpq trims white space around a line and knows no escapes, so a value that needs either cannot be written.
    """
    if "service" in parameters:
        raise ServiceError("Give host, user and database in the connection instead of the name of a service.")
    lines = [f"[{SERVICE}]"]
    for key, value in {**parameters, "application_name": application_name}.items():
        if value != value.rstrip() or "\n" in value or "\r" in value:
            raise ServiceError(f"The {key} of the connection ends in white space, which a service file cannot hold.")
        if len(f"{key}={value}".encode()) > 1000:
            raise ServiceError(f"The {key} of the connection is longer than a service file can hold.")
        lines.append(f"{key}={value}")
    return "\n".join(lines) + "\n"


def dump_database(pg_dump: Path, service_file: Path, snapshot_id: str, selection: Selection = EVERYTHING) -> Command:
    """Write the database as an uncompressed custom archive to stdout, as the exported snapshot sees it."""
    return Command(
        (
            str(pg_dump),
            f"--dbname=service={SERVICE}",
            f"--snapshot={snapshot_id}",
            f"--lock-wait-timeout={LOCK_WAIT}",
            "--format=custom",
            "--compress=0",
            "--no-password",
            "--verbose",
            *_select(selection),
        ),
        _environment(service_file),
    )


def dump_globals(pg_dumpall: Path, service_file: Path, *, with_passwords: bool) -> Command:
    """Write the server's roles, tablespaces and settings of roles to stdout, as SQL."""
    argv = [str(pg_dumpall), f"--dbname=service={SERVICE}", "--globals-only", "--no-password"]
    if not with_passwords:
        argv.append("--no-role-passwords")
    return Command(tuple(argv), _environment(service_file))


def _select(selection: Selection) -> list[str]:
    """Quoted names: unquoted ones would be patterns, and folded to small letters."""
    return [
        *(f"--schema={_quote(name)}" for name in sorted(selection.only_schemas)),
        *(f"--table={_quote(schema)}.{_quote(name)}" for schema, name in sorted(selection.only_tables)),
        *(f"--exclude-schema={_quote(name)}" for name in sorted(selection.without_schemas)),
        *(f"--exclude-table={_quote(schema)}.{_quote(name)}" for schema, name in sorted(selection.without_tables)),
    ]


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def restore_database(
    pg_restore: Path,
    service_file: Path,
    *,
    keep_owners: bool,
    for_proof: bool,
    list_file: Path | None = None,
    archive: Path | None = None,
    jobs: int = 1,
) -> Command:
    """Restore the archive on stdin into the service's database, stopping at the first error.

    ``jobs`` work at the same time on the file ``archive`` instead, since they have to seek in it.

    A copy must never subscribe to what the original subscribes to. A proof leaves out as well what its server need
    not have (tablespaces, publications) and what only a superuser may say (comments on extensions, labels).
    ``list_file`` names the entries to restore, in the archive's order, as `list_archive` prints them.
    """
    argv = [
        str(pg_restore),
        f"--dbname=service={SERVICE}",
        "--exit-on-error",
        "--no-password",
        "--no-subscriptions",
        "--verbose",
    ]
    if not keep_owners:
        argv += ["--no-owner", "--no-acl"]
    if for_proof:
        argv += ["--no-tablespaces", "--no-publications", "--no-comments", "--no-security-labels"]
    if list_file is not None:
        argv.append(f"--use-list={list_file}")
    if archive is not None:
        argv += [f"--jobs={jobs}", str(archive)]
    return Command(tuple(argv), _environment(service_file))


def dump_schema(pg_dump: Path, service_file: Path, schema: str) -> Command:
    """Write one schema as an uncompressed custom archive to stdout. Its name must not need quotes: it is a pattern."""
    return Command(
        (
            str(pg_dump),
            f"--dbname=service={SERVICE}",
            f"--schema={schema}",
            f"--lock-wait-timeout={LOCK_WAIT}",
            "--format=custom",
            "--compress=0",
            "--no-password",
            "--no-owner",
            "--no-acl",
        ),
        _environment(service_file),
    )


def restore_at_once(pg_restore: Path, service_file: Path) -> Command:
    """Restore the archive on stdin into the service's database, in one transaction."""
    return Command(
        (
            str(pg_restore),
            f"--dbname=service={SERVICE}",
            "--exit-on-error",
            "--single-transaction",
            "--no-password",
            "--no-owner",
            "--no-acl",
        ),
        _environment(service_file),
    )


def run_script(psql: Path, service_file: Path) -> Command:
    """Run the SQL on stdin in the service's database, without anybody's start-up file."""
    return Command(
        (
            str(psql),
            f"--dbname=service={SERVICE}",
            "--no-psqlrc",
            "--no-password",
            "--quiet",
            "--output=/dev/null",
            "--file=-",
        ),
        _environment(service_file),
    )


def list_archive(pg_restore: Path, archive: Path | None = None) -> Command:
    """Print the table of contents of the archive, else of that on stdin, one entry a line; reads its beginning only."""
    return Command((str(pg_restore), "--list", *([str(archive)] if archive else [])), _environment(None))


def read_archive(pg_restore: Path) -> Command:
    """Read the archive on stdin to its end, turning it into SQL that goes nowhere."""
    return Command((str(pg_restore), "--file=/dev/null"), _environment(None))


def check_indexes(
    pg_amcheck: Path, service_file: Path, database: str, jobs: int, row_by_row: Sequence[tuple[str, str]] = ()
) -> Command:
    """Read all tables and B-tree indexes of people's own schemas and say on stdout what does not fit together.

    Given (schema, index) pairs, look in those only, for every row of their tables.
    """
    if row_by_row:
        what = ["--heapallindexed", *(f"--index={_quote(schema)}.{_quote(name)}" for schema, name in row_by_row)]
    else:
        what = ["--exclude-schema=pg_catalog", "--exclude-schema=information_schema"]
    return Command(
        (str(pg_amcheck), "--no-password", f"--jobs={jobs}", *what, database),
        # It takes a database's name only, so the service is named here.
        {**_environment(service_file), "PGSERVICE": SERVICE},
    )


def _environment(service_file: Path | None) -> dict[str, str]:
    # Messages are read by backups.errors, so they must be English; the portal's own environment is not passed on.
    environment = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    if service_file is not None:
        environment["PGSERVICEFILE"] = str(service_file)
    return environment
