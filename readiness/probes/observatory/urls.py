"""Resolves URLs as browsers do where urllib does otherwise: missing or spare slashes, backslashes, blanks. Pure."""

import re
from urllib.parse import unquote, urljoin, urlsplit

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.\-]*):")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f#%/<>?@\\^|]")
_EDGE_BLANKS = "".join(map(chr, range(0x21)))
_INNER_BLANKS = str.maketrans("", "", "\t\r\n")


def clean_url(text: str) -> str:
    """Return `text` without the blanks that browsers drop: all at its ends, tabs and line ends anywhere."""
    return text.strip(_EDGE_BLANKS).translate(_INNER_BLANKS)


def resolve_url(base: str, reference: str) -> str:
    """Return `reference`, seen from the http(s) URL `base`, without its fragment.

    Raises ValueError for an http(s) URL without a host. Source: the WHATWG URL standard.
    """
    reference = clean_url(reference).partition("#")[0]
    head, mark, query = reference.partition("?")
    match = _SCHEME.match(head)
    scheme = match[1].lower() if match else ""
    if scheme not in ("http", "https", ""):
        return reference
    rest = (head[match.end() :] if match else head).replace("\\", "/")
    if scheme and (scheme != urlsplit(base).scheme or rest.startswith("//")):
        rest = f"//{rest.lstrip('/')}"  # any number of slashes, none included, begins a host here
    if rest.startswith("//"):
        rest = f"//{rest.lstrip('/')}"
        if rest.strip("/") == "":
            raise ValueError("a URL without a host")
        authority, slash, path = rest[2:].partition("/")
        rest = f"//{_check_authority(authority)}{slash}{path}"
    prefix = f"{scheme}:" if scheme and rest.startswith("//") else ""
    return urljoin(base, f"{prefix}{rest}{mark}{query}")


def _check_authority(authority: str) -> str:
    """Return `authority` with its host unescaped. Raises ValueError for a character that no host may have."""
    userinfo, at, host = authority.rpartition("@")
    host = unquote(host)
    if _FORBIDDEN.search(host):
        raise ValueError("a character that no host may have")
    return f"{userinfo}{at}{host}"
