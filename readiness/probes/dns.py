"""The dns probe: asks a resolver for the addresses, aliases and CAA of every endpoint's host; judges what it said.

That there is no such name is an answer, and the target is wrong: FAIL. A resolver that says SERVFAIL, or nothing, has
told nothing: ERROR. dnspython opens its own sockets, to the resolver alone.
"""

import ipaddress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import dns.edns
import dns.exception
import dns.message
import dns.rcode
import dns.resolver
from dns.nameserver import Do53Nameserver

from readiness.probes import net
from readiness.probes.base import (
    ErrorReason,
    Finding,
    ProbeResult,
    Status,
    Target,
    TargetError,
    TargetOptions,
    make_error_result,
    worst_status,
)
from readiness.probes.dns_findings import describe_observation, find_reason, judge_hosts
from readiness.probes.dns_records import Answer, CaaAnswer, DnsFailure, HostObservation, read_name
from readiness.probes.side_by_side import observe_side_by_side
from readiness.probes.web_targets import parse_web_target

_QUERY_SECONDS = 2.0  # one try at one nameserver; the deadline of the target is the limit of all tries
_EDNS_BYTES = 1232


@dataclass(frozen=True, slots=True)
class DnsObservation:
    """What the resolver said about each host; `failure` when there is no resolver to ask."""

    hosts: tuple[HostObservation, ...] = ()
    nameservers: tuple[str, ...] = ()
    failure: str = ""


class DnsProbe:
    """Do the names lead where they should, and may certificates be issued for them?"""

    kind = "dns"

    def parse_target(self, text: str, options: TargetOptions) -> Target:
        """Make a target of a host or URL. Raises TargetError."""
        target = parse_web_target(text, options)
        for nameserver in options.nameservers:
            split_nameserver(nameserver)
        return Target(
            label=target.label,
            endpoints=target.endpoints,
            timeout_seconds=options.timeout_seconds,
            expected_records=options.expected_records,
            nameservers=options.nameservers,
        )

    def observe(self, target: Target) -> DnsObservation:
        """Ask for all hosts at the same time, within the one deadline of the target."""
        deadline = net.Deadline(target.timeout_seconds)
        try:
            resolver = _make_resolver(target.nameservers)
        except (dns.resolver.NoResolverConfiguration, TargetError) as error:
            text = str(error) if isinstance(error, TargetError) else "This machine names no resolver."
            return DnsObservation(failure=text)
        hosts = observe_side_by_side(
            lambda entry: _observe_host(entry[0], entry[1], resolver, deadline), list(list_hosts(target).items())
        )
        return DnsObservation(hosts, tuple(str(each) for each in resolver.nameservers))

    def judge(self, target: Target, observation: DnsObservation, now: datetime) -> ProbeResult:
        if observation.failure:
            fix = "Name a resolver in the machine's /etc/resolv.conf."
            return make_error_result(self.kind, target.label, ErrorReason.RESOLVER_FAILED, observation.failure, fix)
        if not observation.hosts:
            return _make_nothing_result(target)
        findings = judge_hosts(observation.hosts, target.expected_records)
        status = worst_status(finding.status for finding in findings)
        return ProbeResult(
            kind=self.kind,
            target=target.label,
            status=status,
            reason=find_reason(status, observation.hosts, findings),
            findings=findings,
            data={
                **describe_observation(observation.hosts, target.expected_records),
                "nameservers": list(observation.nameservers),
            },
        )


def _make_nothing_result(target: Target) -> ProbeResult:
    if not target.endpoints:
        text = "There is no endpoint to look up."
        return make_error_result(DnsProbe.kind, target.label, ErrorReason.NOTHING_TO_PROBE, text)
    finding = Finding("address", Status.SKIPPED, "Every endpoint is an address: there is no name to look up.")
    return ProbeResult(DnsProbe.kind, target.label, Status.SKIPPED, ErrorReason.NOTHING_TO_PROBE, findings=(finding,))


def list_hosts(target: Target) -> dict[str, tuple[str, ...]]:
    """Return the names to look up with the roles of their endpoints; names only expected come last, without a role."""
    roles: dict[str, tuple[str, ...]] = {}
    for endpoint in target.endpoints:
        host = read_name(urlsplit(endpoint.url).hostname or "")
        if host:
            roles[host] = tuple(dict.fromkeys((*roles.get(host, ()), endpoint.role)))
    for expected in target.expected_records:
        host = read_name(expected.name)
        if host:
            roles.setdefault(host, ())
    return roles


