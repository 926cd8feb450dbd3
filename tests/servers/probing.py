"""Runs one probe against local servers as the command line would, for tests of every kind."""

from datetime import UTC, datetime
from typing import Any

from readiness.probes.addresses import AddressPolicy
from readiness.probes.base import ConnectTo, Finding, Probe, ProbeResult, Target, TargetEndpoint
from readiness.probes.runner import run_probe
from tests.servers.sockets import LocalServer

LOCAL = AddressPolicy(allow_loopback=True, allow_private=True)


def make_target(*endpoints: str | TargetEndpoint, label: str = "test", **options: Any) -> Target:
    """A target of URLs (frontends) or endpoints that may reach loopback, with twenty seconds unless told."""
    made = tuple(
        each if isinstance(each, TargetEndpoint) else TargetEndpoint(role="frontend", url=each) for each in endpoints
    )
    return Target(label=label, endpoints=made, **{"timeout_seconds": 20.0, "address_policy": LOCAL, **options})


def probe_now(probe: Probe[Any], target: Target) -> ProbeResult:
    """Run `probe` on `target` at the present time."""
    return run_probe(probe, target, datetime.now(UTC))


def lead_to(server: LocalServer, host: str = "", port: int | None = None) -> ConnectTo:
    """An override that leads `host` and `port` (empty: any) to a local server."""
    return ConnectTo(host, port, "127.0.0.1", server.port)


def find(result: ProbeResult, name: str) -> Finding:
    """The finding of this name."""
    return next(finding for finding in result.findings if finding.id == name)
