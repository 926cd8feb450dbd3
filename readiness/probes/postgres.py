"""The postgres probe: one read-only connection to a database; judges reach, version, connections, TLS, transactions."""

import math
import os
import time
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from readiness.probes import net
from readiness.probes.base import (
    ErrorReason,
    FailReason,
    Finding,
    ProbeResult,
    Status,
    Target,
    TargetError,
    TargetOptions,
    make_error_result,
    mask_secrets,
    worst_status,
)
from readiness.probes.dsn import find_engine, parse_dsn, read_dsn_reference
from readiness.probes.postgres_errors import explain_connect_error

SLOW_ROUND_TRIP_MS, TOO_SLOW_ROUND_TRIP_MS = 500.0, 5_000.0
FULL_PERCENT, TOO_FULL_PERCENT = 75.0, 90.0
OLD_TRANSACTION_SECONDS, TOO_OLD_TRANSACTION_SECONDS = 300.0, 1_800.0
END_OF_LIFE_WARNING_DAYS = 180
# postgresql.org/support/versioning: the day each major gets its last fix.
END_OF_LIFE = {
    13: date(2025, 11, 13),
    14: date(2026, 11, 12),
    15: date(2027, 11, 11),
    16: date(2028, 11, 9),
    17: date(2029, 11, 8),
    18: date(2030, 11, 14),
}
_SQL = Path(__file__).with_name("sql")
_ROUND_TRIPS = 3


@dataclass(frozen=True, slots=True)
class PostgresObservation:
    """What one connection showed; `failure` is set, and nothing else, when there was none."""

    engine: str = "postgresql"
    failure_reason: str | None = None
    failure_text: str = ""
    failure_fix: str = ""
    local: bool = False
    connect_ms: float = 0.0
    round_trip_ms: float = 0.0
    overview: dict[str, Any] | None = None
    oldest_transaction: dict[str, Any] | None = None


class PostgresProbe:
    """Can the database be reached, and is it in good health?"""

    kind = "postgres"

    def parse_target(self, text: str, options: TargetOptions) -> Target:
        """Make a target of a URI, a libpq connection string, env:NAME or file:PATH. Raises TargetError (bad_dsn)."""
        dsn = read_dsn_reference(text)
        if find_engine(dsn) == "postgresql":
            parse_dsn(dsn)
        return Target(
            label=mask_secrets(text),
            dsn=dsn,
            ca_pem=options.ca_pem,
            timeout_seconds=options.timeout_seconds,
            connect_to=options.connect_to,
            address_policy=options.address_policy,
        )

    def observe(self, target: Target) -> PostgresObservation:
        """Connect once to the checked address and read the facts in one read-only transaction."""
        engine = find_engine(target.dsn)
        if engine != "postgresql":
            return PostgresObservation(engine=engine)
        door = net.Door.for_target(target)
        try:
            parameters = route_parameters(parse_dsn(target.dsn), door)
            return _read_facts(parameters, door.deadline)
        except TargetError as error:
            return PostgresObservation(failure_reason=error.reason, failure_text=str(error))
        except net.NetError as error:
            return PostgresObservation(failure_reason=error.reason, failure_text=str(error))
        except psycopg.Error as error:
            reason, text, fix = explain_connect_error(error, target.dsn, timed_out=door.deadline.is_over())
            return PostgresObservation(failure_reason=reason, failure_text=text, failure_fix=fix)

    def judge(self, target: Target, observation: PostgresObservation, now: datetime) -> ProbeResult:
        if observation.engine != "postgresql":
            return _make_wrong_engine_result(target, observation.engine)
        if observation.failure_reason is not None or observation.overview is None:
            reason = observation.failure_reason or ErrorReason.INTERNAL
            return make_error_result(self.kind, target.label, reason, observation.failure_text, observation.failure_fix)
        findings = _judge_facts(observation, observation.overview, now.date())
        return ProbeResult(
            kind=self.kind,
            target=target.label,
            status=worst_status(finding.status for finding in findings),
            findings=tuple(findings),
            data=_describe_facts(observation, observation.overview),
        )


