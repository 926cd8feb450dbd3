"""Masks secrets in what a scenario shows: known values in every spelling, and what looks like a secret. Pure."""

import base64
import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

from readiness.probes.base import mask_secrets

MASK = "***"
SHOWN_CHARACTERS = 500
_LOOKED_AT_CHARACTERS = 6_000
_SIGN = r"(?:token|secret|passw|pwd|session|csrf|xsrf|jwt|api_?key|authori[sz]ation|cookie|nonce|credential)"
_JSON_VALUE = re.compile(
    rf'("[^"\n]{{0,40}}{_SIGN}[^"\n]{{0,40}}"\s{{0,5}}:\s{{0,5}})(?:"(?:[^"\\]|\\.)*"?|[-\w.]+)', re.I
)
_FORM_VALUE = re.compile(rf"(\b[\w.\-]{{0,40}}{_SIGN}[\w.\-]{{0,40}}=)[^&\s\"'<>;]+", re.I)
_TAG = re.compile(r"<(?:input|meta|button)\b[^>]{0,600}>?", re.I)
_TAG_VALUE = re.compile(r"""(\b(?:value|content)\s{0,5}=\s{0,5})("[^"]*"?|'[^']*'?|[^\s>"']+)""", re.I)
_SIGN_PATTERN = re.compile(_SIGN, re.I)
_JWT = re.compile(r"\beyJ[\w\-]{5,}\.[\w\-]{5,}(?:\.[\w\-]*)?")
_SCHEME_VALUE = re.compile(r"\b(Bearer|Basic|Token)\s+[A-Za-z0-9._~+/=\-]{6,}", re.I)
_URL_SECRETS = frozenset({"code", "state", "ticket", "sig", "signature", "key", "auth", "password"})


def looks_secret(name: str) -> bool:
    """Say whether what has this name (a field, a header, a path) is likely to be a secret."""
    return _SIGN_PATTERN.search(name) is not None


class Redactor:
    """Knows the secrets of one walk; `learn` adds what answers brought."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._spellings: set[str] = set()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Mask these values from now on, however they are spelt."""
        for secret in secrets:
            if secret:
                self._spellings |= _spell(secret)

    def mask(self, text: str) -> str:
        """Return `text` without secrets."""
        for spelling in sorted(self._spellings, key=len, reverse=True):
            text = text.replace(spelling, MASK)
        text = mask_secrets(text)
        text = _JSON_VALUE.sub(rf'\1"{MASK}"', text)
        text = _TAG.sub(_mask_tag, text)
        text = _FORM_VALUE.sub(rf"\1{MASK}", text)
        return _SCHEME_VALUE.sub(rf"\1 {MASK}", _JWT.sub(MASK, text))

    def shorten(self, text: str, limit: int = SHOWN_CHARACTERS) -> str:
        """Return the first `limit` characters without secrets; masked before it is cut, so that no half remains."""
        longest = max(map(len, self._spellings), default=0)
        masked = self.mask(text[: _LOOKED_AT_CHARACTERS + longest])
        shown = "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in masked[:limit])
        return shown + ("…" if len(masked) > limit else "")

    def show_url(self, url: str) -> str:
        """Return `url` without user, fragment and the values of telling parameters."""
        try:
            parts = urlsplit(url)
            netloc = parts.netloc.rpartition("@")[2]
        except ValueError:
            return self.shorten(url, 200)
        query = "&".join(_mask_parameter(part) for part in parts.query.split("&")) if parts.query else ""
        return self.shorten(urlunsplit(parts._replace(netloc=netloc, query=query, fragment="")), 300)


def _spell(secret: str) -> set[str]:
    spellings = {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
        secret.replace("\n", "\r\n"),
    }
    if len(secret) >= 4:
        spellings.add(base64.b64encode(secret.encode()).decode().rstrip("="))
    return {each for each in spellings if each}


def _mask_tag(match: re.Match[str]) -> str:
    return _TAG_VALUE.sub(rf'\1"{MASK}"', match[0]) if looks_secret(match[0]) else match[0]


def _mask_parameter(part: str) -> str:
    name, equals, _ = part.partition("=")
    is_telling = name.lower() in _URL_SECRETS or looks_secret(name)
    return f"{name}={MASK}" if equals and is_telling else part
