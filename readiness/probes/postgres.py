"""The postgres probe: reads the health of one database over one read-only connection, and judges it."""

import math
import os
from datetime import datetime

import psycopg

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
from readiness.probes.postgres_health.facts import Examination, PostgresObservation
from readiness.probes.postgres_health.judging import describe_health, judge_health
from readiness.probes.postgres_health.reading import read_health
from readiness.probes.postgres_health.server import END_OF_LIFE_WARNING_DAYS
from readiness.probes.postgres_health.thresholds import DEFAULTS

__all__ = ["END_OF_LIFE_WARNING_DAYS", "PostgresProbe", "route_parameters"]

APPLICATION_NAME = "preflight probe"
# The figures that docs/reference/probes.md names; a test holds the page to them.
FULL_PERCENT, TOO_FULL_PERCENT = DEFAULTS.connections_warn_percent, DEFAULTS.connections_fail_percent
SLOW_ROUND_TRIP_MS, TOO_SLOW_ROUND_TRIP_MS = DEFAULTS.round_trip_warn_ms, DEFAULTS.round_trip_fail_ms
OLD_TRANSACTION_SECONDS = DEFAULTS.transaction_warn_seconds
TOO_OLD_TRANSACTION_SECONDS = DEFAULTS.transaction_fail_seconds


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
            budget_seconds = max(2, math.floor(door.deadline.remaining_seconds("connection")))
            parameters |= {"connect_timeout": str(budget_seconds), "application_name": APPLICATION_NAME}
            return read_health(parameters, target, door.deadline)
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
        case = Examination(observation, target, now)
        findings = judge_health(case)
        return ProbeResult(
            kind=self.kind,
            target=target.label,
            status=worst_status(finding.status for finding in findings),
            findings=tuple(findings),
            data=describe_health(case, findings),
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
