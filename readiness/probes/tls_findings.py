"""Says in sentences what a TLS verdict means and what to do about it. Pure."""

from collections.abc import Mapping

from readiness.probes.base import Finding, Status, status_of_reason
from readiness.probes.certificates import follow_path
from readiness.probes.tls_judgement import TlsVerdict

_RENEW = "Renew the certificate (certbot renew, or your provider's button) and reload the server."
_RENEW_AUTOMATICALLY = (
    "Run the renewal by hand (certbot renew, lego renew, your proxy's own) and read why it fails: "
    "usually port 80, DNS or a rate limit. Then see that its timer runs."
)
_FULL_CHAIN = "Serve the full chain: the leaf, then every intermediate (fullchain.pem instead of cert.pem)."
# failure -> (finding id, sentence with {host}, fix)
FAILURES: Mapping[str, tuple[str, str, str]] = {
    "expired": ("expiry", "The certificate of {host} has expired.", _RENEW),
    "not_yet_valid": ("expiry", "The certificate of {host} is not valid yet.", "Check the clocks, or wait."),
    "self_signed": (
        "trust",
        "The certificate of {host} is signed by itself.",
        "Get one from a CA that browsers trust, such as Let's Encrypt, or give the environment your own root.",
    ),
    "untrusted_root": (
        "trust",
        "The certificate of {host} comes from a CA that is not trusted.",
        "Get one from a CA that browsers trust, or give the environment your own root.",
    ),
    "hostname_mismatch": (
        "hostname",
        "The certificate is not for {host}.",
        "Issue a certificate whose subject alternative names contain this name.",
    ),
    "incomplete_chain": ("chain", "{host} does not send the intermediate certificate.", _FULL_CHAIN),
    "intermediate_expired": ("chain", "An intermediate certificate of {host} has expired.", _FULL_CHAIN),
    "name_constraints": (
        "trust",
        "The CA of {host} may not issue for this name.",
        "Issue the certificate from a CA whose name constraints permit it.",
    ),
    "invalid_ca": (
        "trust",
        "The certificate of {host} was issued by a certificate that is no CA, or not for this.",
        "Issue it from a real CA certificate (basicConstraints CA:TRUE, keyUsage keyCertSign, path length).",
    ),
    "bad_purpose": (
        "trust",
        "The certificate of {host} is not made for servers.",
        "Issue one with extendedKeyUsage serverAuth.",
    ),
    "weak_key": ("key", "A key in the chain of {host} is too short.", "Use RSA of 2048 bits or more, or EC P-256."),
    "weak_signature": ("signature", "A certificate of {host} is signed with SHA-1 or MD5.", "Issue it with SHA-256."),
    "legacy_protocol": ("protocols", "{host} speaks nothing newer than TLS 1.1.", "Switch TLS 1.2 and 1.3 on."),
    "no_certificate": ("handshake", "{host} shows no certificate.", "Configure a certificate."),
    "client_cert_required": (
        "handshake",
        "{host} wants a client certificate.",
        "Let the portal's address in without one, or probe another address of the site.",
    ),
    "handshake_refused": (
        "handshake",
        "{host} refuses the TLS handshake.",
        "Check that it has a certificate for this name, and modern protocols and cipher suites.",
    ),
    "not_tls": ("handshake", "{host} does not speak TLS on this port.", "Serve the site over HTTPS."),
    "timeout": ("handshake", "{host} did not complete a handshake in time.", "Check the server and its firewall."),
    "closed": ("handshake", "{host} closes the connection during the handshake.", "Check the server's TLS settings."),
    "refused": ("handshake", "{host} refuses connections.", "Check that the server runs and listens on this port."),
}
_WARNINGS: Mapping[str, tuple[str, str, str]] = {
    "lifetime_over_398": (
        "lifetime",
        "The certificate of {host} is valid for more than 398 days; some browsers refuse that of public CAs.",
        "Issue shorter certificates and renew them automatically.",
    ),
    "legacy_protocol": (
        "legacy",
        "{host} still offers TLS 1.0 or 1.1.",
        "Switch them off: ssl_protocols TLSv1.2 TLSv1.3;",
    ),
    "weak_cipher": (
        "cipher",
        "{host} agrees on a cipher suite without forward secrecy or authenticated encryption.",
        "Offer ECDHE suites with AES-GCM or ChaCha20 first.",
    ),
    "wrong_order": ("order", "{host} sends its chain in the wrong order or with strangers in it.", _FULL_CHAIN),
    "root_in_chain": ("root", "{host} sends the root too, which no client needs.", "Leave the root out of the chain."),
}
_WARNS = frozenset({"legacy_protocol", "weak_cipher"})


def list_tls_findings(verdict: TlsVerdict) -> list[Finding]:
    """Return what is said about one endpoint: its faults first, then expiry and the facts, then the warnings."""
    place = f"{verdict.seen.host}:{verdict.seen.port}"
    if verdict.leaf is None:
        return [_describe_missing_handshake(verdict, place)]
    findings = [_describe_failure(code, verdict, place) for code in verdict.failures]
    said = {finding.id for finding in findings}
    facts = [
        _describe_trust(verdict, place),
        _describe_hostname(verdict, place),
        _describe_expiry(verdict, place),
        _describe_protocols(verdict, place),
    ]
    findings += [fact for fact in facts if fact.id not in said]
    findings += _describe_change(verdict, place)
    findings += [_describe_warning(code, place) for code in verdict.warnings if code in _WARNINGS]
    return findings


