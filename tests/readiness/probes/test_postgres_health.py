"""Real trouble on a real server is found and named: by a superuser, by pg_monitor; never missed by others."""

import threading
from collections.abc import Iterator
from dataclasses import asdict

import psycopg
import pytest

from readiness.probes.base import PlanLimits, Status
from readiness.probes.postgres_health.reading import (
    CATALOG_QUERIES,
    SESSION_QUERIES,
    STATISTICS_QUERIES,
    load_query,
)
from readiness.probes.postgres_health.thresholds import Thresholds
from tests.readiness.probes.troubled import (
    APPLICATION,
    DATABASE,
    MONITOR,
    PLAIN,
    SCHEMA,
    TROUBLE,
    TroubledServer,
    find_majors,
    run_troubled_server,
    run_until_ended,
)
from tests.servers.probing import find

# What a role with nothing but pg_monitor, and a plain member of public, cannot know.
HIDDEN_FROM_MONITOR = {"sequences"}
HIDDEN_FROM_PLAIN = {
    *("oldest_transaction", "idle_in_transaction", "active_queries", "slow_queries", "sequences"),
}


@pytest.fixture(scope="module", params=[pytest.param(each, id=str(major)) for major, each in find_majors().items()])
def troubled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TroubledServer]:
    """A server of each major that is here: the machine's own, the wheel's, and those that TEST_PG_BINS names."""
    with run_troubled_server(tmp_path_factory.mktemp("troubled") / "var", request.param) as server:
        yield server


def test_it_finds_and_names_every_trouble(troubled: TroubledServer) -> None:
    result = troubled.probe()
    assert result.data["unread"] == {}
    for name, said in TROUBLE.items():
        finding = find(result, name)
        assert finding.status in (Status.WARN, Status.FAIL), finding
        assert said in f"{finding.summary}\n{finding.detail}\n{finding.fix}", finding
        assert result.data["counts"][name] >= 1


def test_it_finds_the_same_with_nothing_but_pg_monitor(troubled: TroubledServer) -> None:
    result = troubled.probe(MONITOR)
    assert result.data["unread"] == {}
    for name, said in TROUBLE.items():
        finding = find(result, name)
        if name in HIDDEN_FROM_MONITOR:
            assert finding.status is Status.SKIPPED and f"TO {MONITOR};" in finding.fix, finding
        else:
            assert finding.status in (Status.WARN, Status.FAIL), finding
            assert said in f"{finding.summary}\n{finding.detail}\n{finding.fix}", finding


def test_it_never_passes_what_a_plain_member_of_public_cannot_see(troubled: TroubledServer) -> None:
    result = troubled.probe(PLAIN)
    assert result.data["unread"] == {}
    for name in TROUBLE:
        finding = find(result, name)
        if name in HIDDEN_FROM_PLAIN:
            assert finding.status is Status.SKIPPED and f"TO {PLAIN};" in finding.fix, finding
        else:
            assert finding.status in (Status.WARN, Status.FAIL), finding
    assert find(result, "settings").status is Status.SKIPPED


def test_it_names_who_blocks_whom(troubled: TroubledServer) -> None:
    finding = find(troubled.probe(MONITOR), "blocked_sessions")
    assert f"pid {troubled.pids['waiter']}" in finding.summary
    assert f"blocked by pid {troubled.pids['till']}" in finding.summary
    assert f"SELECT pg_terminate_backend({troubled.pids['till']});" in finding.fix


def test_its_statements_mend_what_it_found(troubled: TroubledServer) -> None:
    troubled.cluster.ensure_database("mended")
    with troubled.connect(dbname="mended") as connection:
        connection.execute(SCHEMA)
        mended = {}
        for name in ("disabled_trigger", "duplicate_index", "foreign_key_without_index", "dead_tuples", "sequences"):
            for statement in find(troubled.probe(dbname="mended"), name).fix.splitlines():
                if statement.endswith(";"):
                    connection.execute(statement)
            mended[name] = find(troubled.probe(dbname="mended"), name).status
    assert set(mended.values()) == {Status.PASS}