def route_parameters(parameters: dict[str, str], door: net.Door) -> dict[str, str]:
    """Return libpq's `parameters` with every host resolved and checked: `hostaddr` says where to go, `host` stays.

    Raises NetError (as net.resolve_route) or DeadlineError.
    """
    hosts = (parameters.get("hostaddr") or parameters.get("host") or os.environ.get("PGHOST") or "").split(",")
    names = (parameters.get("host") or "").split(",")
    ports = (parameters.get("port") or os.environ.get("PGPORT") or "5432").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    if len(ports) != len(hosts) or not all(port.isdecimal() and 0 < int(port) < 65536 for port in ports):
        raise TargetError("The connection string has a port that is not a number.", ErrorReason.BAD_DSN)
    routes: list[tuple[str, str, str]] = []  # host name, address, port
    for position, (host, port) in enumerate(zip(hosts, ports, strict=True)):
        if not host or host.startswith(("/", "@")):
            _check_socket_allowed(door)
            routes.append((host, "", port))
            continue
        name = names[position] if position < len(names) and names[position] else host
        route = net.resolve_route(host, int(port), door)
        routes += [(name, address, str(route.port)) for address in route.addresses]
    to_hosts, to_addresses, to_ports = (",".join(column) for column in zip(*routes, strict=True))
    routed = {**parameters, "host": to_hosts, "port": to_ports, "hostaddr": to_addresses}
    return {key: value for key, value in routed.items() if value.strip(",")}


def _check_socket_allowed(door: net.Door) -> None:
    if not door.policy.allow_loopback:
        text = "The connection string leads to a socket of this machine, which the address policy does not allow."
        raise net.NetError(ErrorReason.ADDRESS_NOT_ALLOWED, text)


def _read_facts(parameters: dict[str, str], deadline: net.Deadline) -> PostgresObservation:
    started = time.perf_counter()
    budget_seconds = max(2, math.floor(deadline.remaining_seconds("connection")))
    parameters = {**parameters, "connect_timeout": str(budget_seconds), "application_name": "preflight probe"}
    # No server-side prepared statements, and settings only for this transaction: PgBouncer may sit in between.
    with psycopg.connect(**parameters, prepare_threshold=None, row_factory=dict_row) as connection:  # type: ignore[arg-type]
        connected = time.perf_counter()
        connection.read_only = True
        with net.cut_off_at(deadline, connection.fileno()):
            milliseconds = max(100, int(deadline.remaining_seconds("queries") * 1000))
            connection.execute(f"SET LOCAL statement_timeout = {milliseconds}; SET LOCAL lock_timeout = 1000")
            overview = _fetch_row(connection, "overview.sql")
            oldest = _fetch_row(connection, "oldest_transaction.sql")
            trips = [_time_round_trip(connection) for _ in range(_ROUND_TRIPS)]
        hostaddr = connection.info.hostaddr
    return PostgresObservation(
        local=not hostaddr or hostaddr == "::1" or hostaddr.startswith("127."),
        connect_ms=(connected - started) * 1000,
        round_trip_ms=min(trips) * 1000,
        overview=overview,
        oldest_transaction=oldest,
    )


def _fetch_row(connection: psycopg.Connection[dict[str, Any]], file_name: str) -> dict[str, Any] | None:
    return connection.execute((_SQL / file_name).read_bytes()).fetchone()


def _time_round_trip(connection: psycopg.Connection[dict[str, Any]]) -> float:
    started = time.perf_counter()
    connection.execute("SELECT 1").fetchone()
    return time.perf_counter() - started


def _make_wrong_engine_result(target: Target, engine: str) -> ProbeResult:
    shown = {"sqlite": "SQLite", "mysql": "MySQL", "mariadb": "MariaDB", "mongodb": "MongoDB"}.get(engine, engine)
    finding = Finding(
        id="engine",
        status=Status.FAIL,
        summary=f"The database is {shown}, not PostgreSQL.",
        detail=f"engine in the connection string: {engine}",
        fix="Create a PostgreSQL database, migrate the schema and the data, and set its address in DATABASE_URL.",
    )
    return ProbeResult(
        "postgres", target.label, Status.FAIL, FailReason.WRONG_ENGINE, 0, (finding,), {"engine": engine}
    )


def _judge_facts(seen: PostgresObservation, overview: dict[str, Any], today: date) -> list[Finding]:
    return [
        _judge_round_trip(seen),
        Finding("engine", Status.PASS, f"The database is PostgreSQL {overview['version_text']}."),
        _judge_version(overview, today),
        _judge_connections(overview),
        _judge_tls(seen, overview),
        _judge_oldest_transaction(seen, overview),
        _judge_tables(overview),
    ]


def _judge_round_trip(seen: PostgresObservation) -> Finding:
    summary = f"The database answers in {seen.round_trip_ms:.1f} ms; connecting took {seen.connect_ms:.0f} ms."
    status = _grade(seen.round_trip_ms, SLOW_ROUND_TRIP_MS, TOO_SLOW_ROUND_TRIP_MS)
    return Finding(
        "reachable", status, summary, fix="Bring application and database into one region; look at its load."
    )


