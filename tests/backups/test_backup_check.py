"""What stands in the way of a backup, said before the button is pressed, by a role of little rights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from backups import backup_check, pg_binaries
from backups.errors import ErrorCode, JobError
from backups.models import BackupSchedule
from readiness.models import Database
from tests.conftest import Server

ROLE = "check_reader"


@pytest.fixture
def limited(database: Database, server: Server, shop: str) -> Iterator[Database]:
    """The shop through a role that may read customers and nothing else."""
    with server.connect("shop") as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'reads'")
        connection.execute(f"GRANT SELECT ON customers, customers_id_seq TO {ROLE}")
    database.dsn = make_conninfo(server.dsn("shop", host="127.0.0.1"), user=ROLE, password="reads")
    database.save()
    yield database
    with server.connect("shop") as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(ROLE)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(ROLE)))


def test_it_finds_nothing_against_an_owner(database: Database) -> None:
    assert backup_check.look(database) == backup_check.BackupCheck()


def test_it_says_what_the_role_may_not_read_and_the_way_that_remains(limited: Database) -> None:
    assert not any("passwords" in sentence for sentence in backup_check.look(limited).warnings)
    BackupSchedule.objects.create(database=limited, with_globals=True)
    found = backup_check.look(limited)
    (objection,) = found.objections
    assert objection.startswith(f"{ROLE} may not read log.events and ")
    assert "pg_read_all_data" in objection
    assert "schedule" in objection
    assert any("roles beside a backup come without their passwords" in sentence for sentence in found.warnings)


def test_it_says_that_rows_are_hidden(limited: Database, server: Server) -> None:
    with server.connect("shop") as connection:
        connection.execute("ALTER TABLE customers ENABLE ROW LEVEL SECURITY")
    assert any("sees only some rows of public.customers" in each for each in backup_check.look(limited).objections)


def test_it_says_that_nothing_answers(database: Database) -> None:
    database.dsn = "postgresql://nobody:s3cret@127.0.0.1:9/none"
    (objection,) = backup_check.look(database).objections
    assert "cannot be reached" in objection
    assert "s3cret" not in objection


def test_it_names_the_package_of_a_missing_client(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_binaries, "list_clients", lambda: iter(()))
    (objection,) = backup_check.look(database).objections
    assert "install the package postgresql-client-" in objection


def test_it_warns_of_a_newer_client(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    own = next(pg_binaries.list_clients())
    newer = [pg_binaries.ClientBinaries(own.bin_dir, major, f"{major}.1") for major in (97, 99, 98)]
    monkeypatch.setattr(pg_binaries, "list_clients", lambda: iter(newer))
    client, warning = pg_binaries.find_dump_client(15)
    assert client.major == 99
    assert "pg_dump 99 was used" in warning
    assert "postgresql-client-15" in warning
    with pytest.raises(JobError) as caught:
        pg_binaries.find_dump_client(100)
    assert caught.value.code == ErrorCode.CLIENT_MISSING


def test_an_archive_needs_at_least_the_major_that_wrote_it() -> None:
    assert pg_binaries.archive_major(150_004, "15.4") == 15
    assert pg_binaries.archive_major(150_004, "18.1") == 18
    assert pg_binaries.archive_major(150_004, "") == 15
