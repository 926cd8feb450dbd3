"""Says in sentences what the header tests found, with a fix for each that fails; and what is shown unscored. Pure."""

import re
from collections.abc import Mapping

from readiness.probes.base import Finding, Status
from readiness.probes.header_fixes import FIXES
from readiness.probes.http_client import Response
from readiness.probes.observatory.cookies import Cookie
from readiness.probes.observatory.score import MODIFIERS, Score
from readiness.probes.observatory.site import Site, joined_header

SEVERE_MODIFIER = -20
MAX_DETAIL = 500
_VERSION = re.compile(r"\d+\.\d+")
_LEAKS = ("Server", "X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version", "X-Generator")
_UNSCORED = ("Permissions-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy")

SENTENCES: Mapping[str, str] = {
    "csp-implemented-with-no-unsafe-default-src-none": "The policy allows nothing by default and nothing unsafe.",
    "csp-implemented-with-no-unsafe": "The policy allows nothing unsafe.",
    "csp-implemented-with-unsafe-inline-in-style-src-only": "The policy allows inline styles, and nothing else unsafe.",
    "csp-implemented-but-duplicate-directives": "The policy is good but names a reporting directive twice.",
    "csp-implemented-with-insecure-scheme-in-passive-content-only": "The policy lets images or media come over http.",
    "csp-implemented-with-unsafe-eval": "The policy allows eval ('unsafe-eval').",
    "csp-implemented-with-unsafe-inline": "The policy lets inline scripts, or scripts and objects from anywhere, run.",
    "csp-implemented-with-insecure-scheme": "The policy lets content come over http.",
    "csp-header-invalid": "The Content-Security-Policy is not valid, so browsers may ignore it.",
    "csp-not-implemented": "There is no Content-Security-Policy.",
    "csp-not-implemented-but-reporting-enabled": "The Content-Security-Policy only reports; it forbids nothing.",
    "cookies-not-found": "No cookies are set.",
    "cookies-secure-with-httponly-sessions-and-samesite": "All cookies are Secure and SameSite, sessions HttpOnly.",
    "cookies-secure-with-httponly-sessions": "All cookies are Secure and session cookies HttpOnly.",
    "cookies-without-secure-flag-but-protected-by-hsts": "A cookie lacks Secure; only HSTS protects it.",
    "cookies-without-secure-flag": "A cookie lacks Secure and can be read on the way over http.",
    "cookies-session-without-secure-flag-but-protected-by-hsts": "A session cookie lacks Secure; HSTS protects it.",
    "cookies-samesite-flag-invalid": "A cookie has a SameSite that is not valid, or None without Secure.",
    "cookies-anticsrf-without-samesite-flag": "A CSRF cookie lacks SameSite.",
    "cookies-session-without-httponly-flag": "A session cookie lacks HttpOnly, so any script can read it.",
    "cookies-session-without-secure-flag": "A session cookie lacks Secure and can be stolen over http.",
    "cross-origin-resource-sharing-not-implemented": "No other site may read answers.",
    "cross-origin-resource-sharing-implemented-with-public-access": "Every site may read answers, without credentials.",
    "cross-origin-resource-sharing-implemented-with-restricted-access": "Chosen sites may read answers.",
    "cross-origin-resource-sharing-implemented-with-universal-access": "Every site may read answers with credentials.",
    "corp-implemented-with-same-origin": "Only this origin may embed the resources.",
    "corp-implemented-with-same-site": "Only this site may embed the resources.",
    "corp-implemented-with-cross-origin": "Every site may embed the resources.",
    "corp-not-implemented": "There is no Cross-Origin-Resource-Policy.",
    "corp-header-invalid": "The Cross-Origin-Resource-Policy has a value that does not exist.",
    "redirection-not-needed-no-http": "Nothing is served over plain http.",
    "redirection-invalid-cert": "The redirect leads to a site whose certificate is not valid.",
    "redirection-all-redirects-preloaded": "Browsers know every host on the way as https only.",
    "redirection-missing": "Plain http is answered without a redirect to https.",
    "redirection-not-to-https": "Plain http redirects, but not to https.",
    "redirection-not-to-https-on-initial-redirection": "The first redirect from plain http goes to plain http.",
    "redirection-off-host-from-http": "The first redirect from plain http goes to another host, not to https here.",
    "redirection-to-https": "Plain http redirects to https.",
    "referrer-policy-private": "The Referrer-Policy tells other sites no more than the origin.",
    "referrer-policy-unsafe": "The Referrer-Policy tells other sites which page visitors come from.",
    "referrer-policy-header-invalid": "The Referrer-Policy has no value that exists.",
    "referrer-policy-not-implemented": "There is no Referrer-Policy; browsers apply their own.",
    "hsts-preloaded": "Browsers know this host as https only before the first visit.",
    "hsts-implemented-max-age-at-least-six-months": "Browsers remember for six months or more to use https only.",
    "hsts-implemented-max-age-less-than-six-months": "Browsers remember for less than six months to use https only.",
    "hsts-not-implemented": "There is no Strict-Transport-Security.",
    "hsts-header-invalid": "The Strict-Transport-Security header is not valid or sent twice.",
    "hsts-not-implemented-no-https": "The site does not answer over https, so there is no HSTS.",
    "hsts-invalid-cert": "Browsers ignore HSTS because the certificate is not valid.",
    "sri-implemented-and-all-scripts-loaded-securely": "Scripts are loaded securely, with their hashes.",
    "sri-implemented-and-external-scripts-loaded-securely": "Foreign scripts are loaded securely, with their hashes.",
    "sri-not-implemented-response-not-html": "The answer is no HTML page, so it loads no scripts.",
    "sri-not-implemented-but-no-scripts-loaded": "The page loads no scripts.",
    "sri-not-implemented-but-all-scripts-loaded-from-secure-origin": "All scripts come from this site.",
    "sri-not-implemented-but-external-scripts-loaded-securely": "Foreign scripts are loaded without their hashes.",
    "sri-implemented-but-external-scripts-not-loaded-securely": "Foreign scripts have hashes but may come over http.",
    "sri-not-implemented-and-external-scripts-not-loaded-securely": "Foreign scripts may come over http, unhashed.",
    "x-content-type-options-nosniff": "Browsers may not guess content types.",
    "x-content-type-options-header-invalid": "X-Content-Type-Options is something else than nosniff.",
    "x-content-type-options-not-implemented": "There is no X-Content-Type-Options.",
    "x-frame-options-implemented-via-csp": "frame-ancestors of the policy says who may frame the page.",
    "x-frame-options-sameorigin-or-deny": "No other site may frame the page.",
    "x-frame-options-allow-from-origin": "X-Frame-Options names one site; browsers ignore this form today.",
    "x-frame-options-not-implemented": "Every site may frame the page (clickjacking).",
    "x-frame-options-header-invalid": "X-Frame-Options is neither DENY nor SAMEORIGIN, so browsers ignore it.",
}