def test_it_shows_no_literal_of_a_statement(troubled: TroubledServer) -> None:
    with troubled.connect() as connection:
        for _ in range(4):
            connection.execute(f"ALTER ROLE {PLAIN} PASSWORD 'hunter2' VALID UNTIL '2099-01-01'; SELECT pg_sleep(0.02)")
            connection.execute(f"ALTER ROLE {PLAIN} PASSWORD 'secret'")
    result = troubled.probe(thresholds={"slow_query_calls": 1, "slow_query_warn_seconds": 0})
    assert "hunter2" not in str(result.as_json_object())
    assert "'secret'" not in str(result.as_json_object())
    top = result.data["top_queries"]
    assert 1 <= len(top) <= 10
    assert top == sorted(top, key=lambda each: -each["total_ms"])
    assert all(each["calls"] and 0 <= each["share_percent"] <= 100 and len(each["text"]) <= 500 for each in top)


def wait_until_idle(server: TroubledServer, pid: int) -> None:
    """Until the session has idled for longer than the threshold of these tests."""
    server.wait_until(
        f"SELECT state_change < clock_timestamp() - interval '20 ms' FROM pg_stat_activity WHERE pid = {pid}"
    )


@pytest.mark.parametrize("ours", ["preflight backup 7 0a1b2c3d4e5f", "preflight probe"])
def test_it_leaves_our_own_backups_and_probes_alone(troubled: TroubledServer, ours: str) -> None:
    with psycopg.connect(troubled.dsn(), application_name=ours) as backup:
        backup.execute("SELECT 1")
        pid = backup.info.backend_pid
        wait_until_idle(troubled, pid)
        result = troubled.probe(MONITOR)
        assert f"pid {pid}" not in str(find(result, "idle_in_transaction"))
    with psycopg.connect(troubled.dsn(), application_name="anything else") as other:
        other.execute("SELECT 1")
        pid = other.info.backend_pid
        wait_until_idle(troubled, pid)
        assert f"pid {pid}" in str(find(troubled.probe(MONITOR), "idle_in_transaction"))


def test_it_judges_the_roles_that_hold_sessions_when_nobody_has_named_the_application(troubled: TroubledServer) -> None:
    finding = find(troubled.probe(MONITOR, application_role=""), "superuser")
    assert finding.status is Status.WARN and APPLICATION in finding.summary
    unknown = find(troubled.probe(MONITOR, application_role="no such role"), "superuser")
    assert unknown.status is Status.SKIPPED
    nobody_there = find(troubled.probe(MONITOR, dbname="postgres", application_role=""), "superuser")
    assert nobody_there.status is Status.SKIPPED
    assert find(troubled.probe(PLAIN, dbname="postgres", application_role=""), "superuser").status is Status.PASS


def test_it_counts_deadlocks_and_temporary_files_between_two_looks(troubled: TroubledServer) -> None:
    first = troubled.probe()
    assert find(first, "deadlocks").status is find(first, "temp_files").status is Status.SKIPPED
    quiet = troubled.probe(previous=first.data)
    assert find(quiet, "deadlocks").status is Status.PASS
    with troubled.connect() as connection:
        connection.execute("SET work_mem = '64kB'")
        connection.execute(
            "SELECT count(*) FROM (SELECT n FROM generate_series(1, 50000) AS n ORDER BY n DESC) AS sorted"
        )
    troubled.wait_until(
        f"SELECT temp_files > {first.data['counters']['temp_files']} FROM pg_stat_database WHERE datname = '{DATABASE}'"
    )
    finding = find(troubled.probe(previous=quiet.data), "temp_files")
    assert finding.status is Status.WARN and "written" in finding.detail and "work_mem" in finding.fix
    _make_deadlock(troubled)
    troubled.wait_until(f"SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = '{DATABASE}'")
    finding = find(troubled.probe(previous=quiet.data), "deadlocks")
    assert finding.status is Status.WARN and finding.summary.startswith("1 new deadlock")


def _make_deadlock(server: TroubledServer) -> None:
    with psycopg.connect(server.dsn()) as first, psycopg.connect(server.dsn()) as second:
        for connection, own in ((first, 1), (second, 2)):
            connection.execute("SET deadlock_timeout = '20ms'")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [own])
        waiting = threading.Thread(target=run_until_ended, args=(first, "SELECT pg_advisory_xact_lock(2)"))
        waiting.start()
        run_until_ended(second, "SELECT pg_advisory_xact_lock(1)")
        second.rollback()
        waiting.join()
        first.rollback()


def test_it_finds_settings_that_endanger_the_data_and_those_that_wait(troubled: TroubledServer) -> None:
    with troubled.connect() as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET max_connections = 151")
        connection.execute("SELECT pg_reload_conf()")
        try:
            troubled.wait_until("SELECT pending_restart FROM pg_settings WHERE name = 'max_connections'")
            troubled.wait_until("SELECT setting = 'off' FROM pg_settings WHERE name = 'fsync'")
            finding = find(troubled.probe(MONITOR), "settings")
        finally:
            connection.execute("ALTER SYSTEM RESET ALL")
            connection.execute("SELECT pg_reload_conf()")
    assert finding.status is Status.FAIL
    assert "ALTER SYSTEM SET fsync = on;" in finding.fix
    assert "max_connections waits for a restart" in finding.detail


