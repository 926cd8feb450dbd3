"""Reads typed hosts, host:port pairs and URLs; gives the endpoints that the http, tls and headers probes share."""

from collections.abc import Iterable

from readiness.probes.base import (
    ErrorReason,
    Target,
    TargetEndpoint,
    TargetError,
    TargetOptions,
    mask_secrets,
)
from readiness.probes.http_client import ascii_host, split_http_url

_MAX_NAME, _MAX_LABEL = 253, 63  # characters, as DNS carries them


def parse_web_target(text: str, options: TargetOptions) -> Target:
    """Make a target with one frontend endpoint of `text`: host, host:port or http(s) URL; https where none is said.

    Raises TargetError (bad_target, credentials_in_url).
    """
    label = mask_secrets(text)
    url = text.strip()
    if "://" not in url:
        url = f"https://{_bracket_ipv6(url)}"
    check_web_url(url, label)
    return Target(
        label=label,
        endpoints=(TargetEndpoint(role="frontend", url=url),),
        ca_pem=options.ca_pem,
        timeout_seconds=options.timeout_seconds,
        connect_to=options.connect_to,
        address_policy=options.address_policy,
    )


def check_web_url(url: str, label: str) -> None:
    """Raise TargetError when `url` cannot be requested; the text shows `label`, never the URL's credentials."""
    try:
        if any(character.isspace() or not character.isprintable() for character in url):
            raise ValueError("There is a blank or a control character in it.")
        parts = split_http_url(url)
        host = ascii_host(parts.hostname or "").removesuffix(".")
        if ":" not in host and not (
            len(host) <= _MAX_NAME and all(0 < len(label) <= _MAX_LABEL for label in host.split("."))
        ):
            raise ValueError("The host name is not valid.")
    except ValueError as error:
        # urllib's own texts quote the port, which may be part of a mistyped password.
        text = str(error) if str(error).endswith(".") else "It is not a valid URL."
        raise TargetError(f"{label or 'An empty text'} is not a target: {mask_secrets(text)}") from None
    if parts.username is not None or parts.password is not None:
        raise TargetError(
            f"{label} carries credentials; give the address without them.", ErrorReason.CREDENTIALS_IN_URL
        )


def _bracket_ipv6(text: str) -> str:
    """Put brackets around a bare IPv6 address, which a URL needs."""
    return f"[{text}]" if text.count(":") > 1 and not text.startswith("[") and "/" not in text else text


def select_roles(endpoints: Iterable[TargetEndpoint], roles: tuple[str, ...]) -> list[TargetEndpoint]:
    """Return the endpoints that have one of `roles`, in order."""
    return [endpoint for endpoint in endpoints if endpoint.role in roles]
