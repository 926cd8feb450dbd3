"""What a proof looks at in the scratch database besides the rows: validity, indexes, the owner's assertions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from psycopg import sql

from backups import job_runner, pg_commands
from backups.errors import ErrorCode, JobError, explain_database_error
from backups.models import Backup, ProofAssertion
from backups.names import name_table
from backups.pg_binaries import ClientBinaries
from backups.selection import parse_selection
from backups.servers import Server

AMCHECK_SCHEMA = "preflight_amcheck"
ASSERTION_SECONDS = 60
# So many names fit into a command line.
INDEXES_AT_ONCE = 500
_BOOL_OID = 16


@dataclass(frozen=True)
class Asserted:
    """One assertion and what came of it; ``said`` is why it does not hold, or why it was not asked."""

    name: str
    said: str = ""
    was_asked: bool = True

    @property
    def holds(self) -> bool | None:
        """None when it was not asked."""
        return not self.said if self.was_asked else None

    def as_json_object(self) -> dict[str, Any]:
        return {"name": self.name, "holds": self.holds, "said": self.said}


def require_valid(scratch: Server, metadata: Mapping[str, Any], application_name: str) -> None:
    """Raises JobError (NOT_EQUAL) for a constraint or an index that is not valid and was in the original."""
    query = (Path(__file__).with_name("sql") / "not_valid.sql").read_bytes()
    with scratch.connect(application_name) as connection:
        try:
            connection.execute("SET search_path = ''")
            found = {str(row[0]) for row in connection.execute(query).fetchall()}
        except psycopg.Error as error:
            raise explain_database_error(error, scratch.place) from None
    if broken := sorted(found - set(metadata.get("not_valid", []))):
        raise JobError(
            ErrorCode.NOT_EQUAL, f"After the restore the {broken[0]} is not valid, and it was in the backup."
        )


def prepare_amcheck(ours: Server, role: str, application_name: str) -> None:
    """In the empty scratch database, as a superuser: let the proof's role read indexes through. Raises JobError."""
    members = (
        "SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text, n.nspname FROM pg_catalog.pg_extension AS e"
        " JOIN pg_catalog.pg_depend AS d ON d.refobjid = e.oid AND d.deptype = 'e'"
        " AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass"
        " JOIN pg_catalog.pg_proc AS p ON p.oid = d.objid JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace"
        " WHERE e.extname = 'amcheck'"
    )
    schema, grantee = sql.Identifier(AMCHECK_SCHEMA), sql.Identifier(role)
    with ours.connect(application_name) as connection:
        try:
            connection.execute("SET search_path = ''")
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
            connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS amcheck SCHEMA {}").format(schema))
            for function, namespace in connection.execute(members).fetchall():
                # A regprocedure is quoted as SQL wants it.
                connection.execute(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(function), grantee))
                connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(namespace), grantee))
        except psycopg.Error as error:
            raise explain_database_error(error, ours.place) from None


def check_indexes(run: job_runner.JobRun, client: ClientBinaries, scratch: Server) -> None:
    """Have pg_amcheck read all tables and indexes. Raises JobError (NOT_EQUAL) with what it found first.

    It looks for every row only in indexes that code of the database's own made (expressions, conditions, operators):
    what the server made of plain columns a moment ago cannot miss any, and looking costs as much as making it.
    """
    _amcheck(run, client, scratch)
    (computed,) = run.wait_for(lambda: _list_computed_indexes(scratch, run.application_name))
    for begin in range(0, len(computed), INDEXES_AT_ONCE):
        _amcheck(run, client, scratch, computed[begin : begin + INDEXES_AT_ONCE])


def _list_computed_indexes(scratch: Server, application_name: str) -> list[tuple[str, str]]:
    query = (Path(__file__).with_name("sql") / "computed_indexes.sql").read_bytes()
    with scratch.connect(application_name) as connection:
        try:
            connection.execute("SET search_path = ''")
            return [(str(schema), str(name)) for schema, name in connection.execute(query).fetchall()]
        except psycopg.Error as error:
            raise explain_database_error(error, scratch.place) from None


