"""The postgres probe against a real server, and against what only pretends to be one."""

import contextlib
import json
import socket
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from readiness.probes.addresses import AddressPolicy
from readiness.probes.base import ErrorReason, ProbeResult, Status, Target, TargetError, TargetOptions
from readiness.probes.dsn import describe_dsn, find_engine, parse_dsn, read_dsn_reference
from readiness.probes.postgres import PostgresProbe
from tests.conftest import Server
from tests.servers import hostile
from tests.servers.probing import LOCAL, find, probe_now
from tests.servers.sockets import Handler, serve

pytestmark = pytest.mark.usefixtures("any_minor")


def probe_dsn(dsn: str, *, timeout_seconds: float = 20.0, policy: AddressPolicy = LOCAL) -> ProbeResult:
    """Probe as the command line would."""
    options = TargetOptions(timeout_seconds=timeout_seconds, address_policy=policy)
    return probe_now(PostgresProbe(), PostgresProbe().parse_target(dsn, options))


def test_it_passes_a_healthy_database_and_reports_its_facts(server: Server) -> None:
    server.create_database("probe_healthy", "CREATE TABLE customer (id int)", "CREATE TABLE invoice (id int)")
    result = probe_dsn(server.url("probe_healthy"))
    assert (result.status, result.reason) == (Status.PASS, None)
    assert result.data["engine"] == "postgresql"
    assert result.data["tables"] == 2
    assert result.data["connections"]["used"] >= 1
    assert result.data["round_trip_ms"] > 0
    assert json.loads(json.dumps(result.data, allow_nan=False)) == result.data
    assert {finding.status for finding in result.findings} == {Status.PASS, Status.SKIPPED}


def test_it_connects_through_a_socket_too(server: Server) -> None:
    server.create_database("probe_socket", "CREATE TABLE t (id int)")
    result = probe_dsn(server.dsn("probe_socket"))
    assert (result.status, result.data["local"]) == (Status.PASS, True)


def test_it_warns_of_a_database_without_tables(server: Server) -> None:
    server.create_database("probe_empty")
    result = probe_dsn(server.url("probe_empty"))
    assert (result.status, find(result, "tables").status) == (Status.WARN, Status.WARN)


def test_it_names_the_session_with_the_oldest_transaction(server: Server) -> None:
    dsn = server.create_database("probe_idle", "CREATE TABLE t (id int)")
    with psycopg.connect(dsn, application_name="till") as connection:
        connection.execute("SELECT 1")
        finding = find(probe_dsn(server.url("probe_idle")), "oldest_transaction")
        assert f"pid {connection.info.backend_pid}" in finding.summary
        assert "application till" in finding.detail
        assert f"pg_terminate_backend({connection.info.backend_pid})" in finding.fix


def test_it_skips_what_a_plain_member_of_public_may_not_see(server: Server) -> None:
    server.create_database("probe_plain", "CREATE TABLE t (id int)")
    with server.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS probe_plain")
        connection.execute("CREATE ROLE probe_plain LOGIN PASSWORD 'plain'")
    try:
        url = server.url("probe_plain")
        rest = url.partition("@")[2]
        result = probe_dsn(f"postgresql://probe_plain:plain@{rest}")
        finding = find(result, "oldest_transaction")
        assert finding.status is Status.SKIPPED and "pg_monitor" in finding.fix
        assert result.status is Status.PASS
    finally:
        server.drop_database("probe_plain")
        with server.connect() as connection:
            connection.execute("DROP ROLE probe_plain")


def test_it_ignores_what_an_orm_adds_to_the_url(server: Server) -> None:
    server.create_database("probe_prisma", "CREATE TABLE t (id int)")
    result = probe_dsn(f"{server.url('probe_prisma')}?schema=public&pgbouncer=true&connection_limit=5")
    assert result.status is Status.PASS


def test_it_names_a_wrong_password_without_repeating_it(server: Server) -> None:
    user, _, rest = server.url("postgres").removeprefix("postgresql://").partition(":")
    result = probe_dsn(f"postgresql://{user}:hunter2@{rest.rpartition('@')[2]}")
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.AUTHENTICATION_FAILED)
    assert "hunter2" not in str(result.as_json_object())
    assert result.target.startswith(f"postgresql://{user}:***@")


def test_it_names_a_missing_database(server: Server) -> None:
    result = probe_dsn(server.url("probe_nowhere"))
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.DATABASE_NOT_FOUND)


def test_it_names_a_server_that_refuses() -> None:
    with serve(hostile.hang_up) as gone:
        pass
    result = probe_dsn(f"postgresql://app:hunter2@{gone.address}/app")
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.REFUSED)


@pytest.mark.parametrize(
    ("handler", "status", "reason"),
    [
        (hostile.stay_silent, Status.ERROR, ErrorReason.TIMEOUT),
        (hostile.send_garbage, Status.FAIL, "bad_response"),
        (hostile.hang_up, Status.FAIL, "bad_response"),
        (hostile.reset_at_once, Status.FAIL, "bad_response"),
    ],
)
def test_it_names_what_only_pretends_to_be_a_database(handler: Handler, status: Status, reason: str) -> None:
    with serve(handler) as pretender:
        seconds = 2.0 if reason == ErrorReason.TIMEOUT else 20.0
        result = probe_dsn(f"postgresql://app:hunter2@{pretender.address}/app", timeout_seconds=seconds)
    assert (result.status, result.reason) == (status, reason)
    assert "hunter2" not in str(result.as_json_object())
    assert result.duration_ms < 20_000