def test_it_measures_connections_against_the_narrowest_limit(troubled: TroubledServer) -> None:
    assert find(troubled.probe(plan=PlanLimits(connections=4)), "connections").status is Status.FAIL
    with troubled.connect() as connection:
        connection.execute(f'ALTER ROLE "{APPLICATION}" CONNECTION LIMIT 4')
        finding = find(troubled.probe(MONITOR), "connections")
        connection.execute(f'ALTER ROLE "{APPLICATION}" CONNECTION LIMIT -1')
    assert finding.status is Status.WARN and f"3 of 4 connections of role {APPLICATION}" in finding.summary


def test_it_measures_size_against_the_plan(troubled: TroubledServer) -> None:
    result = troubled.probe(MONITOR)
    assert find(result, "size").status is Status.PASS
    used = result.data["size"]["used_bytes"]
    assert used >= result.data["size"]["database_bytes"] > 0
    full = troubled.probe(MONITOR, plan=PlanLimits(storage_bytes=used, region="eu-central-1"))
    assert find(full, "size").status is Status.FAIL
    assert full.data["size"]["used_percent"] >= 99
    assert full.data["size"]["days_until_full"] == 0
    assert full.data["plan"] == {"region": "eu-central-1"}


def test_it_finds_a_schema_without_foreign_keys(troubled: TroubledServer) -> None:
    troubled.cluster.ensure_database("loose")
    with troubled.connect(dbname="loose") as connection:
        connection.execute('CREATE TABLE "User" (id int PRIMARY KEY)')
        connection.execute('CREATE TABLE post (id int PRIMARY KEY, "userId" int)')
    finding = find(troubled.probe(dbname="loose"), "foreign_keys")
    assert finding.status is Status.WARN
    assert 'ALTER TABLE public.post ADD FOREIGN KEY ("userId") REFERENCES public."User" NOT VALID;' in finding.fix


def test_it_leaves_an_index_alone_that_is_being_built(troubled: TroubledServer) -> None:
    with psycopg.connect(troubled.dsn()) as writer, troubled.connect() as builder:
        # The build waits for every transaction that may write to the table.
        writer.execute("LOCK TABLE ticket IN ROW EXCLUSIVE MODE")
        statement = "CREATE INDEX CONCURRENTLY ticket_built ON ticket (id)"
        building = threading.Thread(target=run_until_ended, args=(builder, statement))
        building.start()
        troubled.wait_until("SELECT count(*) = 1 FROM pg_stat_progress_create_index")
        during = [find(troubled.probe(role), "invalid_index") for role in ("", MONITOR, PLAIN)]
        with troubled.connect() as other:
            other.execute("SELECT pg_cancel_backend(%s)", [builder.info.backend_pid])
        building.join()
    after = find(troubled.probe(MONITOR), "invalid_index")
    assert all("ticket_built" not in f"{finding.summary}{finding.detail}" for finding in during)
    assert "ticket_built" in f"{after.summary}{after.detail}"


def test_it_reads_on_when_one_query_fails(troubled: TroubledServer) -> None:
    """A sequence that is being rewritten cannot be read, and costs only its own finding."""
    with psycopg.connect(troubled.dsn()) as migration:
        migration.execute("ALTER SEQUENCE ticket_id_seq INCREMENT 2")
        migration.execute("LOCK TABLE ticket IN ACCESS EXCLUSIVE MODE")
        result = troubled.probe()
        migration.rollback()
    assert set(result.data["unread"]) == {"sequences"}
    assert find(result, "sequences").status is Status.SKIPPED
    assert find(result, "disabled_trigger").status is Status.WARN


def test_it_reads_what_older_servers_are_asked_here_too(troubled: TroubledServer) -> None:
    """The SQL for 13 uses nothing that later versions took away, so one server can try it all."""
    names = (*SESSION_QUERIES, *CATALOG_QUERIES, *STATISTICS_QUERIES)
    parameters = {**asdict(Thresholds()), "application_role": APPLICATION}
    with psycopg.connect(troubled.dsn(), cursor_factory=psycopg.ClientCursor) as connection:
        for name in names:
            connection.execute(load_query(name, 130_000), parameters)