def _describe_missing_handshake(verdict: TlsVerdict, place: str) -> Finding:
    reason = verdict.reason or ""
    _, sentence, fix = FAILURES.get(reason, ("handshake", verdict.seen.failure_text, "Check the host and the port."))
    text = verdict.seen.failure_text or sentence.format(host=place)
    return Finding("handshake", status_of_reason(reason), text, f"{place}: {reason}", fix)


def _describe_failure(code: str, verdict: TlsVerdict, place: str) -> Finding:
    name, sentence, fix = FAILURES[code]
    return Finding(name, Status.FAIL, sentence.format(host=place), _find_evidence(code, verdict), fix)


def _find_evidence(code: str, verdict: TlsVerdict) -> str:
    leaf = verdict.leaf
    if leaf is None:
        return ""
    if code in ("expired", "not_yet_valid"):
        return f"valid from {leaf.not_before:%Y-%m-%d %H:%M} to {leaf.not_after:%Y-%m-%d %H:%M} UTC"
    if code == "hostname_mismatch":
        return f"it is for: {', '.join([*leaf.dns_names, *leaf.addresses][:20]) or 'no name at all'}"
    if code == "weak_key":
        return ", ".join(f"{each.subject}: {each.key_type} {each.key_bits}" for each in verdict.chain)
    last = follow_path(verdict.chain)[-1]
    return f"sent: {' <- '.join(each.subject for each in verdict.chain)}; issuer of the last: {last.issuer}"


def _describe_trust(verdict: TlsVerdict, place: str) -> Finding:
    names = " <- ".join(certificate.subject for certificate in verdict.chain)
    if verdict.trusted:
        return Finding("trust", Status.PASS, f"The certificate of {place} is trusted.", f"sent: {names}")
    text = f"The certificate of {place} is not trusted, for the reason above."
    return Finding("trust", Status.FAIL, text, f"sent: {names}", "Mend the fault named above.")


def _describe_hostname(verdict: TlsVerdict, place: str) -> Finding:
    return Finding("hostname", Status.PASS, f"The certificate is for {verdict.seen.host}.", place)


def _describe_expiry(verdict: TlsVerdict, place: str) -> Finding:
    leaf, days = verdict.leaf, verdict.days_left or 0
    if leaf is None:
        return Finding("expiry", Status.SKIPPED, f"{place} showed no certificate.")
    due = "" if verdict.renewal_due_at is None else f"{verdict.renewal_due_at:%Y-%m-%d}"
    late = f" Its automatic renewal is late: it was due on {due}." if verdict.is_renewal_late else ""
    status = Status.WARN if "expires_soon" in verdict.warnings or late else Status.PASS
    detail = f"until {leaf.not_after:%Y-%m-%d %H:%M} UTC, by {leaf.issuer}"
    if verdict.expiry_mark is not None:
        detail += f"; past the mark of {verdict.expiry_mark} days"
    if due and not late:
        detail += f"; its automatic renewal is due on {due}"
    fix = _RENEW_AUTOMATICALLY if late else _RENEW
    return Finding(
        "expiry", status, f"The certificate of {place} is valid for {_count_days(days)} more.{late}", detail, fix
    )


def _count_days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"


def _describe_change(verdict: TlsVerdict, place: str) -> list[Finding]:
    """Return what is said about a certificate that came in the place of another; nothing about the first one seen."""
    now, before = verdict.history.current, verdict.history.before
    if now is None or before is None:
        return []
    word = "renewed" if verdict.history.is_renewed else "exchanged for one that lasts no longer"
    by = "" if now.issuer == before.issuer else f", by another issuer ({now.issuer})"
    summary = f"The certificate of {place} was {word} on {now.since:%Y-%m-%d at %H:%M} UTC{by}."
    detail = (
        f"before: until {before.not_after:%Y-%m-%d %H:%M} UTC, by {before.issuer}, {before.fingerprint_sha256}\n"
        f"now: until {now.not_after:%Y-%m-%d %H:%M} UTC, by {now.issuer}, {now.fingerprint_sha256}"
    )
    return [Finding("certificate_change", Status.PASS, summary, detail)]


def _describe_protocols(verdict: TlsVerdict, place: str) -> Finding:
    seen = verdict.seen
    if seen.protocols is None:
        text = f"There was no time to try every protocol of {place}."
        return Finding("protocols", Status.SKIPPED, text, fix="Give the probe more time.")
    agreed = seen.handshake.cipher if seen.handshake else ""
    detail = f"agreed on {seen.handshake.protocol if seen.handshake else ''} with {agreed}; grade {verdict.grade}"
    if seen.protocols_asked_at is not None:
        detail += f"; all were tried on {seen.protocols_asked_at:%Y-%m-%d at %H:%M:%S} UTC, not every time"
    return Finding("protocols", Status.PASS, f"{place} offers {', '.join(seen.protocols) or 'no protocol'}.", detail)


def _describe_warning(code: str, place: str) -> Finding:
    name, sentence, fix = _WARNINGS[code]
    return Finding(name, Status.WARN if code in _WARNS else Status.PASS, sentence.format(host=place), code, fix)
