"""Restores single tables into a schema beside what is in use: through a scratch database, all of it or nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from backups import job_runner, names, pg_binaries, pg_commands, replacing, restoring, scratch, servers
from backups.dumps import require_success
from backups.errors import ErrorCode, JobError, explain_database_error
from backups.models import Backup, Restore
from backups.names import split_table
from backups.process import Child
from backups.proof_servers import choose_proof_server
from backups.servers import Server
from backups.snapshot import count_rows

# What a copy to look at must not have: it would act, forbid, or refer to what is not there.
_LEFT_OUT = (
    *(
        "FK CONSTRAINT",
        "TRIGGER",
        "EVENT TRIGGER",
        "RULE",
        "POLICY",
        "ROW SECURITY",
        "PUBLICATION",
        "PUBLICATION TABLE",
    ),
    *("MATERIALIZED VIEW DATA", "BLOB", "BLOBS", "BLOB METADATA", "STATISTICS DATA"),
)
_NOTE = "Foreign keys, triggers and policies were left out, so that the copy neither acts nor forbids."
_ENTRY = re.compile(r"\d+; \d+ \d+ (?P<rest>.*)")
_BLOCK_BYTES = 256 * 1024


def restore_beside(run: job_runner.JobRun, job: Restore, backup: Backup, began: float) -> None:
    """Bring the chosen tables of the backup into the restore's schema, which must not exist yet.

    ``backup`` is the restore's, with its database, and says where it is read from. Raises JobError.
    """
    target = servers.server_of_restore(job).with_database(job.target_database)
    run.wait_for(lambda: require_room_for_schema(target, job.side_schema, run.application_name))
    client = pg_binaries.find_client(_read_major(target, run.application_name))
    (chosen,) = run.wait_for(lambda: choose_proof_server(backup, run.application_name))
    tables = [str(table) for table in job.chosen_tables]
    name = names.name_restoring_database(job.pk)
    with scratch.made(run, job, chosen, name, backup.metadata) as made:
        scratch.restore_into(run, backup, made, keeps=lambda line: is_wanted(line, tables))
        (found,) = run.wait_for(lambda: restoring.read_restored(made.server, backup, run.application_name, sums=True))
        comparison = restoring.compare_some(backup, found, tables, (*made.notes, _NOTE))
        if not comparison.is_equal:
            raise JobError(ErrorCode.NOT_EQUAL, f"{comparison.sentence} Nothing was kept.")
        run.wait_for(lambda: _move(made.server, tables, job.side_schema, run.application_name))
        if job.masking_sql:
            replacing.mask(run, made.server, job.masking_sql)
        (masked,) = run.wait_for(lambda: _count(made.server, job.side_schema, run.application_name))
        run.enter(f"copying into {job.side_schema}", 98)
        _copy(run, job, made, target, client.pg_restore)
    (copied,) = run.wait_for(lambda: _count(target, job.side_schema, run.application_name))
    if copied != masked:
        run.finish(lambda: drop_if_ours(target, job.side_schema, run.application_name, run.application_name))
        raise JobError(
            ErrorCode.NOT_EQUAL, f"The copy in {job.side_schema} had other rows, and was dropped: try again."
        )
    replacing.finish(run, job, comparison, began)


def is_wanted(line: str, tables: Iterable[str]) -> bool:
    """Whether an entry of an archive's contents is restored: every definition, and the rows of the chosen tables."""
    found = _ENTRY.match(line)
    rest = found["rest"] if found else ""
    if any(rest.startswith(f"{kind} ") for kind in _LEFT_OUT):
        return False
    if not rest.startswith("TABLE DATA "):
        return True
    return any(rest.startswith(f"TABLE DATA {schema} {table} ") for schema, table in map(split_table, tables))


