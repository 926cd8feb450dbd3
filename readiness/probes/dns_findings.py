"""Judges what a resolver said about the hosts of an environment; pure: reads observations, returns findings."""

from collections.abc import Iterator, Sequence
from typing import Any

from readiness.probes.base import ErrorReason, ExpectedRecord, Finding, Status, status_of_reason
from readiness.probes.dns_records import Answer, CaaAnswer, DnsFailure, HostObservation, normalize_value, read_name

_RESOLVER_FIX = (
    "Nothing is known about the name yet. Ask another resolver (dig @9.9.9.9 NAME); if that fails too, look at the "
    "zone's nameservers and at DNSSEC."
)


def judge_hosts(hosts: Sequence[HostObservation], expected: Sequence[ExpectedRecord]) -> tuple[Finding, ...]:
    """Return the findings `address`, `alias`, `caa` and `expected-*` of all hosts."""
    findings: list[Finding] = []
    frontend = next((seen for seen in hosts if "frontend" in seen.roles), None)
    for seen in hosts:
        if seen.roles:
            findings.append(_judge_address(seen))
        if "alias" in seen.roles and frontend is not None and seen.addresses:
            findings.append(_judge_alias(seen, frontend))
        if seen.caa is not None:
            findings.append(_judge_caa(seen.host, seen.caa))
    findings += [_judge_expected(record, seen) for record, seen in _pair_expected(hosts, expected)]
    return tuple(findings)


def _judge_address(seen: HostObservation) -> Finding:
    name = "address"
    for answer in (seen.a, seen.aaaa):
        if isinstance(answer.reason, ErrorReason):
            return Finding(name, Status.ERROR, answer.text, answer.reason, _RESOLVER_FIX)
    missing = [answer for answer in (seen.a, seen.aaaa) if answer.reason == DnsFailure.NO_SUCH_NAME]
    if missing and not seen.addresses:
        return _judge_missing_name(seen, missing[0])
    route = "".join(f" through {link}" for link in seen.chain)
    if not seen.addresses:
        fix = f"Add an A or AAAA record, or a CNAME, for {(*seen.chain, seen.host)[-1]}."
        return Finding(name, Status.FAIL, f"{seen.host} exists{route} and has no address.", DnsFailure.NO_ADDRESS, fix)
    summary = f"{seen.host} leads{route} to {', '.join(seen.addresses)}."
    if missing:
        detail = (
            f"For {missing[0].type} the answer is that there is no such name; resolvers may keep that for all types."
        )
        return Finding(name, Status.WARN, summary, detail, "Let the nameserver answer NOERROR for a type it has not.")
    ttl = seen.a.ttl_seconds if seen.a.ttl_seconds is not None else seen.aaaa.ttl_seconds
    return Finding(name, Status.PASS, summary, "" if ttl is None else f"may be kept for {ttl} s")


def _judge_missing_name(seen: HostObservation, answer: Answer) -> Finding:
    if answer.chain:
        summary = f"{seen.host} is an alias of {answer.chain[-1]}, which does not exist."
        fix = (
            f"Point {seen.host} at a name that exists or remove it: whoever gets {answer.chain[-1]} gets the visitors."
        )
    else:
        summary = f"There is no name {seen.host}."
        fix = f"Add a record for {seen.host} at the DNS provider, or correct the address here."
    return Finding("address", Status.FAIL, summary, DnsFailure.NO_SUCH_NAME, fix)


def _judge_alias(seen: HostObservation, frontend: HostObservation) -> Finding:
    if frontend.host in seen.chain or set(seen.addresses) & set(frontend.addresses):
        return Finding("alias", Status.PASS, f"{seen.host} leads to where {frontend.host} is.")
    return Finding(
        "alias",
        Status.PASS,
        f"{seen.host} leads elsewhere than {frontend.host}; whether it redirects there is judged by http.",
        f"{', '.join(seen.addresses)} instead of {', '.join(frontend.addresses) or 'no address'}",
    )


