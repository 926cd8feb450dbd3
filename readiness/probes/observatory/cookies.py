"""A cookie jar for one chain of answers, and the cookies test. Reads Set-Cookie lines; pure."""

import ipaddress
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from readiness.probes.observatory.lists import is_public_suffix

IGNORED_COOKIES = frozenset({"heroku-session-affinity"})
_VALID_SAMESITE = frozenset({"lax", "strict", "none"})
_WHOLE_NUMBER = re.compile(r"-?[0-9]+")
# From best to worst: the worst finding of any cookie is the result, whatever its modifier.
SEVERITY = (
    "cookies-not-found",
    "cookies-secure-with-httponly-sessions-and-samesite",
    "cookies-secure-with-httponly-sessions",
    "cookies-without-secure-flag-but-protected-by-hsts",
    "cookies-without-secure-flag",
    "cookies-session-without-secure-flag-but-protected-by-hsts",
    "cookies-samesite-flag-invalid",
    "cookies-anticsrf-without-samesite-flag",
    "cookies-session-without-httponly-flag",
    "cookies-session-without-secure-flag",
)


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie of the jar. `samesite` is lax, strict, none or "" (absent or not one of these)."""

    name: str
    value: str
    domain: str
    path: str
    host_only: bool
    secure: bool
    http_only: bool
    samesite: str
    expires_at: float = math.inf  # seconds since 1970; -inf: deleted by its Max-Age


@dataclass(slots=True)
class CookieJar:
    """Keeps what a browser would keep; the last cookie of a name, domain and path replaces the one before."""

    _kept: dict[tuple[str, str, str], Cookie] = field(default_factory=dict)

    def take(self, url: str, lines: Iterable[str]) -> None:
        """Store the Set-Cookie `lines` of an answer from `url`; what a browser refuses is dropped silently."""
        for line in lines:
            cookie = parse_set_cookie(line, url)
            if cookie is not None:
                self._kept[cookie.domain, cookie.path, cookie.name] = cookie

    def cookies(self) -> list[Cookie]:
        return list(self._kept.values())

    def header_for(self, url: str, now: float) -> str:
        """Return the Cookie header that goes to `url` at `now` (seconds since 1970), "" when there is none.

        What would go there and has expired is forgotten. Until then a deleted cookie counts, as it does to the scanner.
        """
        parts = urlsplit(url)
        host, path = (parts.hostname or "").lower(), parts.path or "/"
        sent = []
        for key, cookie in list(self._kept.items()):
            is_for_host = host == cookie.domain or (not cookie.host_only and host.endswith(f".{cookie.domain}"))
            if not is_for_host or not _path_matches(path, cookie.path):
                continue
            if parts.scheme != "https" and cookie.secure:
                continue
            if cookie.expires_at <= now:
                del self._kept[key]
            else:
                sent.append(f"{cookie.name}={cookie.value}")
        return "; ".join(sent)


def _path_matches(path: str, cookie_path: str) -> bool:
    return path == cookie_path or path.startswith(cookie_path if cookie_path.endswith("/") else f"{cookie_path}/")


def split_attributes(line: str) -> tuple[str, dict[str, str | None]]:
    """Split a Set-Cookie line into its name=value part and its attributes (lower-case names; None: without "=")."""
    pair, _, rest = line.partition(";")
    attributes: dict[str, str | None] = {}
    for part in rest.split(";"):
        name, equals, value = part.strip().partition("=")
        if name.strip():
            attributes[name.strip().lower()] = value.strip() if equals else None
    return pair.strip(), attributes


def parse_set_cookie(line: str, url: str) -> Cookie | None:
    """Return the cookie that `line` sets at `url`; None when a browser would refuse it."""
    pair, attributes = split_attributes(line)
    name, equals, value = pair.partition("=")
    name = name.strip()
    if not equals or not name:
        return None
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    domain = (attributes.get("domain") or "").lstrip(".").lower()
    if domain and not _may_set_domain(host, domain):
        return None
    path = attributes.get("path") or ""
    cookie = Cookie(
        name=name,
        value=value.strip(),
        domain=domain or host,
        path=path if path.startswith("/") else _default_path(parts.path),
        host_only=not domain,
        secure="secure" in attributes,
        http_only="httponly" in attributes,
        samesite=_known_samesite(attributes.get("samesite")),
        expires_at=_read_expiry(attributes),
    )
    return cookie if _keeps_prefix_promise(cookie) else None


def _known_samesite(value: str | None) -> str:
    lowered = (value or "").lower()
    return lowered if lowered in _VALID_SAMESITE else ""


def _read_expiry(attributes: dict[str, str | None]) -> float:
    """Return when the cookie ends; Max-Age counts before Expires, and one in the future is no end for a scan."""
    max_age = attributes.get("max-age") or ""
    if _WHOLE_NUMBER.fullmatch(max_age):
        return -math.inf if max_age.startswith("-") or not int(max_age[:20]) else math.inf
    try:
        ends_at = parsedate_to_datetime(attributes.get("expires") or "")
        return ends_at.timestamp()
    except (ValueError, TypeError, OverflowError):
        return math.inf


def _may_set_domain(host: str, domain: str) -> bool:
    if host != domain and not (host.endswith(f".{domain}") and not _is_address(host)):
        return False
    return not is_public_suffix(domain)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _default_path(path: str) -> str:
    return path[: path.rfind("/")] or "/" if path.startswith("/") else "/"


def _keeps_prefix_promise(cookie: Cookie) -> bool:
    if cookie.name.startswith("__Secure-"):
        return cookie.secure
    if cookie.name.startswith("__Host-"):
        return cookie.secure and cookie.host_only and cookie.path == "/"
    return True


def is_samesite_invalid(line: str) -> bool:
    """Say whether any SameSite of a raw Set-Cookie line is none of lax, strict and none, or has no value."""
    attributes = (part.strip().partition("=") for part in line.split(";")[1:])
    return any(
        name.strip().lower() == "samesite" and value.strip().lower() not in _VALID_SAMESITE
        for name, _, value in attributes
    )


def judge_cookies(cookies: list[Cookie], final_lines: list[str], *, hsts_passes: bool) -> str:
    """Return the code of the cookies test: `cookies` of the whole chain, raw `final_lines` of its last answer."""
    counted = [cookie for cookie in cookies if cookie.name not in IGNORED_COOKIES]
    if not counted:
        return "cookies-not-found"
    findings = {code for cookie in counted for code in _find_faults(cookie, hsts_passes=hsts_passes)}
    if any(is_samesite_invalid(line) for line in final_lines):
        findings.add("cookies-samesite-flag-invalid")
    if findings:
        return max(findings, key=SEVERITY.index)
    if all(cookie.samesite for cookie in counted):
        return "cookies-secure-with-httponly-sessions-and-samesite"
    return "cookies-secure-with-httponly-sessions"


def is_session_cookie(cookie: Cookie) -> bool:
    """Say whether the name looks like a session's."""
    return any(sign in cookie.name.lower() for sign in ("login", "sess"))


def _is_anticsrf_cookie(cookie: Cookie) -> bool:
    return "csrf" in cookie.name.lower()


def _find_faults(cookie: Cookie, *, hsts_passes: bool) -> Iterable[str]:
    session = is_session_cookie(cookie)
    if not cookie.secure:
        kind = "cookies-session-without-secure-flag" if session else "cookies-without-secure-flag"
        yield f"{kind}-but-protected-by-hsts" if hsts_passes else kind
        if cookie.samesite == "none":
            yield "cookies-samesite-flag-invalid"
    if session and not cookie.http_only:
        yield "cookies-session-without-httponly-flag"
    if _is_anticsrf_cookie(cookie) and not cookie.samesite:
        yield "cookies-anticsrf-without-samesite-flag"
