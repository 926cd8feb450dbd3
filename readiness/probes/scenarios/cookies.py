"""Keeps the cookies of one walk as a browser would (RFC 6265 and its revision). Pure: it is given the clock.

A request whose Origin is of another site is what a page's script sends: only SameSite=None cookies travel with it.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from readiness.probes.observatory.lists import is_public_suffix

MAX_COOKIES = 200
MAX_COOKIE_CHARACTERS = 4_096
MAX_LIFETIME_SECONDS = 400 * 86_400  # what browsers keep at most


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie as it was set. `same_site` is lax, strict, none or ""; no `max_age_seconds`: ends with the browser."""

    name: str
    value: str = field(repr=False)
    domain: str
    path: str
    is_host_only: bool
    secure: bool
    http_only: bool
    same_site: str
    max_age_seconds: int | None

    @property
    def is_removal(self) -> bool:
        return self.max_age_seconds is not None and self.max_age_seconds <= 0


@dataclass(slots=True)
class CookieJar:
    """The cookies of one user; the last of a name, domain and path replaces the one before."""

    _kept: dict[tuple[str, str, str], tuple[Cookie, float | None]] = field(default_factory=dict)

    def take(self, url: str, lines: Iterable[str], now: float, *, is_cross_site: bool = False) -> list[Cookie]:
        """Store what `lines` set at `url` and return it; what a browser refuses is left out.

        `now` in seconds since the epoch.
        """
        taken: list[Cookie] = []
        for line in lines:
            cookie = parse_set_cookie(line, url, now)
            if cookie is None or (is_cross_site and cookie.same_site != "none"):
                continue
            key = cookie.domain, cookie.path, cookie.name
            if cookie.is_removal:
                self._kept.pop(key, None)
            elif key in self._kept or len(self._kept) < MAX_COOKIES:
                lifetime = cookie.max_age_seconds
                self._kept[key] = cookie, None if lifetime is None else now + lifetime
            taken.append(cookie)
        return taken

    def header_for(self, url: str, now: float, *, is_cross_site: bool = False) -> str:
        """Return the Cookie header that travels to `url`, longest path first; "" when there is none."""
        return "; ".join(
            f"{cookie.name}={cookie.value}"
            for cookie in sorted(self._matching(url, now), key=lambda each: -len(each.path))
            if not is_cross_site or cookie.same_site == "none"
        )

    def find(self, name: str, now: float) -> Cookie | None:
        """Return the live cookie of this name that was stored last."""
        return next((cookie for cookie in reversed(self._live(now)) if cookie.name == name), None)

    def values(self) -> list[str]:
        return [cookie.value for cookie, _ in self._kept.values()]

    def _live(self, now: float) -> list[Cookie]:
        return [cookie for cookie, ends_at in self._kept.values() if ends_at is None or ends_at > now]

    def _matching(self, url: str, now: float) -> list[Cookie]:
        parts = urlsplit(url)
        host, path = (parts.hostname or "").lower(), parts.path or "/"
        return [
            cookie
            for cookie in self._live(now)
            if (host == cookie.domain or (not cookie.is_host_only and host.endswith(f".{cookie.domain}")))
            and _matches_path(path, cookie.path)
            and (parts.scheme == "https" or not cookie.secure)
        ]


def is_other_site(origin: str, url: str) -> bool:
    """Say whether `url` is of another site than `origin`: another scheme or another registrable domain."""
    ours, theirs = urlsplit(origin), urlsplit(url)
    return (ours.scheme, _site_of(ours.hostname or "")) != (theirs.scheme, _site_of(theirs.hostname or ""))


def _site_of(host: str) -> str:
    labels = host.lower().rstrip(".").split(".")
    if _is_address(host):
        return host
    for position in range(len(labels) - 1):
        if is_public_suffix(".".join(labels[position + 1 :])):
            return ".".join(labels[position:])
    return host.lower()


def parse_set_cookie(line: str, url: str, now: float) -> Cookie | None:
    """Return the cookie that `line` sets at `url`; None when a browser would refuse it."""
    if len(line) > 2 * MAX_COOKIE_CHARACTERS or any(character < " " and character != "\t" for character in line):
        return None
    pair, _, rest = line.partition(";")
    name, equals, value = (part.strip() for part in pair.partition("="))
    if not equals or not name or len(name) + len(value) > MAX_COOKIE_CHARACTERS:
        return None
    attributes = _split_attributes(rest)
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    domain = attributes.get("domain", "").lstrip(".").lower()
    if domain and is_public_suffix(domain):
        if domain != host:
            return None
        domain = ""
    if domain and host != domain and (_is_address(host) or not host.endswith(f".{domain}")):
        return None
    path = attributes.get("path", "")
    cookie = Cookie(
        name=name,
        value=value,
        domain=domain or host,
        path=path if path.startswith("/") else _default_path(parts.path),
        is_host_only=not domain,
        secure="secure" in attributes,
        http_only="httponly" in attributes,
        same_site=_read_same_site(attributes.get("samesite", "")),
        max_age_seconds=_read_lifetime(attributes, now),
    )
    return cookie if _is_acceptable(cookie, parts.scheme) else None


def _split_attributes(text: str) -> dict[str, str]:
    """Return the attributes by lower-case name; the last of a name holds."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}


def _read_same_site(value: str) -> str:
    lowered = value.lower()
    return lowered if lowered in ("lax", "strict", "none") else ""


def _read_lifetime(attributes: dict[str, str], now: float) -> int | None:
    """Return the lifetime in seconds: Max-Age before Expires, what cannot be read is ignored, 400 days at most."""
    text = attributes.get("max-age", "")
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit():
        seconds = int(digits[:10])
        return 0 if text.startswith("-") else min(seconds, MAX_LIFETIME_SECONDS)
    try:
        ends_at = parsedate_to_datetime(attributes["expires"]).timestamp()
    except (KeyError, ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
    return int(max(0.0, min(ends_at - now, MAX_LIFETIME_SECONDS)))


def _is_acceptable(cookie: Cookie, scheme: str) -> bool:
    if cookie.secure and scheme != "https":
        return False
    if cookie.same_site == "none" and not cookie.secure:
        return False
    if cookie.name.lower().startswith("__secure-"):
        return cookie.secure
    if cookie.name.lower().startswith("__host-"):
        return cookie.secure and cookie.is_host_only and cookie.path == "/"
    return True


def _matches_path(path: str, cookie_path: str) -> bool:
    return path == cookie_path or path.startswith(cookie_path if cookie_path.endswith("/") else f"{cookie_path}/")


def _default_path(path: str) -> str:
    return path[: path.rfind("/")] or "/" if path.startswith("/") else "/"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