def test_it_ends_at_the_deadline_when_a_query_never_returns(server: Server) -> None:
    server.create_database("probe_locked", "CREATE TABLE t (id int)")
    # A proxy that lets the connection come about and then swallows everything the server says.
    host, port = "127.0.0.1", int(server.url("postgres").rpartition(":")[2].partition("/")[0])

    def swallow(sock: socket.socket) -> None:
        with socket.create_connection((host, port)) as upstream:
            sock.settimeout(0.05)
            upstream.settimeout(0.05)
            while True:
                try:
                    data = sock.recv(65536)
                    if not data or b"SET LOCAL" in data or b"BEGIN" in data:
                        hostile.stay_silent(sock)
                        return
                    upstream.sendall(data)
                except TimeoutError:
                    pass
                with contextlib.suppress(TimeoutError):
                    sock.sendall(upstream.recv(65536))

    with serve(swallow) as proxy:
        url = server.url("probe_locked").replace(f":{port}/", f":{proxy.port}/")
        result = probe_dsn(url, timeout_seconds=2.0)
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.TIMEOUT)
    assert result.duration_ms < 20_000


@pytest.mark.parametrize("dsn", ["postgresql://app:hunter2@127.0.0.1/app", "host=/tmp dbname=app", "dbname=app"])
def test_it_does_not_reach_loopback_or_sockets_when_the_policy_forbids(dsn: str) -> None:
    result = probe_dsn(dsn, policy=AddressPolicy())
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.ADDRESS_NOT_ALLOWED)


def test_it_checks_an_address_given_beside_a_host_name() -> None:
    result = probe_dsn("host=db.preflight.test hostaddr=169.254.169.254 dbname=app")
    assert result.reason == ErrorReason.ADDRESS_NOT_ALLOWED


def test_it_names_a_host_that_does_not_exist() -> None:
    result = probe_dsn("postgresql://app:hunter2@nowhere.invalid/app")
    assert result.reason in (ErrorReason.HOST_NOT_FOUND, ErrorReason.RESOLVER_FAILED)
    assert "hunter2" not in str(result.as_json_object())


@pytest.mark.parametrize(
    ("dsn", "engine"),
    [
        ("sqlite:///db.sqlite3", "sqlite"),
        ("mysql://app:hunter2@db/app", "mysql"),
        ("mysql+pymysql://app:hunter2@db/app", "mysql"),
        ("mongodb://db/app", "mongodb"),
    ],
)
def test_it_fails_another_engine_with_the_reason(dsn: str, engine: str) -> None:
    result = probe_dsn(dsn)
    assert (result.status, result.reason, result.data) == (Status.FAIL, "wrong_engine", {"engine": engine})
    assert "hunter2" not in str(result.as_json_object())


@pytest.mark.parametrize(
    "dsn", ["postgis://a/b", "postgresql+psycopg://a/b", "postgres://a/b", "host=a", "postgresql:///b"]
)
def test_it_knows_postgresql_under_every_name(dsn: str) -> None:
    assert find_engine(dsn) == "postgresql"


@pytest.mark.parametrize(
    "dsn",
    [
        "nonsense hunter2",
        "postgresql://app:hunter2@[::1/app",
        "postgresql://app:hun@ter2@db/app",
        "host=db password='hunter2",
        "host=db nosuchoption=hunter2",
        "postgresql://db/app?nosuchoption=hunter2",
    ],
)
def test_it_refuses_a_dsn_that_does_not_parse_without_repeating_it(dsn: str) -> None:
    with pytest.raises(TargetError) as caught:
        PostgresProbe().parse_target(dsn, TargetOptions())
    assert caught.value.reason is ErrorReason.BAD_DSN
    assert "hunter2" not in str(caught.value) and "ter2" not in str(caught.value)


def test_it_refuses_a_stored_dsn_that_does_not_parse_as_a_result() -> None:
    target = Target(label="main", dsn="postgresql://app:hunter2@db:notaport/app", address_policy=LOCAL)
    result = probe_now(PostgresProbe(), target)
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.BAD_DSN)
    assert "hunter2" not in str(result.as_json_object())


def test_it_reads_references(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROBED_DSN", "postgresql://db/app")
    assert read_dsn_reference("env:PROBED_DSN") == "postgresql://db/app"
    path = tmp_path / "dsn"
    path.write_text("postgresql://db/other\n")
    assert read_dsn_reference(f"file:{path}") == "postgresql://db/other"
    for missing in ("env:NO_SUCH_NAME", f"file:{path}.missing"):
        with pytest.raises(TargetError):
            read_dsn_reference(missing)


def test_it_describes_a_dsn_without_its_password() -> None:
    assert describe_dsn("postgresql://app:hunter2@db:5433/shop?schema=x") == "app@db:5433/shop"
    assert describe_dsn("nonsense") == ""


def test_it_parses_percent_encoded_passwords() -> None:
    assert parse_dsn("postgresql://app:p%40ss%2Fword@db/app")["password"] == "p@ss/word"


@pytest.mark.parametrize(
    ("today", "status"),
    [(datetime(2026, 1, 1, tzinfo=UTC), Status.PASS), (datetime(2031, 1, 1, tzinfo=UTC), Status.FAIL)],
)
def test_it_fails_a_version_that_gets_no_fixes_any_more(server: Server, today: datetime, status: Status) -> None:
    server.create_database("probe_version", "CREATE TABLE t (id int)")
    probe = PostgresProbe()
    target = probe.parse_target(server.url("probe_version"), TargetOptions(address_policy=LOCAL))
    assert find(probe.judge(target, probe.observe(target), today), "version").status is status