def require_room_for_schema(target: Server, schema: str, application_name: str) -> None:
    """Raises JobError unless a schema of this name can be made in the target's database."""
    query = (
        "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),"
        " EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s)"
    )
    place = target.place
    with target.connect(application_name) as connection:
        try:
            row = connection.execute(query, [schema]).fetchone()
        except psycopg.Error as error:
            raise explain_database_error(error, place) from None
    assert row is not None  # noqa: S101  the query gives one row
    may_create, exists = row
    if exists:
        raise JobError(
            ErrorCode.NAME_TAKEN, f"{place.database} already has a schema {schema}: choose a name that is free."
        )
    if not may_create:
        raise JobError(
            ErrorCode.PERMISSION,
            f"{place.user} may not make schemas in {place.database}: "
            f"run GRANT CREATE ON DATABASE {place.database} TO {place.user}.",
        )


def _read_major(target: Server, application_name: str) -> int:
    with target.connect(application_name) as connection:
        return connection.info.server_version // 10000


def _move(server: Server, tables: Collection[str], schema: str, application_name: str) -> None:
    """In the scratch database: put the tables, with what they own, into the schema, away from their parents."""
    parents = (
        "SELECT p.relnamespace::pg_catalog.regnamespace::pg_catalog.text, p.relname, c.relispartition"
        " FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent WHERE n.nspname = %s AND c.relname = %s"
    )
    with server.connect(application_name) as connection:
        try:
            connection.execute("SET search_path = ''")
            with connection.transaction():
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
                # It goes along, so that what a killed attempt has left can be told from everybody else's.
                connection.execute(
                    sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(schema), sql.Literal(application_name))
                )
                for place in map(split_table, tables):
                    table = sql.Identifier(*place)
                    for parent_schema, parent, is_partition in connection.execute(parents, place).fetchall():
                        # A regnamespace is quoted as SQL wants it.
                        above = sql.SQL("{}.{}").format(sql.SQL(parent_schema), sql.Identifier(parent))
                        connection.execute(
                            sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(above, table)
                            if is_partition
                            else sql.SQL("ALTER TABLE {} NO INHERIT {}").format(table, above)
                        )
                    connection.execute(sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(table, sql.Identifier(schema)))
        except psycopg.Error as error:
            raise explain_database_error(error, server.place) from None


def _copy(run: job_runner.JobRun, job: Restore, made: scratch.Scratch, target: Server, pg_restore: Path) -> None:
    """pg_dump of the schema into pg_restore, which commits at the end or not at all."""
    with (
        made.server.service_file(run.application_name) as source_service,
        target.service_file(run.application_name) as target_service,
        run.child(
            pg_commands.dump_schema(made.client.pg_dump, source_service, job.side_schema),
            secrets=made.server.secrets,
            gives_stdout=True,
        ) as dumping,
        run.child(
            pg_commands.restore_at_once(pg_restore, target_service),
            secrets=target.secrets,
            reads_stdin=True,
        ) as restoring_child,
    ):
        run.wait_for(lambda: _pump(dumping, restoring_child, made.server))
        run.wait_for(lambda: require_success(restoring_child, target.place))


def _pump(dumping: Child, restoring_child: Child, source: Server) -> None:
    """Nothing is committed before pg_dump has ended well: pg_restore gets the last block only then."""
    with suppress(BrokenPipeError, ValueError):
        last = b""
        while block := dumping.stdout.read(_BLOCK_BYTES):
            restoring_child.stdin.write(last)
            last = block
        require_success(dumping, source.place)
        restoring_child.stdin.write(last)
    with suppress(OSError, ValueError):
        restoring_child.stdin.close()


def _count(server: Server, schema: str, application_name: str) -> dict[str, int]:
    with server.connect(application_name) as connection:
        connection.execute("SET search_path = ''")
        connection.execute("SET row_security = off")
        return count_rows(connection, server.place, schema=schema)


def drop_if_ours(target: Server, schema: str, mark: str, application_name: str) -> None:
    """Drop the schema that one attempt at a restore has made, told by its comment, and no other. Raises JobError."""
    query = (
        "SELECT 1 FROM pg_catalog.pg_namespace AS n"
        " WHERE n.nspname = %s AND pg_catalog.obj_description(n.oid, 'pg_namespace') = %s"
    )
    with target.connect(application_name) as connection:
        try:
            if connection.execute(query, [schema, mark]).fetchone():
                connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        except psycopg.Error as error:
            raise explain_database_error(error, target.place) from None
