"""Says in findings what sslyze adds to our own verdict about a TLS server, and where the two differ. Pure.

The letter falls as the public graders have it: F for Heartbleed, CCS injection, ROBOT, SSL 2.0 and suites of less than
112 bits or without encryption or identity, C for RC4, triple DES and compression, B for SSL 3.0.
"""

from collections.abc import Mapping
from typing import Any

from readiness.probes.base import Finding, Status
from readiness.probes.tls_deep_report import DeepProblem, DeepReport
from readiness.probes.tls_judgement import TlsVerdict

_LETTERS = ("A+", "A", "A-", "B", "C", "D", "E", "F")
_SHOWN = 12
# code -> (letter at best, sentence, fix)
_VULNERABILITIES: Mapping[str, tuple[str, str, str]] = {
    "heartbleed": ("F", "{host} gives its memory away (Heartbleed).", "Update OpenSSL, then renew keys and passwords."),
    "openssl_ccs_injection": ("F", "{host} lets others into its sessions (CCS injection).", "Update OpenSSL."),
    "robot": (
        "F",
        "{host} lets others decrypt its sessions (ROBOT).",
        "Switch RSA key exchange off (suites that begin with TLS_RSA_), and update the server.",
    ),
    "compression": ("C", "{host} compresses what it encrypts (CRIME).", "Switch TLS compression off."),
    "insecure_renegotiation": (
        "B",
        "{host} lets others speak before its clients do (insecure renegotiation).",
        "Update the server: secure renegotiation (RFC 5746) is from 2010.",
    ),
    "client_renegotiation": (
        "A+",
        "{host} lets clients start handshakes again and again, which keeps it busy.",
        "Switch renegotiation that clients start off.",
    ),
}
_FAILING = frozenset({"heartbleed", "openssl_ccs_injection", "robot"})
_PROBLEMS: Mapping[DeepProblem, tuple[str, str]] = {
    DeepProblem.MISSING: (
        "sslyze is not installed, so cipher suites and known vulnerabilities were not tried.",
        "Install it beside the portal: make sslyze, or pipx install sslyze.",
    ),
    DeepProblem.TIMEOUT: ("sslyze did not finish in time.", "Give the probe more time: --timeout 120."),
    DeepProblem.BROKEN: ("sslyze broke off without a report.", "Run sslyze by hand to see why."),
    DeepProblem.UNREACHABLE: ("sslyze could not shake hands with this server.", "Run sslyze by hand to see why."),
}


def describe_report(report: DeepReport, verdict: TlsVerdict) -> dict[str, Any]:
    """Return the `deep` of the data."""
    return {
        "scanner": f"sslyze {report.version}".strip(),
        "problem": None if report.problem is None else report.problem.value,
        "protocols": report.protocols,
        "suites": {name: list(suites) for name, suites in report.suites.items()},
        "weak_suites": [*report.very_weak, *report.weak],
        "vulnerabilities": list(report.vulnerabilities),
        "accepted": report.accepted,
        "agrees": None if report.problem else not list_disagreements(report, verdict),
        "unread": list(report.unread),
    }


def list_deep_findings(report: DeepReport, verdict: TlsVerdict) -> list[Finding]:
    """Return what sslyze adds: suites, vulnerabilities, and its verdict side by side with ours."""
    place = f"{verdict.seen.host}:{verdict.seen.port}"
    if report.problem:
        sentence, fix = _PROBLEMS[report.problem]
        return [Finding("deep", Status.SKIPPED, sentence, place, fix)]
    findings = [_judge_suites(report, place), *_judge_vulnerabilities(report, place), _compare(report, verdict, place)]
    if report.unread:
        text = f"sslyze could not try everything on {place}."
        findings.append(Finding("deep", Status.SKIPPED, text, ", ".join(report.unread), "Run the probe again."))
    return findings


def grade_deeply(grade: str | None, report: DeepReport) -> str | None:
    """Return the letter that is left of `grade` after what sslyze found; T, M and no letter stay as they are."""
    if grade not in _LETTERS:
        return grade
    caps = [grade, *(_VULNERABILITIES[code][0] for code in report.vulnerabilities)]
    if report.very_weak or "SSLv2" in report.suites:
        caps.append("F")
    if report.weak:
        caps.append("C")
    if "SSLv3" in report.suites:
        caps.append("B")
    return max(caps, key=_LETTERS.index)


def find_deep_reason(report: DeepReport) -> str | None:
    """Return the code of the worst thing that sslyze found, where it is a failure."""
    found = next((code for code in report.vulnerabilities if code in _FAILING), None)
    return found or ("weak_cipher" if report.very_weak or "SSLv2" in report.suites else None)


def _judge_suites(report: DeepReport, place: str) -> Finding:
    count = len({name for suites in report.suites.values() for name in suites})
    old = [name for name in ("SSLv2", "SSLv3") if name in report.suites]
    bad = [*old, *report.very_weak, *report.weak]
    if not bad:
        return Finding(
            "deep_suites", Status.PASS, f"None of the {count} cipher suites of {place} is weak.", _list(report)
        )
    status = Status.FAIL if report.very_weak or "SSLv2" in old else Status.WARN
    text = f"{place} offers what nobody should: {', '.join(bad[:3])}{' and more' if len(bad) > 3 else ''}."
    fix = "Offer only suites with AES-GCM or ChaCha20: ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20; and no SSL."
    return Finding("deep_suites", status, text, ", ".join(bad[:_SHOWN]), fix)


def _list(report: DeepReport) -> str:
    return "; ".join(f"{name}: {len(suites)}" for name, suites in report.suites.items())


def _judge_vulnerabilities(report: DeepReport, place: str) -> list[Finding]:
    if not report.vulnerabilities:
        tried = "Heartbleed, CCS injection, ROBOT, compression, renegotiation"
        return [Finding("deep_vulnerabilities", Status.PASS, f"{place} has none of the vulnerabilities tried.", tried)]
    return [
        Finding(
            f"deep_{code}",
            Status.FAIL if code in _FAILING else Status.WARN,
            _VULNERABILITIES[code][1].format(host=place),
            code,
            _VULNERABILITIES[code][2],
        )
        for code in report.vulnerabilities
    ]


def list_disagreements(report: DeepReport, verdict: TlsVerdict) -> list[str]:
    """Return in words where sslyze and we see the same server differently."""
    found = []
    ours, theirs = verdict.seen.protocols, [name for name in report.protocols if name.startswith("TLS")]
    if ours is not None and list(ours) != theirs:
        found.append(f"protocols: we see {', '.join(ours) or 'none'}, sslyze {', '.join(theirs) or 'none'}")
    accepted = verdict.trusted and verdict.hostname_ok
    if report.accepted is not None and report.accepted is not accepted:
        words = {True: "accepted", False: "refused"}
        found.append(f"certificate: {words[accepted]} by us, {words[report.accepted]} by sslyze")
    return found


def _compare(report: DeepReport, verdict: TlsVerdict, place: str) -> Finding:
    differences = list_disagreements(report, verdict)
    scanner = f"sslyze {report.version}"
    if not differences:
        text = f"{scanner} agrees on the certificate and the protocols of {place}."
        return Finding("deep_agreement", Status.PASS, text, ", ".join(report.protocols))
    text = f"{scanner} sees {place} differently."
    fix = "sslyze checks with Mozilla's roots and its own rules; the detail says what to look at."
    return Finding("deep_agreement", Status.WARN, text, "; ".join(differences), fix)