_HEADER_OF_TEST = {
    "content-security-policy": "Content-Security-Policy",
    "cross-origin-resource-policy": "Cross-Origin-Resource-Policy",
    "referrer-policy": "Referrer-Policy",
    "strict-transport-security": "Strict-Transport-Security",
    "x-content-type-options": "X-Content-Type-Options",
    "x-frame-options": "X-Frame-Options",
}


def list_score_findings(score: Score, site: Site) -> list[Finding]:
    """Return one finding for each test, in the score's order: fail from -20 points on, warn for what costs less."""
    findings = []
    for name, code in score.tests.items():
        modifier, passes = MODIFIERS[code]
        status = Status.PASS if passes else Status.FAIL if modifier <= SEVERE_MODIFIER else Status.WARN
        detail = f"{code} ({modifier:+d})"
        evidence = _find_evidence(name, site)
        findings.append(
            Finding(name, status, SENTENCES[code], f"{detail}: {evidence}" if evidence else detail, FIXES[name])
        )
    return findings


def _find_evidence(test: str, site: Site) -> str:
    """Return what was sent; of cookies the names and flags only, because a value may be a session."""
    chain = site.auto
    if chain is None:
        return ""
    if test == "redirection":
        return " -> ".join(site.http.urls)[:MAX_DETAIL] if site.http else ""
    if test == "cookies":
        return ", ".join(_describe_cookie(cookie) for cookie in site.cookies)[:MAX_DETAIL]
    return (joined_header(chain.final, _HEADER_OF_TEST[test]) or "")[:MAX_DETAIL] if test in _HEADER_OF_TEST else ""


def _describe_cookie(cookie: Cookie) -> str:
    flags = [
        *(["Secure"] if cookie.secure else []),
        *(["HttpOnly"] if cookie.http_only else []),
        f"SameSite={cookie.samesite or 'unset'}",
    ]
    return f"{cookie.name} ({' '.join(flags)})"


def list_unscored_findings(answer: Response) -> list[Finding]:
    """Return what the score does not count: newer headers, and headers that tell more than visitors need."""
    findings = []
    for name in _UNSCORED:
        value = joined_header(answer, name)
        status = Status.PASS if value else Status.WARN
        summary = f"{name} is set." if value else f"There is no {name} (not scored)."
        findings.append(Finding(name.lower(), status, summary, (value or "")[:MAX_DETAIL], FIXES[name.lower()]))
    for name in _LEAKS:
        value = joined_header(answer, name)
        if value and (_VERSION.search(value) or name != "Server"):
            summary = f"{name} tells attackers what runs here (not scored)."
            fix = FIXES.get(name.lower(), FIXES["x-powered-by"])
            findings.append(Finding(name.lower(), Status.WARN, summary, value[:MAX_DETAIL], fix))
    return findings