def _judge_caa(host: str, caa: CaaAnswer) -> Finding:
    name = "caa"
    if caa.reason is not None:
        fix = "Authorities refuse to issue when the CAA lookup fails: look at the zone's nameservers."
        return Finding(name, Status.ERROR, caa.text, caa.reason, fix)
    if not caa.records:
        example = f'{host}. CAA 0 issue "letsencrypt.org"'
        return Finding(name, Status.PASS, f"{host} lets any authority issue certificates.", f"to narrow it: {example}")
    detail = "\n".join(f'{caa.found_at} CAA {flags} {tag} "{value}"' for flags, tag, value in caa.records)
    issuers = [value.partition(";")[0].strip() for _, tag, value in caa.records if tag == "issue"]
    if issuers and not any(issuers):
        summary = (
            f"{caa.found_at} forbids every authority to issue certificates for {host}: the next renewal will fail."
        )
        fix = f'Name the authority in use, for example: {caa.found_at}. CAA 0 issue "letsencrypt.org"'
        return Finding(name, Status.FAIL, summary, detail, fix)
    allowed = ", ".join(filter(None, issuers)) or "any authority"
    return Finding(name, Status.PASS, f"{caa.found_at} lets {allowed} issue certificates for {host}.", detail)


def _pair_expected(
    hosts: Sequence[HostObservation], expected: Sequence[ExpectedRecord]
) -> Iterator[tuple[ExpectedRecord, HostObservation]]:
    """Pair every expected record with the host it is about; one without a name is about the host of each endpoint."""
    for record in expected:
        wanted = read_name(record.name)
        for seen in hosts:
            if seen.host == wanted or (not wanted and seen.roles):
                yield record, seen


def _compare(record: ExpectedRecord, seen: HostObservation) -> tuple[Status, list[str], list[str]]:
    """Return the verdict, the expected and the found values.

    Nothing but expected values passes; some of them missing is a warning, since resolvers may be given a part.
    """
    kind = record.type.upper()
    answer = seen.answer(kind)
    wanted = sorted({normalize_value(kind, value) for value in record.values})
    found = sorted({normalize_value(kind, value) for value in answer.values})
    if isinstance(answer.reason, ErrorReason):
        return Status.ERROR, wanted, found
    if set(found) == set(wanted):
        return Status.PASS, wanted, found
    partly = bool(found) and set(found) < set(wanted)
    return Status.WARN if partly else Status.FAIL, wanted, found


def _judge_expected(record: ExpectedRecord, seen: HostObservation) -> Finding:
    status, wanted, found = _compare(record, seen)
    kind = record.type.upper()
    name = f"expected-{kind.lower()}"
    if status is Status.ERROR:
        return Finding(name, status, seen.answer(kind).text, seen.answer(kind).reason or "", _RESOLVER_FIX)
    shown, should = ", ".join(found) or "none", ", ".join(wanted) or "none"
    if status is Status.PASS:
        return Finding(name, status, f"{seen.host} has the expected {kind}: {shown}.")
    fix = f"Set {kind} of {seen.host} to {should} at the DNS provider, or correct what is expected here."
    return Finding(name, status, f"{seen.host} has {kind} {shown}; expected: {should}.", DnsFailure.WRONG_RECORD, fix)


def find_reason(status: Status, hosts: Sequence[HostObservation], findings: Sequence[Finding]) -> str | None:
    """Name the first thing that made the status what it is."""
    if status not in (Status.FAIL, Status.ERROR):
        return None
    reasons: list[str | None] = []
    for seen in hosts:
        reasons += [seen.a.reason, seen.aaaa.reason, seen.caa.reason if seen.caa else None]
    if status is Status.ERROR:
        return next((each for each in reasons if each is not None and status_of_reason(each) is Status.ERROR), None)
    first = next(finding for finding in findings if finding.status is Status.FAIL)
    return DnsFailure.CAA_FORBIDS if first.id == "caa" else DnsFailure(first.detail)


def describe_observation(hosts: Sequence[HostObservation], expected: Sequence[ExpectedRecord]) -> dict[str, Any]:
    """Return {"hosts": [...], "caa": [...], "expected": [...]}, JSON-ready."""
    compared = [(record, seen, _compare(record, seen)) for record, seen in _pair_expected(hosts, expected)]
    return {
        "hosts": [
            {
                "host": seen.host,
                "roles": list(seen.roles),
                "a": list(seen.a.values),
                "aaaa": list(seen.aaaa.values),
                "cname": list(seen.chain),
                "ttl_seconds": seen.a.ttl_seconds,
                "reason": seen.a.reason or seen.aaaa.reason,
            }
            for seen in hosts
        ],
        "caa": [
            {
                "host": seen.host,
                "found_at": seen.caa.found_at,
                "records": [{"flags": flags, "tag": tag, "value": value} for flags, tag, value in seen.caa.records],
            }
            for seen in hosts
            if seen.caa is not None
        ],
        "expected": [
            {"name": seen.host, "type": record.type, "expected": wanted, "found": found, "ok": status is Status.PASS}
            for record, seen, (status, wanted, found) in compared
        ],
    }
