"""Takes in dumps that were made elsewhere: restores them as a role without rights, and dumps that as a backup of ours.

What such a file holds is nobody's whom we know. It meets a scratch database on the proof server and nothing else, as a
role that may do nothing beyond it; what comes out is a backup with a manifest, to be verified and proven as any other.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import secrets
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from psycopg import sql

from backups import (
    age_keys,
    catalogue,
    copying,
    dumps,
    foreign_files,
    job_runner,
    names,
    pg_commands,
    pipeline,
    plaintext,
    proof_roles,
    scratch,
    servers,
    storage,
)
from backups.errors import ErrorCode, JobError, explain_database_error, explain_store_error
from backups.foreign_files import Kind
from backups.models import Backup
from backups.pg_binaries import ClientBinaries
from backups.proof_servers import PROOF, ProofServer, read_server_facts
from backups.servers import Server
from backups.store_config import LOCAL

_BLOCK_BYTES = 256 * 1024
# The minor releases whose psql can be told to run no commands of its own, by major; all from 18 on can.
_RESTRICTED_SINCE = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}
_COMPLAINT = re.compile(r"(?:^|: )(ERROR|FATAL|PANIC|error|fatal): +(?P<said>.*)$")
# What a script says about owners and grants of a server that is not ours, and settings that ours does not know yet.
_HARMLESS = re.compile(
    r"role \".*\" does not exist|must be (member of|able to SET) (ROLE|role) \".*\"|must be owner of extension .*"
    r"|schema \".*\" already exists|unrecognized configuration parameter \"\w+_timeout\""
)


@dataclass
class _Limited:
    """Writes into a file as much as is allowed, and hashes it."""

    file: plaintext.PlainFile
    max_bytes: int
    count: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> int:
        self.count += len(data)
        if self.count > self.max_bytes:
            raise _TooBigError
        self.sha256.update(data)
        return self.file.write(data)


class _TooBigError(Exception):
    """More came than is allowed."""


def take_in(backup_id: int, notice: job_runner.Notice | None = None) -> Backup | None:
    """Take the queued dump in and return the backup as it ended; None when it was not queued any more."""
    backup = catalogue.claim(Backup, backup_id)
    if backup is None:
        return None
    with job_runner.running(backup, notice) as run:
        try:
            _take_in(run, backup)
        finally:
            storage.delete_artifact(uploaded_file(backup))
    copying.sweep_spool()
    return Backup.objects.get(pk=backup_id)


def uploaded_file(backup: Backup) -> str:
    """The name in the local store of what somebody uploaded, encrypted, until it was taken in; else ""."""
    return str(backup.source["file"]) if backup.source.get("where") == "upload" else ""


def name_upload(unique: str) -> str:
    """Where an upload is kept in the local store, under a name that no backup has."""
    return f"incoming/{unique}.zst.age"


def keep_upload(source: Any, name: str) -> None:
    """Write an upload into the local store, compressed and encrypted, in constant memory. Raises JobError."""
    recipients = age_keys.load_recipients()
    with storage.new_artifact(name) as artifact:
        try:
            pipeline.write_stream(source, artifact.file, recipients, settings.BACKUP_ZSTD_LEVEL)
        except OSError as error:
            raise explain_store_error(error, str(artifact.path.parent)) from None
        artifact.seal()


def max_bytes() -> int:
    """How big a file may be, and the database that it becomes."""
    return int(settings.IMPORT_MAX_MB) * 1_000_000


def _take_in(run: job_runner.JobRun, backup: Backup) -> None:
    run.enter("reading the file")
    with plaintext.new_file("import") as file, ExitStack() as stack:
        (origin,) = run.wait_for(lambda: _read_source(run, backup, file))
        (kind,) = run.wait_for(lambda: foreign_files.recognise(file.path))
        path = file.path
        if kind == Kind.DIRECTORY:
            plaintext.require_room(path.stat().st_size)
            path = stack.enter_context(foreign_files.unpacked(path, max_bytes()))
        run.enter("choosing a server")
        server = servers.proof_server()
        (facts,) = run.wait_for(lambda: read_server_facts(server, run.application_name))
        if not facts.may_create_databases or (facts.is_superuser and not proof_roles.may_make_role(facts)):
            raise JobError(
                ErrorCode.NO_CREATEDB, f"The role on the proof server {server.place.server} may not create databases."
            )
        name = names.name_import_database(backup.pk)
        chosen = ProofServer(PROOF, server, facts)
        allowed = set(settings.IMPORT_EXTENSIONS) & facts.extensions
        (extensions,) = run.wait_for(lambda: foreign_files.find_extensions(path, allowed))
        metadata = {"encoding": "UTF8", "extensions": extensions}
        with scratch.made(run, backup, chosen, name, metadata) as made:
            run.enter("restoring")
            run.wait_for(lambda: _limit_role(made, run.application_name))
            with _watched_size(made, run.application_name) as watch:
                notes = _restore(run, made, kind, path, watch)
            if made.role:
                run.wait_for(lambda: proof_roles.see_all_rows(made.server, run.application_name))
            run.wait_for(lambda: _require_tables(made.server, run.application_name))
            backup.metadata = {"origin": {**origin, "kind": str(kind), "notes": notes}}
            dumps.dump_from(run, backup, made.server)


def _read_source(run: job_runner.JobRun, backup: Backup, file: plaintext.PlainFile) -> dict[str, Any]:
    """Bring the file, decompressed where it is gzip, to where programs can seek in it. Raises JobError."""
    limited = _Limited(file, max_bytes())
    name = str(backup.source["file"])
    whole = hashlib.sha256()
    try:
        with storage.open_artifact(name, LOCAL) as source:
            if uploaded_file(backup):
                with plaintext.new_file("upload") as upload:
                    read = pipeline.read_stream(
                        source, upload, age_keys.load_identities(), lambda _: run.require_going_on()
                    )
                    upload.seal()
                    if read.problem is not None:
                        raise JobError(ErrorCode.ARTIFACT_DAMAGED, "The upload broke off: upload the file again.")
                    size = _copy(run, upload.path, whole, limited)
            else:
                path = storage.artifact_path(name)
                plaintext.require_room(path.stat().st_size)
                size = _copy(run, path, whole, limited)
    except _TooBigError:
        raise JobError(
            ErrorCode.BAD_SOURCE,
            f"This file is not taken. It holds more than {settings.IMPORT_MAX_MB:,} MB: "
            "raise IMPORT_MAX_MB if it is meant.",
        ) from None
    file.seal()
    return {"name": backup.source["name"], "bytes": size, "sha256": whole.hexdigest()}


def _copy(run: job_runner.JobRun, path: Path, whole: Any, target: _Limited) -> int:
    size = 0
    with path.open("rb") as source:
        is_gzip = source.read(2) == b"\x1f\x8b"
        source.seek(0)
        while block := source.read(_BLOCK_BYTES):
            run.require_going_on()
            size += len(block)
            whole.update(block)
            if not is_gzip:
                target.write(block)
    if is_gzip:
        try:
            with gzip.open(path) as unzipped:
                while block := unzipped.read(_BLOCK_BYTES):
                    run.require_going_on()
                    target.write(block)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise JobError(
                ErrorCode.BAD_SOURCE, "This file is not taken. It is gzip and cannot be read to its end."
            ) from None
    return size


def _limit_role(made: scratch.Scratch, application_name: str) -> None:
    """Complaints are read in English; work on disk stays within what the database may take."""
    if not (made.role and made.chosen.facts.is_superuser):
        return
    role = sql.Identifier(made.role)
    with made.chosen.server.connect(application_name) as connection:
        try:
            for name, value in (("lc_messages", "C"), ("temp_file_limit", f"{settings.IMPORT_MAX_MB}MB")):
                connection.execute(
                    sql.SQL("ALTER ROLE {} SET {} = {}").format(role, sql.Identifier(name), sql.Literal(value))
                )
        except psycopg.Error as error:
            raise explain_database_error(error, made.chosen.server.place) from None


def _require_tables(server: Server, application_name: str) -> None:
    query = (
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c WHERE c.relkind IN ('r', 'p', 'm')"
        " AND c.relnamespace::pg_catalog.regnamespace::pg_catalog.text OPERATOR(pg_catalog.!~) '^(pg_|information_)')"
    )
    with server.connect(application_name) as connection:
        connection.execute("SET search_path = ''")
        row = connection.execute(query).fetchone()
    if not (row and row[0]):
        raise JobError(ErrorCode.BAD_SOURCE, "This file is not taken. It makes no table.")


class _SizeWatch:
    """Whether the scratch database has become bigger than is allowed, asked every second."""

    def __init__(self) -> None:
        self.is_too_big = False
        self.stop = threading.Event()
        self.on_too_big: list[Any] = []


@contextmanager
def _watched_size(made: scratch.Scratch, application_name: str) -> Iterator[_SizeWatch]:
    watch = _SizeWatch()
    name = made.ours.place.database

    def ask() -> None:
        with (
            suppress(JobError, psycopg.Error),
            made.chosen.server.connect(f"{application_name} size"[:63]) as connection,
        ):
            while not watch.stop.wait(1.0):
                row = connection.execute("SELECT pg_catalog.pg_database_size(%s)", [name]).fetchone()
                if row and int(row[0]) > max_bytes():
                    watch.is_too_big = True
                    connection.execute(
                        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
                        " WHERE datname = %s",
                        [name],
                    )
                    return

    thread = threading.Thread(target=ask, name="import size", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.stop.set()
        thread.join(3)


def _restore(run: job_runner.JobRun, made: scratch.Scratch, kind: Kind, path: Path, watch: _SizeWatch) -> list[str]:
    """What was passed over, as sentences. Raises JobError."""
    try:
        if kind == Kind.PLAIN:
            return _run_script(run, made, path)
        return _restore_archive(run, made, path)
    except JobError as error:
        if watch.is_too_big:
            raise JobError(
                ErrorCode.BAD_SOURCE,
                f"This file is not taken. It becomes a database of more than {settings.IMPORT_MAX_MB:,} MB: "
                "raise IMPORT_MAX_MB if it is meant.",
            ) from None
        if made.role and error.code in {ErrorCode.NOT_PROVABLE, ErrorCode.PERMISSION}:
            raise JobError(
                ErrorCode.BAD_SOURCE,
                f"This file is not taken. It asks for more rights than a dump from elsewhere gets ({error.said}).",
            ) from None
        raise


def _restore_archive(run: job_runner.JobRun, made: scratch.Scratch, path: Path) -> list[str]:
    with run.child(pg_commands.list_archive(made.client.pg_restore, path), gives_stdout=True) as child:
        (listed,) = run.wait_for(child.stdout.read)
        run.wait_for(lambda: dumps.require_success(child, made.server.place))
    # A dump of schemas by name makes public as well, which every new database has.
    there = {f" SCHEMA - {schema} " for schema in made.made_schemas | {"public"}}
    lines = bytes(listed).decode("utf-8", "replace").splitlines(keepends=True)
    entries = "".join(line for line in lines if not any(each in line for each in there))
    with (
        made.server.service_file(run.application_name) as service,
        servers.temporary_file(entries, "list") as list_file,
    ):
        command = pg_commands.restore_database(
            made.client.pg_restore,
            service,
            keep_owners=False,
            for_proof=True,
            list_file=list_file,
            archive=path,
        )
        with run.child(command, secrets=made.server.secrets) as child:
            run.wait_for(lambda: dumps.require_success(child, made.server.place))
    return ["Owners and privileges were left out."]


def _run_script(run: job_runner.JobRun, made: scratch.Scratch, path: Path) -> list[str]:
    """Give the script to a psql that is told to run no commands of its own; the first real complaint ends it."""
    psql = _find_restricted_psql(made.client)
    notes: list[str] = []
    refused: list[str] = []
    kill: list[Any] = []

    def hear(line: str) -> None:
        found = _COMPLAINT.search(line)
        if found is None or refused:
            return
        if _HARMLESS.fullmatch(found["said"]):
            if len(notes) < 20 and found["said"] not in notes:
                notes.append(found["said"])
            return
        refused.append(found["said"])
        for each in kill:
            each()

    # Nobody can know it, so nothing in the script can end the restriction.
    key = secrets.token_hex(24)

    def feed(stdin: Any) -> None:
        with suppress(BrokenPipeError, ValueError):
            stdin.write(b"\\restrict %s\n" % key.encode())
            for block in foreign_files.read_script(path):
                run.require_going_on()
                stdin.write(block)
            # It answers with the key only when it waits for a command, not for the rest of a table.
            stdin.write(b"\n\\unrestrict %s\n\\echo %s\n" % (key.encode(), key.encode()))
        with suppress(OSError, ValueError):
            stdin.close()

    with made.server.service_file(run.application_name) as service:
        command = pg_commands.run_script(psql, service)
        with run.child(
            command, secrets=made.server.secrets, reads_stdin=True, gives_stdout=True, on_line=hear
        ) as child:
            kill.append(child.kill)
            _, answered = run.wait_for(lambda: feed(child.stdin), child.stdout.read)
            (status,) = run.wait_for(child.wait)
    if refused:
        raise _explain_script(refused[0])
    if status != 0:
        dumps.require_success(child, made.server.place)
    if key.encode() not in bytes(answered):
        raise JobError(ErrorCode.BAD_SOURCE, "This file is not taken. It ends in the middle.")
    return ["Owners and privileges of roles that are not here were left out."] if notes else []


def _explain_script(said: str) -> JobError:
    if "backslash commands are restricted" in said:
        return JobError(
            ErrorCode.BAD_SOURCE,
            "This file is not taken. It holds commands of psql, which are not run: make it with pg_dump, "
            "without --create, or as a custom archive.",
        )
    if re.search(r"permission denied|must be superuser|only superuser|must be owner|requires? .*superuser", said):
        return JobError(
            ErrorCode.BAD_SOURCE,
            f"This file is not taken. It asks for more rights than a dump from elsewhere gets ({said[:200]}).",
        )
    return JobError(ErrorCode.BAD_SOURCE, f"This file is not taken. The server says: {said[:300]}.")


def _find_restricted_psql(client: ClientBinaries) -> Path:
    """Raises JobError where psql cannot be told to run no commands."""
    psql = client.find("psql")
    minor = int((re.search(r"\.(\d+)", client.version) or ["", "0"])[1])
    since = _RESTRICTED_SINCE.get(client.major, 0 if client.major >= 18 else 10_000)
    if psql is None or minor < since:
        raise JobError(
            ErrorCode.CLIENT_MISSING,
            f"Plain SQL from elsewhere needs a psql that can be restricted: install postgresql-client-{client.major} "
            f"in its newest release, or give a custom archive.",
        )
    return psql
