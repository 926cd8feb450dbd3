"""Compares a site with the header profile of the go-live checklist (https.security_headers). Pure."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from readiness.probes.base import Finding, Status
from readiness.probes.header_fixes import FIXES
from readiness.probes.observatory.csp import Policy
from readiness.probes.observatory.page import read_page
from readiness.probes.observatory.rules import read_policy
from readiness.probes.observatory.site import Site, is_html, joined_header

ONE_YEAR_SECONDS = 31_536_000
_MAX_AGE = re.compile(r"max-age=\"?(\d+)")


def judge_profile(site: Site, talked_to: Sequence[str]) -> Finding:
    """Return one finding that names every directive of the profile that the site lacks; not scored.

    HSTS of one year with includeSubDomains and preload, framing denied, nosniff, strict-origin-when-cross-origin,
    object-src 'none', upgrade-insecure-requests, and a connect-src that admits the hosts that are ``talked_to``:
    those of the API and of the error tracker.
    """
    missing = list_missing_directives(site, talked_to)
    if not missing:
        return Finding("profile", Status.PASS, "The headers meet the profile of the go-live checklist.")
    fix = "\n".join((FIXES["strict-transport-security"], FIXES["content-security-policy"]))
    return Finding(
        "profile", Status.WARN, "The headers miss a part of the go-live checklist's profile.", "; ".join(missing), fix
    )


def list_missing_directives(site: Site, talked_to: Sequence[str]) -> list[str]:
    """Return in words what the profile asks for and the site does not send, in the profile's order."""
    chain = site.auto
    if chain is None:
        return []
    answer = chain.final
    policy = read_policy(answer, read_page(answer.body) if is_html(answer) else None)
    hsts = (joined_header(answer, "Strict-Transport-Security") or "").lower()
    age = _MAX_AGE.search(hsts)
    framing = (joined_header(answer, "X-Frame-Options") or "").lower()
    wanted = {
        "HSTS of one year": age is not None and int(age[1][:20]) >= ONE_YEAR_SECONDS,
        "HSTS includeSubDomains": "includesubdomains" in hsts,
        "HSTS preload": "preload" in hsts,
        "framing denied": framing == "deny" or policy.directives.get("frame-ancestors") == ["'none'"],
        "nosniff": (joined_header(answer, "X-Content-Type-Options") or "").lower() == "nosniff",
        "Referrer-Policy strict-origin-when-cross-origin": (joined_header(answer, "Referrer-Policy") or "")
        .lower()
        .endswith("strict-origin-when-cross-origin"),
        "object-src 'none'": _sources(policy, "object-src") == ["'none'"],
        "upgrade-insecure-requests": "upgrade-insecure-requests" in policy.directives,
    }
    missing = [words for words, met in wanted.items() if not met]
    return missing + [f"connect-src for {host}" for host in _list_blocked_hosts(policy, site.host, talked_to)]


def _sources(policy: Policy, name: str) -> list[str] | None:
    return policy.directives.get(name, policy.directives.get("default-src"))


def _list_blocked_hosts(policy: Policy, own_host: str, talked_to: Sequence[str]) -> list[str]:
    """Return the hosts that the policy keeps the page from talking to."""
    sources = _sources(policy, "connect-src")
    if sources is None:
        return []
    return [host for host in dict.fromkeys(talked_to) if not any(_admits(source, host, own_host) for source in sources)]


def _admits(source: str, host: str, own_host: str) -> bool:
    if source in ("*", "https:"):
        return True
    if source == "'self'":
        return host == own_host.lower()
    name = (urlsplit(source if "://" in source else f"//{source}").hostname or "").lower()
    return name == host or (name.startswith("*.") and host.endswith(name[1:]))
