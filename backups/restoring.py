"""What prove and restore share: make a database like the original, stream an artifact into it, compare, drop it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from psycopg import sql

from backups import age_keys, job_runner, pg_commands, pipeline, plaintext, storage
from backups.answering import answering
from backups.checksums import checksum_tables
from backups.dumps import require_success
from backups.errors import ErrorCode, JobError, Place, explain_database_error, explain_store_error
from backups.large_objects import LargeObjects, find_difference, read_large_objects
from backups.models import Backup
from backups.names import is_scratch
from backups.process import Child
from backups.progress import RestoredRows, RestoreProgress, watch_copies
from backups.proof_roles import drop_role
from backups.selection import parse_selection
from backups.servers import Server, temporary_file
from backups.snapshot import count_rows

logger = logging.getLogger(__name__)

DIFFERENCES_KEPT = 50


@dataclass(frozen=True)
class Comparison:
    """Rows after a restore against those of the backup; ``different`` holds (table, expected, found) of their numbers.

    ``checksums`` tables were compared by their contents, ``changed`` are those whose contents differ. ``large_objects``
    is what is wrong with those, in a sentence.
    """

    tables: int
    rows: int
    different: tuple[tuple[str, int | None, int | None], ...] = ()
    notes: tuple[str, ...] = field(default=())
    checksums: int = 0
    changed: tuple[str, ...] = ()
    large_objects: str = ""

    @property
    def is_equal(self) -> bool:
        return not self.different and not self.changed and not self.large_objects

    @property
    def sentence(self) -> str:
        """The result for people."""
        if self.is_equal:
            if self.tables == 1:
                return f"The only table was restored with all of its {_count(self.rows, 'row')}."
            return f"All {_count(self.tables, 'table')} were restored with all of their {_count(self.rows, 'row')}."
        if not self.different and not self.changed:
            return self.large_objects
        if not self.different:
            return (
                f"The contents of table {self.changed[0]} are not those of the backup: as many rows, another checksum "
                f"({_count(len(self.changed), 'table')} differing, {self.tables:,} expected)."
            )
        table, expected, found = self.different[0]
        return (
            f"Table {table} {_had(found)} after the restore and {_had(expected)} in the backup "
            f"({_count(len(self.different), 'table')} differing, {self.tables:,} expected)."
        )

    def as_json_object(self) -> dict[str, Any]:
        return {
            "tables": self.tables,
            "rows": self.rows,
            "different": [
                {"table": table, "expected": expected, "found": found}
                for table, expected, found in self.different[:DIFFERENCES_KEPT]
            ],
            "checksums": self.checksums,
            "changed": list(self.changed[:DIFFERENCES_KEPT]),
            "large_objects": self.large_objects,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Found:
    """A restored database: {"schema.table": rows}, the checksums of some of its tables, and its large objects."""

    counts: Mapping[str, int]
    checksums: Mapping[str, str]
    large_objects: LargeObjects


def compare(backup: Backup, found: Found, notes: tuple[str, ...] = ()) -> Comparison:
    """What was found in a restored database against what the backup recorded."""
    compared = compare_some(backup, found, sorted({*backup.tables, *found.counts}), notes)
    recorded = backup.metadata.get("large_objects")
    if recorded is None:
        # Backups of before they were counted.
        return compared
    return replace(compared, large_objects=find_difference(LargeObjects(**recorded), found.large_objects))


def compare_some(backup: Backup, found: Found, tables: Sequence[str], notes: tuple[str, ...]) -> Comparison:
    """The same for some of its tables."""
    counts, found_counts = ({name: of[name] for name in tables if name in of} for of in (backup.tables, found.counts))
    sums: Mapping[str, str] = backup.metadata.get("checksums", {})
    compared = compare_counts(counts, found_counts, notes)
    checked = [table for table in tables if table in found.checksums]
    changed = tuple(table for table in checked if sums.get(table) != found.checksums[table])
    return replace(compared, checksums=len(checked), changed=changed)


def compare_counts(expected: Mapping[str, int], found: Mapping[str, int], notes: tuple[str, ...] = ()) -> Comparison:
    """Every table of either side; a missing one counts as different."""
    different = tuple(
        (table, expected.get(table), found.get(table))
        for table in sorted({*expected, *found})
        if expected.get(table) != found.get(table)
    )
    return Comparison(len(expected), sum(expected.values()), different, notes)


def create_scratch(
    run: job_runner.JobRun, server: Server, name: str, metadata: Mapping[str, Any], owner: str = ""
) -> tuple[str, ...]:
    """The same as `create_like_original`, as a step of a job."""
    (notes,) = run.wait_for(lambda: create_like_original(server, name, metadata, run.application_name, owner))
    return tuple(notes)


def create_like_original(
    server: Server, name: str, metadata: Mapping[str, Any], application_name: str, owner: str = ""
) -> tuple[str, ...]:
    """Make an empty database with the original's encoding and locale; what had to differ, as sentences.

    It belongs to ``owner``, else to the role that makes it.

    Raises JobError: NAME_TAKEN, NO_CREATEDB and what a connection may raise.
    """
    with server.connect(application_name) as connection:
        try:
            connection.execute(_build_create(name, metadata, owner))
            return ()
        except psycopg.errors.DuplicateDatabase:
            raise JobError(
                ErrorCode.NAME_TAKEN, f"The server {server.place.server} already has a database {name}: choose another."
            ) from None
        except psycopg.errors.InsufficientPrivilege:
            raise JobError(
                ErrorCode.NO_CREATEDB,
                f"{server.place.user or 'The role'} may not create databases on {server.place.server}: "
                f"run ALTER ROLE {server.place.user} CREATEDB there, or use another role.",
            ) from None
        except (
            psycopg.errors.WrongObjectType,
            psycopg.errors.InvalidParameterValue,
            psycopg.errors.InvalidObjectDefinition,
            psycopg.errors.FeatureNotSupported,
        ):
            # The locale is the machine's, not PostgreSQL's: another machine may not have it.
            fallback = {"encoding": metadata.get("encoding", "UTF8"), "collate": "C", "ctype": "C"}
            try:
                connection.execute(_build_create(name, fallback, owner))
            except psycopg.Error as error:
                raise explain_database_error(error, server.place) from None
            return (f"The server lacks the locale {metadata.get('collate')}, so text was sorted as under C.",)
        except psycopg.Error as error:
            raise explain_database_error(error, server.place) from None


def drop_scratch(server: Server, name: str, application_name: str) -> None:
    """Drop one of our own scratch databases, whoever is connected; harmless when it is gone. Raises JobError."""
    assert is_scratch(name)  # noqa: S101  never anybody else's
    with server.connect(application_name) as connection:
        try:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        except psycopg.Error as error:
            raise explain_database_error(error, server.place) from None


@contextmanager
def dropped_afterwards(run: job_runner.JobRun, server: Server, name: str, role: str = "") -> Iterator[None]:
    """Drop the scratch database, and the role made for it, after the block, however that ends.

    What cannot be dropped is left to the reaper.
    """
    try:
        yield
    finally:
        try:
            run.finish(lambda: _drop(server, name, role, run.application_name))
        except JobError as error:
            run.is_clean = False
            logger.warning("The scratch database %s stays for the reaper: %s", name, error.sentence)


def _drop(server: Server, name: str, role: str, application_name: str) -> None:
    drop_scratch(server, name, application_name)
    if role:
        drop_role(server, role, application_name)


def restore_artifact(
    run: job_runner.JobRun,
    backup: Backup,
    server: Server,
    pg_restore: Path,
    *,
    keep_owners: bool,
    for_proof: bool,
    entries: Sequence[str] | None = None,
) -> None:
    """Restore the artifact into the server's database, all of it or an error. Raises JobError.

    A big one is decrypted into a file first, so that several jobs can restore it; others, and those that do not fit,
    are streamed. ``entries`` are the lines of `read_contents` to restore, in their order; None restores all.
    """
    with (
        server.service_file(run.application_name) as service,
        temporary_file("".join(f"{line}\n" for line in entries or ()), "list") as list_file,
        answering(run, server),
    ):
        build = partial(
            pg_commands.restore_database,
            pg_restore,
            service,
            keep_owners=keep_owners,
            for_proof=for_proof,
            list_file=None if entries is None else list_file,
        )
        if _pays_to_decrypt(backup):
            _restore_decrypted(run, backup, server, build)
            return
        progress = RestoreProgress(run.show, backup.bytes or 0)
        with run.child(build(), secrets=server.secrets, reads_stdin=True, on_line=progress.hear) as child:
            run.wait_for(lambda: feed_artifact(run, backup, child, progress))
            run.wait_for(lambda: require_success(child, server.place))


def _pays_to_decrypt(backup: Backup) -> bool:
    """Whether several jobs restore it faster, and the plain archive fits under var/tmp."""
    size_bytes = backup.plain_bytes or 0
    return (
        settings.RESTORE_JOBS > 1
        and size_bytes >= settings.RESTORE_JOBS_FROM_MB * 1_000_000
        and plaintext.free_bytes() >= size_bytes
    )


def _restore_decrypted(
    run: job_runner.JobRun, backup: Backup, server: Server, build: Callable[..., pg_commands.Command]
) -> None:
    with plaintext.new_file("archive") as file:
        progress = RestoreProgress(run.show, backup.bytes or 0)

        def decrypt() -> None:
            read = read_artifact(run, backup, file, progress)
            file.seal()
            require_whole(backup, read)

        run.wait_for(decrypt)
        rows = RestoredRows(run.show, backup.tables)
        command = build(archive=file.path, jobs=settings.RESTORE_JOBS)
        with (
            watch_copies(server, run.application_name, rows.see_tuples),
            run.child(command, secrets=server.secrets, on_line=rows.hear) as child,
        ):
            run.wait_for(lambda: require_success(child, server.place))


def choose_entries(
    run: job_runner.JobRun,
    backup: Backup,
    pg_restore: Path,
    made_schemas: Collection[str] = (),
    keeps: Callable[[str], bool] | None = None,
) -> list[str] | None:
    """The lines of the archive's contents that are restored: what ``keeps`` says, and no schema that is there already.

    None means all. Raises JobError.
    """
    there = set(made_schemas)
    if "public" in parse_selection(**backup.selection).only_schemas:
        # pg_dump makes this one only where it was told its name, and every new database has it.
        there.add("public")
    if not there and keeps is None:
        return None
    left_out = [f" SCHEMA - {schema} " for schema in there]
    return [
        line
        for line in read_contents(run, backup, pg_restore)
        if not any(each in line for each in left_out) and (keeps is None or keeps(line))
    ]


def read_contents(run: job_runner.JobRun, backup: Backup, pg_restore: Path) -> list[str]:
    """The archive's table of contents as pg_restore lists it, an entry a line. Raises JobError.

    Only the artifact's beginning is read, so this says nothing about its end.
    """
    identities = age_keys.load_identities()
    with run.child(pg_commands.list_archive(pg_restore), reads_stdin=True, gives_stdout=True) as child:

        def stop_when_told(_count: int) -> None:
            run.require_going_on()
            if child.has_ended:
                raise BrokenPipeError

        def feed() -> None:
            with storage.open_artifact(backup.artifact, backup.reads_from) as source:
                try:
                    pipeline.read_stream(source, child.stdin, identities, stop_when_told)
                except BrokenPipeError:
                    # It has read what it wanted.
                    pass
                except OSError as error:
                    where = storage.artifact_address(backup.artifact, backup.reads_from)
                    raise explain_store_error(error, where) from None
            with suppress(OSError, ValueError):
                child.stdin.close()

        _, listed = run.wait_for(feed, child.stdout.read)
        run.wait_for(lambda: require_success(child, Place("on this machine", "", backup.artifact)))
    return [line for line in bytes(listed).decode("utf-8", "replace").splitlines() if line and line[0].isdigit()]


def feed_artifact(run: job_runner.JobRun, backup: Backup, child: Child, progress: RestoreProgress) -> pipeline.ReadBack:
    """Give a program the plain archive and close its input. Raises JobError when the artifact is not whole.

    The artifact is judged before the program, which may only complain about what a damaged artifact gave it.
    """
    read = read_artifact(run, backup, child.stdin, progress)
    with suppress(OSError, ValueError):
        # The program may have ended before it had read everything; its status says so.
        child.stdin.close()
    require_whole(backup, read)
    return read


def read_artifact(
    run: job_runner.JobRun, backup: Backup, sink: pipeline.Sink, progress: RestoreProgress
) -> pipeline.ReadBack:
    """Decrypt and decompress the artifact into ``sink``, to its last byte, without a judgement. Raises JobError."""
    identities = age_keys.load_identities()

    def see_bytes(count: int) -> None:
        run.require_going_on()
        run.see_bytes(count)
        progress.see_bytes(count)

    with storage.open_artifact(backup.artifact, backup.reads_from) as source:
        try:
            return pipeline.read_stream(source, sink, identities, see_bytes)
        except OSError as error:
            raise explain_store_error(error, storage.artifact_address(backup.artifact, backup.reads_from)) from None


def require_whole(backup: Backup, read: pipeline.ReadBack) -> None:
    """Raises JobError (ARTIFACT_DAMAGED, WRONG_KEY) unless what was read is what was written."""
    path = storage.artifact_address(backup.artifact, backup.reads_from)
    if read.sha256 != backup.sha256:
        raise JobError(
            ErrorCode.ARTIFACT_DAMAGED,
            f"The artifact {path} is damaged: it has {read.bytes:,} bytes with sha256 {read.sha256[:12]}... and was "
            f"written with {backup.bytes or 0:,} bytes and {backup.sha256[:12]}...: put it back from a copy.",
        )
    if read.problem == ErrorCode.WRONG_KEY:
        raise JobError(
            ErrorCode.WRONG_KEY,
            f"The age key of this portal does not open the artifact {path}: put back the key it was encrypted to.",
        )
    if read.problem is not None or read.plain_bytes != backup.plain_bytes:
        raise JobError(
            ErrorCode.ARTIFACT_DAMAGED,
            f"The artifact {path} cannot be decrypted and decompressed to its end: take a new backup.",
        )


def read_restored(server: Server, backup: Backup, application_name: str, *, sums: bool) -> Found:
    """Row counts of a restored database and, with ``sums``, the checksums that the backup has. Raises JobError."""
    with server.connect(application_name) as connection:
        try:
            # What was restored may have set a search path for its database, with operators of its own in it.
            connection.execute("SET search_path = ''")
            connection.execute("SET row_security = off")
            counts = count_rows(connection, server.place)
            known = backup.metadata.get("checksums", {}) if sums else {}
            # Of any size: the same table may take more room there.
            checksums = checksum_tables(connection, 2**62, known.keys() & counts.keys())
            is_summed = sums and bool(backup.metadata.get("large_objects", {}).get("checksum"))
            return Found(counts, checksums, read_large_objects(connection, 2**62 if is_summed else 0))
        except psycopg.Error as error:
            raise explain_database_error(error, server.place) from None


def _build_create(name: str, metadata: Mapping[str, Any], owner: str) -> sql.Composed:
    clauses: list[tuple[str, Any]] = [
        ("ENCODING", metadata.get("encoding")),
        ("LC_COLLATE", metadata.get("collate")),
        ("LC_CTYPE", metadata.get("ctype")),
    ]
    provider, locale = metadata.get("locale_provider"), metadata.get("locale")
    if provider in {"icu", "builtin"} and locale:
        clauses += [("LOCALE_PROVIDER", provider), ("ICU_LOCALE" if provider == "icu" else "BUILTIN_LOCALE", locale)]
        clauses += [("ICU_RULES", metadata.get("icu_rules"))]
    options = [sql.SQL(f" {key} {{}}").format(sql.Literal(value)) for key, value in clauses if value]
    if owner:
        options.append(sql.SQL(" OWNER {}").format(sql.Identifier(owner)))
    return sql.SQL("CREATE DATABASE {} TEMPLATE template0{}").format(sql.Identifier(name), sql.Composed(options))


def _had(rows: int | None) -> str:
    return "did not exist" if rows is None else f"had {_count(rows, 'row')}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