def _amcheck(
    run: job_runner.JobRun, client: ClientBinaries, scratch: Server, row_by_row: Sequence[tuple[str, str]] = ()
) -> None:
    program = client.find("pg_amcheck")
    assert program is not None  # noqa: S101  asked before
    with scratch.service_file(run.application_name) as service:
        database, jobs = scratch.place.database, settings.RESTORE_JOBS
        command = pg_commands.check_indexes(program, service, database, jobs, row_by_row)
        with run.child(command, secrets=scratch.secrets, gives_stdout=True) as child:
            (said,) = run.wait_for(child.stdout.read)
            (status,) = run.wait_for(child.wait)
    found = bytes(said).decode("utf-8", "replace").split("\n", 1)[0].strip()
    if status == 2 or (status == 0 and found):
        raise JobError(ErrorCode.NOT_EQUAL, f"pg_amcheck found after the restore: {found.rstrip('.:')[:300]}.")
    if status != 0 and "no relations to check" not in child.complaint:
        raise JobError(ErrorCode.NOT_PROVABLE, f"pg_amcheck could not read the indexes: {child.complaint[:300]}")


def run_assertions(
    run: job_runner.JobRun, scratch: Server, backup: Backup, assertions: Iterable[ProofAssertion]
) -> list[Asserted]:
    """Ask each, read-only; the setting preflight.taken_at is the moment of the backup. Raises JobError."""
    found = []
    for assertion in assertions:
        with scratch.connect(run.application_name) as connection, run.stopped_by(connection.cancel):
            (asserted,) = run.wait_for(lambda: _assert(connection, backup, assertion))  # noqa: B023  waited for here
        found.append(asserted)
    return found


def _assert(connection: psycopg.Connection[Any], backup: Backup, assertion: ProofAssertion) -> Asserted:
    name = assertion.name
    taken_at = backup.taken_at.isoformat() if backup.taken_at else ""
    try:
        with connection.transaction():
            _begin_read_only(connection)
            connection.execute("SELECT pg_catalog.set_config('preflight.taken_at', %s, true)", [taken_at])
            # The extended protocol takes one statement and no more.
            row = connection.execute(assertion.sql.encode(), binary=True).fetchone()
    except psycopg.errors.QueryCanceled:
        return Asserted(name, f"It was not answered within {ASSERTION_SECONDS} seconds.")
    except psycopg.errors.UndefinedTable as error:
        said = error.diag.message_primary or ""
        if left_out := _find_left_out(said, backup):
            return Asserted(name, f"It was not asked, because the backup leaves out {left_out}.", was_asked=False)
        return Asserted(name, f"It could not be answered: {said}.")
    except psycopg.Error as error:
        return Asserted(name, f"It could not be answered: {error.diag.message_primary or 'the connection broke'}.")
    return Asserted(name, "" if row is not None and row[0] is True else "It is not true.")


def _find_left_out(said: str, backup: Backup) -> str:
    """The table that the server misses, when the backup was told to leave it out; else ""."""
    quoted = re.search(r"[\"“„«»](?P<name>[^\"“”„«»]+)[\"“”„«»]", said)
    if quoted is None:
        return ""
    schema, _, table = quoted["name"].strip().rpartition(".")
    schema = schema or "public"
    return "" if parse_selection(**backup.selection).holds(schema, table) else name_table(schema, table)


def try_assertion(server: Server, text: str, application_name: str) -> str:
    """What is wrong with an assertion, asked of the database itself, which parses it and runs nothing; "" when fine.

    Raises JobError when the database cannot be asked.
    """
    with server.connect(application_name) as connection, connection.transaction():
        _begin_read_only(connection)
        parsed = connection.pgconn.prepare(b"", text.encode())
        if parsed.status != psycopg.pq.ExecStatus.COMMAND_OK:
            return (parsed.error_field(psycopg.pq.DiagnosticField.MESSAGE_PRIMARY) or b"?").decode("utf-8", "replace")
        described = connection.pgconn.describe_prepared(b"")
        if described.nfields != 1 or described.ftype(0) != _BOOL_OID:
            return "it has to give one value that is true or false, such as SELECT count(*) > 0 FROM orders"
    return ""


def _begin_read_only(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SET TRANSACTION READ ONLY")
    connection.execute("SET LOCAL search_path = public")
    connection.execute(f"SET LOCAL statement_timeout = '{ASSERTION_SECONDS}s'")
