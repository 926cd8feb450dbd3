"""What sslyze wrote about one server, read from its JSON. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_PROTOCOLS = {
    "ssl_2_0": "SSLv2",
    "ssl_3_0": "SSLv3",
    "tls_1_0": "TLSv1",
    "tls_1_1": "TLSv1.1",
    "tls_1_2": "TLSv1.2",
    "tls_1_3": "TLSv1.3",
}
# Trust stores of sslyze that a verdict of ours is compared with: the roots we trust are the system's, and those given.
_TRUST_STORES = frozenset({"Mozilla", "Supplied CA file"})
_VERY_WEAK_WORDS = ("_NULL_", "EXPORT", "_DES_", "_DES40_", "RC2")
_WEAK_WORDS = ("RC4", "3DES")
_MIN_BITS = 112


class DeepProblem(StrEnum):
    """Why sslyze said nothing."""

    MISSING = "missing"
    TIMEOUT = "timeout"
    BROKEN = "broken"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class DeepReport:
    """What sslyze found. `suites` maps protocols to the names of the suites that were accepted.

    `very_weak` and `weak` are those of them that nobody should offer; `vulnerabilities` and `unread` hold codes.
    `accepted` says whether sslyze takes chain and host name, None when it did not tell.
    """

    problem: DeepProblem | None = None
    version: str = ""
    suites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    very_weak: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    vulnerabilities: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    accepted: bool | None = None

    @property
    def protocols(self) -> list[str]:
        return list(self.suites)


def read_report(text: str) -> DeepReport:
    """Return the report in the JSON that sslyze wrote of one server. Raises ValueError when it is none."""
    try:
        document = json.loads(text)
        seen = document["server_scan_results"][0]
        version = str(document.get("sslyze_version", ""))
        if seen["connectivity_status"] != "COMPLETED" or not seen.get("scan_result"):
            return DeepReport(problem=DeepProblem.UNREACHABLE, version=version)
        return _read_scans(seen["scan_result"], version)
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("this is no report of sslyze") from error


def _read_scans(scans: Mapping[str, Any], version: str) -> DeepReport:
    done = {
        name: each["result"]
        for name, each in scans.items()
        if isinstance(each, Mapping) and each.get("status") == "COMPLETED" and isinstance(each.get("result"), Mapping)
    }
    unread = tuple(name for name, each in scans.items() if isinstance(each, Mapping) and each.get("status") == "ERROR")
    accepted = {
        name: [each["cipher_suite"] for each in done[f"{key}_cipher_suites"]["accepted_cipher_suites"]]
        for key, name in _PROTOCOLS.items()
        if f"{key}_cipher_suites" in done
    }
    every = {str(suite["name"]): suite for suites in accepted.values() for suite in suites}
    very_weak = tuple(name for name, suite in every.items() if _is_very_weak(name, suite))
    return DeepReport(
        version=version,
        suites={name: tuple(str(suite["name"]) for suite in suites) for name, suites in accepted.items() if suites},
        very_weak=very_weak,
        weak=tuple(name for name in every if name not in very_weak and any(word in name for word in _WEAK_WORDS)),
        vulnerabilities=tuple(_list_vulnerabilities(done)),
        unread=unread,
        accepted=_read_acceptance(done.get("certificate_info")),
    )


def _is_very_weak(name: str, suite: Mapping[str, Any]) -> bool:
    bits = suite.get("key_size")
    is_short = isinstance(bits, int) and bits < _MIN_BITS
    return is_short or bool(suite.get("is_anonymous")) or any(word in name for word in _VERY_WEAK_WORDS)


def _list_vulnerabilities(done: Mapping[str, Mapping[str, Any]]) -> list[str]:
    renegotiation = done.get("session_renegotiation", {})
    signs = {
        "heartbleed": done.get("heartbleed", {}).get("is_vulnerable_to_heartbleed"),
        "openssl_ccs_injection": done.get("openssl_ccs_injection", {}).get("is_vulnerable_to_ccs_injection"),
        "robot": str(done.get("robot", {}).get("robot_result", "")).startswith("VULNERABLE"),
        "compression": done.get("tls_compression", {}).get("supports_compression"),
        "insecure_renegotiation": renegotiation.get("supports_secure_renegotiation") is False,
        "client_renegotiation": renegotiation.get("is_vulnerable_to_client_renegotiation_dos"),
    }
    return [code for code, sign in signs.items() if sign]


def _read_acceptance(info: Mapping[str, Any] | None) -> bool | None:
    if info is None:
        return None
    paths = info["certificate_deployments"][0]["path_validation_results"]
    return any(
        each["trust_store"]["name"] in _TRUST_STORES and each["was_validation_successful"] is True for each in paths
    )
