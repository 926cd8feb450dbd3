"""What is judged from rows, without a server: grades, forecasts, versions; and that no row makes a judge raise."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readiness.probes.base import Finding, PlanLimits, ProbeResult, Status, Target
from readiness.probes.postgres import PostgresProbe
from readiness.probes.postgres_health import reading
from readiness.probes.postgres_health.facts import PostgresObservation
from readiness.probes.postgres_health.server import KNOWN_MINORS
from readiness.probes.postgres_health.size import find_growth, forecast_full
from readiness.probes.postgres_health.thresholds import (
    DEFAULTS,
    NAMES,
    SECTIONS,
    find_threshold_faults,
    read_thresholds,
)
from tests.servers.probing import find

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OVERVIEW = {"version_num": 170010, "version_text": "17.10", "sees_all_sessions": True, "sees_all_settings": True}
QUERIES = (
    *(*reading.SESSION_QUERIES, *reading.CATALOG_QUERIES, *reading.STATISTICS_QUERIES, *reading.STATEMENT_QUERIES),
)


def judge(rows: dict[str, list[dict[str, Any]]] | None = None, **changes: Any) -> ProbeResult:
    """Judge an observation with these rows; changes go to the observation, the target or the overview."""
    seen = {name: changes.pop(name) for name in ("clock_skew_seconds", "round_trip_ms", "unread") if name in changes}
    target = {name: changes.pop(name) for name in ("plan", "size_history", "previous", "thresholds") if name in changes}
    observation = PostgresObservation(overview={**OVERVIEW, **changes}, rows=rows or {}, local=True, **seen)
    return PostgresProbe().judge(Target("x", **target), observation, NOW)


def judge_one(finding: str, rows: dict[str, list[dict[str, Any]]] | None = None, **changes: Any) -> Finding:
    return find(judge(rows, **changes), finding)


@pytest.mark.parametrize(
    ("version", "status"),
    [
        (170000 + KNOWN_MINORS[17], Status.PASS),
        (170012, Status.PASS),
        (170001, Status.WARN),
        (190000, Status.PASS),
        (140023, Status.WARN),
        (130023, Status.FAIL),
        (90624, Status.FAIL),
    ],
)
def test_it_grades_the_version(version: int, status: Status) -> None:
    assert judge_one("version", version_num=version).status is status


def test_it_names_the_minor_whose_fixes_are_missing() -> None:
    assert f"17.{KNOWN_MINORS[17]}" in judge_one("version", version_num=170001).fix


@pytest.mark.parametrize(("milliseconds", "status"), [(499, Status.PASS), (500, Status.WARN), (5_000, Status.FAIL)])
def test_it_grades_the_round_trip(milliseconds: float, status: Status) -> None:
    assert judge_one("reachable", round_trip_ms=milliseconds).status is status


@pytest.mark.parametrize(
    ("skew", "round_trip_ms", "status"),
    [
        (1.9, 1, Status.PASS),
        (-2.1, 1, Status.WARN),
        (5.1, 1, Status.FAIL),
        (2.1, 600, Status.PASS),  # the network may have taken it
        (None, 1, Status.SKIPPED),
    ],
)
def test_it_grades_the_clock(skew: float | None, round_trip_ms: float, status: Status) -> None:
    assert judge_one("clock_skew", clock_skew_seconds=skew, round_trip_ms=round_trip_ms).status is status


@pytest.mark.parametrize(
    ("failed", "archived", "recovered", "status"),
    [
        (60, None, False, Status.FAIL),
        (60, 10, True, Status.WARN),
        (7_200, None, False, Status.WARN),
        (90_000, 10, True, Status.PASS),
        (None, 10, False, Status.PASS),
        (None, None, False, Status.SKIPPED),
    ],
)
def test_it_grades_the_archiver(failed: float | None, archived: float | None, recovered: bool, status: Status) -> None:
    row = {"failed_seconds_ago": failed, "archived_seconds_ago": archived, "has_recovered": recovered}
    assert judge_one("archiver", {"archiver": [row]}, archive_mode="on").status is status


def test_it_skips_an_archiver_that_is_off() -> None:
    assert judge_one("archiver", archive_mode="off").status is Status.SKIPPED


@pytest.mark.parametrize(
    ("slot", "status"),
    [
        ({"active": True, "wal_status": "reserved", "kept_bytes": 2**20}, Status.PASS),
        ({"active": False, "wal_status": "reserved", "kept_bytes": 0}, Status.WARN),
        ({"active": True, "wal_status": "extended", "kept_bytes": 2**30}, Status.WARN),
        ({"active": True, "wal_status": "extended", "kept_bytes": 5 * 2**30}, Status.FAIL),
        ({"active": False, "wal_status": "lost", "kept_bytes": None}, Status.FAIL),
        ({"active": False, "wal_status": "reserved", "kept_bytes": 0, "is_synced": True}, Status.PASS),
    ],
)
def test_it_grades_a_slot(slot: dict[str, Any], status: Status) -> None:
    row = {"slot": "s", "slot_quoted": "'s'", **slot}
    assert judge_one("replication_slots", {"replication_slots": [row]}).status is status


@pytest.mark.parametrize(
    ("lag", "status"), [(0.0, Status.PASS), (5, Status.WARN), (60, Status.FAIL), (None, Status.SKIPPED)]
)
def test_it_grades_a_standby_by_its_own_lag(lag: float | None, status: Status) -> None:
    row = {"in_recovery": True, "lag_seconds": lag}
    assert judge_one("replica_lag", {"replica": [row]}).status is status


def test_it_grades_a_primary_by_the_standby_that_is_furthest_behind() -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        "standbys": [{"application": "berlin", "lag_seconds": 61}, {"application": "paris", "lag_seconds": None}]
    }
    finding = judge_one("replica_lag", rows)
    assert finding.status is Status.FAIL and "berlin" in finding.summary
    assert judge_one("replica_lag", rows, sees_all_sessions=False).status is Status.SKIPPED


@pytest.mark.parametrize(
    ("age", "status"), [(499_999_999, Status.PASS), (500_000_000, Status.WARN), (1_000_000_000, Status.FAIL)]
)
@pytest.mark.parametrize("column", ["xid_age", "mxid_age"])
def test_it_grades_the_age_of_transaction_numbers(column: str, age: int, status: Status) -> None:
    row = {"database": "shop", "is_this": True, "xid_age": 1, "mxid_age": 1, column: age}
    assert judge_one("xid_age", {"frozen_databases": [row]}).status is status


@pytest.mark.parametrize(
    ("blocks", "hits", "status"),
    [
        (99_999, 0, Status.SKIPPED),
        (1_000_000, 990_000, Status.PASS),
        (1_000_000, 989_000, Status.WARN),
        (1_000_000, 890_000, Status.FAIL),
    ],
)
def test_it_grades_cache_hits_only_where_there_is_traffic(blocks: int, hits: int, status: Status) -> None:
    row: dict[str, Any] = {
        "table_blocks": 1_000_000,
        "table_hits": 1_000_000,
        "index_blocks": blocks,
        "index_hits": hits,
    }
    finding = judge_one("cache_hit", {"cache_hit": [row]})
    # Tables are fine here, so low traffic on indexes leaves the verdict to the tables.
    assert finding.status is (Status.PASS if status is Status.SKIPPED else status)
    only_indexes: dict[str, Any] = {**row, "table_blocks": 0, "table_hits": 0}
    assert judge_one("cache_hit", {"cache_hit": [only_indexes]}).status is status


def test_it_does_not_call_an_index_unused_while_statistics_are_young() -> None:
    rows = {"unused_indexes": [{"name": "public.big", "on_table": "public.t", "bytes": 2**25, "total": 1}]}
    young = judge_one("unused_index", rows, stats_age_seconds=3_600)
    assert young.status is Status.SKIPPED and "public.big" in young.summary
    assert judge_one("unused_index", rows, stats_age_seconds=8 * 86_400).status is Status.WARN
    # Never reset: the server has counted at least since it was started.
    assert judge_one("unused_index", rows, uptime_seconds=8 * 86_400).status is Status.WARN


def test_it_says_what_is_missing_for_slow_queries() -> None:
    assert "CREATE EXTENSION" in judge_one("slow_queries").fix
    assert "UPDATE" in judge_one("slow_queries", statements_version="1.7").fix
    assert (
        "shared_preload_libraries"
        in judge_one(
            "slow_queries", statements_version="1.10", unread={"slow_queries": "The extension is not loaded."}
        ).fix
    )
    hidden = judge_one("slow_queries", statements_version="1.10", sees_all_sessions=False, role_quoted="probe")
    assert hidden.status is Status.SKIPPED and hidden.fix == "GRANT pg_monitor TO probe;"


def test_it_names_every_query_that_was_not_read_and_passes_none() -> None:
    result = judge(unread=dict.fromkeys(QUERIES, "Another session holds a lock on what has to be read."))
    assert set(result.data["unread"]) == set(QUERIES)
    passed = {finding.id for finding in result.findings if finding.status is Status.PASS}
    assert passed == {"reachable", "engine", "version", "connections", "tls", "foreign_keys"} & passed
    assert "sequences" not in passed and "blocked_sessions" not in passed


def test_it_says_that_there_is_more_than_it_lists() -> None:
    rows = [{"name": f"public.i{n}", "on_table": "public.t", "total": 40} for n in range(10)]
    result = judge({"invalid_indexes": rows})
    finding = find(result, "invalid_index")
    assert finding.summary.startswith("40 indexes are invalid: public.i0")
    assert finding.detail.splitlines()[-1] == "and 30 more"
    assert result.data["counts"]["invalid_index"] == 40


def test_it_sees_a_pool_by_sessions_that_stay() -> None:
    def pooling(sessions: int, median: float) -> dict[str, Any]:
        row = {"role": "shop", "sessions": sessions, "median_seconds": median}
        data: dict[str, Any] = judge({"sessions_by_role": [row]}).data["pooling"]
        return data

    assert pooling(20, 61)["seen"] is True
    assert pooling(21, 61)["seen"] is False
    assert pooling(5, 2)["seen"] is False
    assert pooling(0, 0)["seen"] is False


DAYS = [(NOW - timedelta(days=days), 1_000.0 - 10 * days) for days in range(30)]


def test_it_forecasts_when_a_plan_is_full() -> None:
    assert forecast_full(DAYS, 1_300, NOW) == pytest.approx(30)
    assert forecast_full(list(reversed(DAYS)), 1_300, NOW) == pytest.approx(30)
    assert forecast_full(DAYS, 1_300, NOW + timedelta(days=10)) == pytest.approx(20)
    assert forecast_full(DAYS, 1_000, NOW) == 0


def test_it_says_how_fast_a_database_grows() -> None:
    assert find_growth(DAYS, NOW) == pytest.approx(10)
    history = tuple((at, int(size) * 2**20) for at, size in DAYS)
    result = judge({"size": [{"database_bytes": 2**30}]}, size_history=history[1:])
    assert result.data["size"]["bytes_per_day"] == pytest.approx(10 * 2**20, rel=0.2)
    assert "10.0 MB more every day" in find(result, "size").summary


def test_it_is_not_misled_by_one_import() -> None:
    with_import = [(at, size + (5_000 if NOW - at < timedelta(hours=1) else 0)) for at, size in DAYS]
    assert forecast_full(with_import, 7_000, NOW) == pytest.approx(100)


@pytest.mark.parametrize(
    "history",
    [
        [],
        [(NOW, 10.0)],
        [(NOW - timedelta(hours=1), 1.0), (NOW, 10.0)],  # too short to say
        [(NOW - timedelta(days=5), 10.0), (NOW, 10.0)],  # it does not grow
        [(NOW - timedelta(days=5), 20.0), (NOW, 10.0)],
        [(NOW - timedelta(days=5), 10.0), (NOW, 10.001)],  # in more than ten years
    ],
)
def test_it_forecasts_nothing_where_nothing_can_be_said(history: list[tuple[datetime, float]]) -> None:
    assert forecast_full(history, 100, NOW) is None


def test_it_grades_the_days_until_a_plan_is_full() -> None:
    history = tuple((NOW - timedelta(days=days), 1_000 - 20 * days) for days in range(1, 30))

    def grade(limit: int) -> Status:
        rows = {"size": [{"database_bytes": 1_000, "server_bytes": None}]}
        return judge_one("size", rows, plan=PlanLimits(storage_bytes=limit), size_history=history).status

    assert grade(3_000) is Status.PASS  # 100 days
    assert grade(1_400) is Status.WARN  # 20 days, 71 %
    assert grade(1_120) is Status.FAIL  # 6 days, 89 %


def test_it_shows_every_threshold_once_in_pairs_that_warn_before_they_fail() -> None:
    lines = [line for _, lines in SECTIONS for line in lines]

    assert sorted(name for line in lines for name in line.names) == sorted(NAMES)
    assert all(["warn" in name for name in line.names] == [True, False] for line in lines if len(line.names) == 2)
    assert find_threshold_faults({name: getattr(DEFAULTS, name) for name in NAMES}) == []


def test_it_takes_thresholds_by_name_and_says_which_are_wrong() -> None:
    assert read_thresholds({}) == DEFAULTS
    assert read_thresholds({"replica_lag_warn_seconds": 2}).replica_lag_warn_seconds == 2
    wrong = {"no_such_name": 1, "replica_lag_warn_seconds": -1, "xid_age_warn": "many", "xid_age_fail": float("nan")}
    assert read_thresholds(wrong) == DEFAULTS
    assert {name for name, _ in find_threshold_faults(wrong)} == set(wrong)


@pytest.mark.parametrize("major", range(13, 19))
def test_it_has_sql_for_every_version(major: int) -> None:
    for name in (*QUERIES, "overview"):
        assert "SELECT" in reading.load_query(name, major * 10_000)


def test_it_uses_every_parameter_that_its_sql_names() -> None:
    known = {*NAMES, "application_role"}
    for path in reading.SQL_DIRECTORY.glob("*.sql"):
        assert set(re.findall(r"%\((\w+)\)s", path.read_text())) <= known, path.name


def test_it_chooses_the_newest_sql_that_is_not_newer_than_the_server() -> None:
    assert "inactive_since" not in reading.load_query("replication_slots", 160_003)
    assert "inactive_since" in reading.load_query("replication_slots", 170_000)
    assert "inactive_since" in reading.load_query("replication_slots", 180_001)
    assert "waitstart" not in reading.load_query("blocked_sessions", 130_023)


COLUMNS = sorted(
    {name for path in reading.SQL_DIRECTORY.glob("*.sql") for name in re.findall(r"\b([a-z_]{3,})\b", path.read_text())}
)
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(0, 100),
    st.floats(),
    st.decimals(),
    st.text(max_size=20),
    st.sampled_from(["lost", "on", "off", "fsync", "public.t", "smallint", "1.10", "", "ALTER ROLE a PASSWORD 'x"]),
    st.datetimes(),
    st.lists(st.one_of(st.none(), st.integers(-5, 5), st.text(max_size=3)), max_size=3),
    st.just(Decimal("NaN")),
    st.just(10**400),
)
row = st.dictionaries(st.sampled_from(COLUMNS), anything, max_size=25)
numbers = st.one_of(st.floats(), st.none())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    overview=row,
    rows=st.dictionaries(st.sampled_from(QUERIES), st.lists(row, max_size=2), max_size=len(QUERIES)),
    unread=st.dictionaries(st.sampled_from(QUERIES), st.text(max_size=5), max_size=2),
    skew=numbers,
    milliseconds=st.floats(0, 1e9),
    previous=st.one_of(st.none(), st.fixed_dictionaries({"counters": st.one_of(anything, row)})),
    thresholds=st.dictionaries(st.sampled_from((*NAMES, "other")), anything, max_size=4),
    plan=st.builds(PlanLimits, st.none() | st.integers(-1, 10**9), st.none() | st.integers(-1, 10**15)),
)
def test_it_judges_whatever_a_server_says(
    overview: dict[str, Any],
    rows: dict[str, list[dict[str, Any]]],
    unread: dict[str, str],
    skew: float | None,
    milliseconds: float,
    previous: dict[str, Any] | None,
    thresholds: dict[str, Any],
    plan: PlanLimits,
) -> None:
    seen = PostgresObservation(
        overview=overview,
        rows=rows,
        unread=unread,
        clock_skew_seconds=skew,
        round_trip_ms=milliseconds,
    )
    target = Target("x", previous=previous, thresholds=thresholds, plan=plan, size_history=((NOW, 5), (NOW, 6)))
    result = PostgresProbe().judge(target, seen, NOW)
    assert len({finding.id for finding in result.findings}) == len(result.findings)
    json.dumps(result.as_json_object(), allow_nan=False)
