"""Commands of PostgreSQL's programs as values: what is in them, and above all what is not."""

from pathlib import Path

import pytest

from backups import pg_commands
from backups.pg_commands import Command, ServiceError, render_service

PASSWORD = "kennwort-7f3a"
PARAMETERS = {"host": "db.example", "user": "app", "password": PASSWORD, "dbname": "shop"}
BIN = Path("/usr/lib/postgresql/15/bin")
FILE = Path("/run/x.service")


def all_commands() -> list[Command]:
    return [
        pg_commands.dump_database(BIN / "pg_dump", FILE, "00000003-1"),
        pg_commands.restore_database(BIN / "pg_restore", FILE, keep_owners=True, for_proof=False),
        pg_commands.restore_database(BIN / "pg_restore", FILE, keep_owners=False, for_proof=True),
        pg_commands.read_archive(BIN / "pg_restore"),
    ]


def test_it_names_the_connection_by_a_service_file_only() -> None:
    for command in all_commands()[:3]:
        assert "--dbname=service=preflight" in command.argv
        assert command.env["PGSERVICEFILE"] == str(FILE)


def test_it_keeps_passwords_and_the_portals_environment_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("SECRET_KEY", PASSWORD)
    assert f"password={PASSWORD}\n" in render_service(PARAMETERS, "preflight")
    for command in all_commands():
        assert PASSWORD not in repr(command)
        assert set(command.env) <= {"LC_ALL", "PATH", "PGSERVICEFILE"}


def test_it_dumps_under_the_snapshot_and_gives_up_on_locks() -> None:
    argv = pg_commands.dump_database(BIN / "pg_dump", FILE, "00000003-1").argv
    assert argv[0] == str(BIN / "pg_dump")
    assert {"--snapshot=00000003-1", "--lock-wait-timeout=10s", "--format=custom", "--compress=0"} <= set(argv)
    assert "--no-password" in argv


def test_it_stops_a_restore_at_the_first_error_and_never_subscribes() -> None:
    for command in all_commands()[1:3]:
        assert {"--exit-on-error", "--no-subscriptions"} <= set(command.argv)


def test_it_leaves_owners_out_where_they_cannot_be_kept() -> None:
    _, kept, proof, _ = all_commands()
    assert "--no-owner" not in kept.argv
    assert {"--no-owner", "--no-acl", "--no-tablespaces"} <= set(proof.argv)


def test_it_writes_one_service() -> None:
    assert render_service({"host": "h", "dbname": "d"}, "preflight backup 1") == (
        "[preflight]\nhost=h\ndbname=d\napplication_name=preflight backup 1\n"
    )


@pytest.mark.parametrize("password", ["ends in a blank ", "two\nlines", "x" * 1100])
def test_it_refuses_what_a_service_file_cannot_hold_without_telling_it(password: str) -> None:
    with pytest.raises(ServiceError) as caught:
        render_service({**PARAMETERS, "password": password}, "preflight")
    assert password not in str(caught.value)


def test_it_refuses_the_name_of_a_service() -> None:
    with pytest.raises(ServiceError, match="host, user and database"):
        render_service({"service": "elsewhere"}, "preflight")