def _grade(value: float, warn_at: float, fail_at: float) -> Status:
    if value >= fail_at:
        return Status.FAIL
    return Status.WARN if value >= warn_at else Status.PASS


def _judge_version(overview: dict[str, Any], today: date) -> Finding:
    major = overview["version_num"] // 10_000
    ends_on = END_OF_LIFE.get(major)
    fix = f"Plan the upgrade to PostgreSQL {max(END_OF_LIFE)} (pg_upgrade, or dump and restore)."
    if ends_on is None and major > max(END_OF_LIFE):
        return Finding("version", Status.PASS, f"PostgreSQL {major} is newer than this portal's list of versions.")
    if ends_on is None or ends_on < today:
        since = f" since {ends_on.isoformat()}" if ends_on else ""
        return Finding("version", Status.FAIL, f"PostgreSQL {major} gets no fixes any more{since}.", fix=fix)
    summary = f"PostgreSQL {major} gets fixes until {ends_on.isoformat()}."
    status = Status.WARN if (ends_on - today).days < END_OF_LIFE_WARNING_DAYS else Status.PASS
    return Finding("version", status, summary, f"server version {overview['version_text']}", fix)


def _judge_connections(overview: dict[str, Any]) -> Finding:
    available = max(1, overview["max_connections"] - overview["reserved_connections"])
    percent = 100.0 * overview["used_connections"] / available
    return Finding(
        id="connections",
        status=_grade(percent, FULL_PERCENT, TOO_FULL_PERCENT),
        summary=f"{overview['used_connections']} of {available} connections are in use ({percent:.0f} %).",
        detail=f"max_connections {overview['max_connections']}, reserved {overview['reserved_connections']}",
        fix="Put a pooler (PgBouncer) in front, lower the pool size of the application, or raise max_connections.",
    )


def _judge_tls(seen: PostgresObservation, overview: dict[str, Any]) -> Finding:
    if overview["tls"]:
        return Finding("tls", Status.PASS, f"The connection is encrypted ({overview['tls_version']}).")
    if seen.local:
        return Finding("tls", Status.PASS, "The connection does not leave this machine, so it needs no TLS.")
    fix = "Set ssl = on on the server and add sslmode=require (better: verify-full) to the connection string."
    return Finding("tls", Status.FAIL, "The connection crosses the network without TLS.", fix=fix)


def _judge_oldest_transaction(seen: PostgresObservation, overview: dict[str, Any]) -> Finding:
    oldest = seen.oldest_transaction
    if oldest is None and not overview["sees_all_sessions"]:
        fix = "GRANT pg_monitor TO the role of the probe."
        text = "The role may not see other sessions, so the age of their transactions is unknown."
        return Finding("oldest_transaction", Status.SKIPPED, text, fix=fix)
    if oldest is None:
        return Finding("oldest_transaction", Status.PASS, "No other session has a transaction open.")
    age = oldest["age_seconds"]
    return Finding(
        id="oldest_transaction",
        status=_grade(age, OLD_TRANSACTION_SECONDS, TOO_OLD_TRANSACTION_SECONDS),
        summary=f"The oldest transaction is open for {age:.0f} s (pid {oldest['pid']}, {oldest['state']}).",
        detail=f"database {oldest['database']}, role {oldest['role']}, application {oldest['application']}",
        fix=f"Find out what it waits for; end it with: SELECT pg_terminate_backend({oldest['pid']});",
    )


def _judge_tables(overview: dict[str, Any]) -> Finding:
    count = overview["table_count"]
    if count:
        return Finding("tables", Status.PASS, f"There {'is 1 table' if count == 1 else f'are {count} tables'}.")
    return Finding("tables", Status.WARN, "The database has no tables.", fix="Run the application's migrations.")


def _describe_facts(seen: PostgresObservation, overview: dict[str, Any]) -> dict[str, Any]:
    oldest = seen.oldest_transaction
    return {
        "engine": seen.engine,
        "server_version": overview["version_text"],
        "server_version_num": overview["version_num"],
        "connect_ms": round(seen.connect_ms, 2),
        "round_trip_ms": round(seen.round_trip_ms, 3),
        "connections": {
            "used": overview["used_connections"],
            "max": overview["max_connections"],
            "reserved": overview["reserved_connections"],
        },
        "tls": overview["tls"],
        "tls_version": overview["tls_version"],
        "local": seen.local,
        "oldest_transaction_seconds": round(oldest["age_seconds"], 1) if oldest else None,
        "tables": overview["table_count"],
    }
