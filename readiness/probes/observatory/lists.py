"""Looks hosts up in the two public lists that the rules need: HSTS preload and public suffixes. Reads package data."""

import hstspreload  # type: ignore[import-untyped]
from publicsuffixlist import PublicSuffixList

from readiness.probes.build_once import build_once


def is_preloaded(host: str) -> bool:
    """Say whether browsers know `host`, or a parent that includes its subdomains, as HTTPS only."""
    try:
        return bool(hstspreload.in_hsts_preload(host.rstrip(".")))
    except (UnicodeError, ValueError):
        return False


def registrable_domain(host: str) -> str | None:
    """Return the domain that was bought for `host`, by the ICANN part of the list; None for a bare suffix."""
    domain: str | None = _icann_suffixes().privatesuffix(host.lower().rstrip("."))
    return domain


def is_public_suffix(domain: str) -> bool:
    """Say whether nobody may set cookies for `domain`: a suffix of the whole list, private part included."""
    return bool(_all_suffixes().is_public(domain.lower()))


def is_own_domain(host: str) -> bool:
    """Say whether `host` is under a domain that was bought, not under one that a company lends its customers."""
    if ":" in host or host.rpartition(".")[2].isdigit():
        return False
    bought = registrable_domain(host)
    return bought is not None and bool(_all_suffixes().privatesuffix(host.lower().rstrip(".")) == bought)


@build_once(keep=1)
def _icann_suffixes() -> PublicSuffixList:
    return PublicSuffixList(only_icann=True)


@build_once(keep=1)
def _all_suffixes() -> PublicSuffixList:
    return PublicSuffixList()