def split_nameserver(text: str) -> tuple[str, int]:
    """Split "address", "address:port" or "[address]:port". Raises TargetError (bad_target)."""
    host, port = text, ""
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        host, port = (host if closed else ""), port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        number = int(port or 53)
        if not 0 < number < 65536:
            raise ValueError(port)
        return str(ipaddress.ip_address(host)), number
    except ValueError:
        raise TargetError(f"{text} is not a nameserver: give an IP address, with :port where it is not 53.") from None


def _make_resolver(nameservers: tuple[str, ...]) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=not nameservers)
    if nameservers:
        resolver.nameservers = [Do53Nameserver(*split_nameserver(text)) for text in nameservers]
    resolver.timeout = _QUERY_SECONDS
    resolver.use_edns(0, 0, _EDNS_BYTES)  # so that a resolver can say why it failed (RFC 8914)
    return resolver


def _observe_host(
    host: str, roles: tuple[str, ...], resolver: dns.resolver.Resolver, deadline: net.Deadline
) -> HostObservation:
    a, aaaa = observe_side_by_side(lambda kind: ask(host, kind, resolver, deadline), ("A", "AAAA"))
    caa = _ask_caa(host, resolver, deadline) if roles and a.reason is None else None
    return HostObservation(host, roles, a, aaaa, caa)


def ask(host: str, record_type: str, resolver: dns.resolver.Resolver, deadline: net.Deadline) -> Answer:
    """Ask for one name and type; inability is in the answer."""
    try:
        seconds = deadline.remaining_seconds("name resolution")
        reply = resolver.resolve(f"{host}.", record_type, raise_on_no_answer=False, search=False, lifetime=seconds)
    except dns.resolver.NXDOMAIN as error:
        chain = _read_chain(error, host)
        missing = chain[-1] if chain else host
        return Answer(record_type, chain=chain, reason=DnsFailure.NO_SUCH_NAME, text=f"There is no name {missing}.")
    except (net.DeadlineError, dns.exception.Timeout):
        text = f"The resolver did not answer for {host} ({record_type}) in time."
        return Answer(record_type, reason=ErrorReason.TIMEOUT, text=text)
    except (dns.exception.DNSException, OSError, ValueError, UnicodeError) as error:
        text = f"The resolver could not answer for {host} ({record_type}): {_explain(error)}."
        return Answer(record_type, reason=ErrorReason.RESOLVER_FAILED, text=text)
    result = reply.chaining_result
    chain = tuple(_show(rdata.target) for cname in result.cnames for rdata in cname)
    values = tuple(sorted(_show(rdata) for rdata in reply.rrset)) if reply.rrset is not None else ()
    return Answer(record_type, values, chain, result.minimum_ttl)


def _ask_caa(host: str, resolver: dns.resolver.Resolver, deadline: net.Deadline) -> CaaAnswer:
    """Climb from `host` to the first parent that has CAA records, as an authority does (RFC 8659, section 3)."""
    labels = host.split(".")
    for position in range(max(1, len(labels) - 1)):
        name = ".".join(labels[position:])
        answer = ask(name, "CAA", resolver, deadline)
        if answer.reason is not None and answer.reason != DnsFailure.NO_SUCH_NAME:
            return CaaAnswer(reason=answer.reason, text=answer.text)
        if answer.values:
            return CaaAnswer(name, tuple(_split_caa(value) for value in answer.values))
    return CaaAnswer()


def _split_caa(text: str) -> tuple[int, str, str]:
    flags, tag, value = text.split(" ", 2)
    return int(flags), tag.lower(), value.strip('"')


def _read_chain(error: dns.resolver.NXDOMAIN, host: str) -> tuple[str, ...]:
    """Return the CNAMEs that led from `host` to the name that does not exist."""
    responses = error.kwargs.get("responses") or {}
    for response in responses.values():
        try:
            cnames = response.resolve_chaining().cnames
        except dns.exception.DNSException:
            continue
        return tuple(_show(rdata.target) for cname in cnames for rdata in cname)
    return ()


def _explain(error: Exception) -> str:
    """Name what the nameservers answered instead: their codes, and their own words where they give any."""
    if not isinstance(error, dns.resolver.NoNameservers):
        return type(error).__name__
    said: dict[str, None] = {}
    for entry in error.kwargs.get("errors") or ():
        response = entry[4]
        if response is None:
            said[type(entry[3]).__name__ if isinstance(entry[3], Exception) else "no answer"] = None
            continue
        why = [
            str(option.text) for option in response.options if isinstance(option, dns.edns.EDEOption) and option.text
        ]
        said[" - ".join([dns.rcode.to_text(response.rcode()), *why])] = None
    return ", ".join(said) or "no answer"


def _show(record: object) -> str:
    return str(record).rstrip(".").lower() if not str(record).startswith('"') else str(record)
