"""What a resolver said: the values that the dns probe observes and judges. Reads and writes nothing."""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

from readiness.probes.http_client import ascii_host


class DnsFailure(StrEnum):
    """Why what DNS says is wrong, where one code says it."""

    NO_SUCH_NAME = "no_such_name"
    NO_ADDRESS = "no_address"
    WRONG_RECORD = "wrong_record"
    CAA_FORBIDS = "caa_forbids"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said about one name and type.

    `values` as text without final dots, sorted; `chain` the CNAMEs that were followed, in order. `reason` is
    `DnsFailure.NO_SUCH_NAME` or an `ErrorReason` with `text` as its sentence; None with no values: no such record.
    """

    type: str
    values: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    ttl_seconds: int | None = None
    reason: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class CaaAnswer:
    """The CAA records that hold for a host: found at the host or its nearest parent with any ("" when none has)."""

    found_at: str = ""
    records: tuple[tuple[int, str, str], ...] = ()  # flags, tag, value
    reason: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class HostObservation:
    """Everything that was asked about one host; `roles` are those of its endpoints, none for an expected name."""

    host: str
    roles: tuple[str, ...]
    a: Answer
    aaaa: Answer
    caa: CaaAnswer | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        return self.a.values + self.aaaa.values

    @property
    def chain(self) -> tuple[str, ...]:
        return self.a.chain or self.aaaa.chain

    def answer(self, record_type: str) -> Answer:
        """Return the answer for "A", "AAAA" or "CNAME"; a CNAME is the first link of the chain that was followed."""
        if record_type == "A":
            return self.a
        if record_type == "AAAA":
            return self.aaaa
        if self.chain:
            return Answer("CNAME", self.chain[:1])
        return Answer("CNAME", reason=self.a.reason, text=self.a.text)


def normalize_value(record_type: str, value: str) -> str:
    """Return a record's value as it is compared: addresses in their shortest form, names in lower case."""
    text = value.strip().rstrip(".").lower()
    if record_type in ("A", "AAAA"):
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            return text
    return text


def read_name(text: str) -> str:
    """Return `text` as it travels in DNS, in lower case without the final dot; "" for an address."""
    host = text.strip().rstrip(".").lower()
    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            return ascii_host(host)
        except ValueError:
            return host
    return ""
