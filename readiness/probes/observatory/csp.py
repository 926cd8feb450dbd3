"""Parses Content-Security-Policy headers and metas as the Observatory does, and judges the outcome. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MIN_POLICY_LENGTH = 6
_REPEATABLE = frozenset({"report-uri", "report-to"})
_NOT_IN_META = frozenset({"frame-ancestors", "report-uri", "sandbox"})
_NONE = "'none'"
_ANYTHING = "*"
_UNSAFE_INLINE, _UNSAFE_EVAL, _STRICT_DYNAMIC = "'unsafe-inline'", "'unsafe-eval'", "'strict-dynamic'"
_BROAD = frozenset(
    {"ftp:", "http:", "https:", _ANYTHING, "http://*", "http://*.*", "https://*", "https://*.*"}  # any host at all
)
_NONCE_OR_HASH = ("'nonce-", "'sha256-", "'sha384-", "'sha512-")
_DROPPED_BY_STRICT_DYNAMIC = ("ftp:", "http:", "https:", _ANYTHING, "'self'", _UNSAFE_INLINE)
_INSECURE = ("http:", "ftp:")
_PASSIVE = ("img-src", "media-src")
_PASSING = frozenset(
    {
        "csp-implemented-with-no-unsafe-default-src-none",
        "csp-implemented-with-no-unsafe",
        "csp-implemented-with-unsafe-inline-in-style-src-only",
        "csp-implemented-with-insecure-scheme-in-passive-content-only",
    }
)

Directives = dict[str, list[str]]


class PolicyError(ValueError):
    """A policy is not valid: too short, or a directive is repeated."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The merged policy of a page; metas count in full, even with directives that browsers ignore there.

    `is_in_force`: at least one directive is left when those are taken out of the metas.
    """

    directives: Mapping[str, list[str]] = field(default_factory=dict)
    is_in_force: bool = False
    repeats_reporting: bool = False
    invalid: bool = False


def parse_policies(headers: Iterable[str], metas: Iterable[str]) -> Policy:
    """Merge all header values, then all metas: every policy after the first can only take sources away."""
    try:
        parsed_headers = [_parse_policy(text) for text in headers]
        parsed_metas = [_parse_policy(text) for text in metas]
    except PolicyError:
        return Policy(invalid=True)
    parsed = parsed_headers + parsed_metas
    in_force = any(directives for directives, _ in parsed_headers) or any(
        _without(directives, _NOT_IN_META) for directives, _ in parsed_metas
    )
    return Policy(
        directives=_intersect([directives for directives, _ in parsed if directives]),
        is_in_force=in_force,
        repeats_reporting=any(repeated for _, repeated in parsed),
    )


def _without(directives: Directives, names: frozenset[str]) -> Directives:
    return {name: sources for name, sources in directives.items() if name not in names}


def _parse_policy(text: str) -> tuple[Directives, bool]:
    """Return the directives of one policy, and whether a reporting directive is repeated. Raises PolicyError."""
    text = text.replace("\r", "").replace("\n", "").strip()
    if len(text) < MIN_POLICY_LENGTH:
        raise PolicyError("too short")
    directives: Directives = {}
    repeated = False
    for part in text.split(";"):
        name, *sources = part.lower().split() or [""]
        if not name:
            continue
        if name in directives:
            if name not in _REPEATABLE:
                raise PolicyError(f"{name} is repeated")
            repeated = True  # the last one stands
        directives[name] = _drop_covered(sources) if sources or not name.endswith("-src") else [_NONE]
    return directives, repeated


def _drop_covered(sources: list[str]) -> list[str]:
    """Sort `sources` and drop each that starts with its predecessor: https: covers https://x."""
    kept: list[str] = []
    for source in sorted(sources):
        if not kept or not source.startswith(kept[-1]):
            kept.append(source)
    return kept


def _intersect(policies: list[Directives]) -> Directives:
    if not policies:
        return {}
    merged = {name: list(sources) for name, sources in policies[0].items()}
    for later in policies[1:]:
        for name, sources in later.items():
            if name not in merged:
                merged[name] = [_NONE]
                continue
            merged[name] = [source for source in merged[name] if _is_matched(source, sources)] or [_NONE]
    return merged


def _is_matched(source: str, later: list[str]) -> bool:
    return any(
        source == other
        or (other.endswith("/") and source.startswith(other))
        or (source.endswith("/") and other.startswith(source))
        for other in later
    )


def judge_csp(policy: Policy, *, has_report_only: bool, is_https: bool) -> str:
    """Return the result code of the content-security-policy test; the first rule that applies wins."""
    if policy.invalid:
        return "csp-header-invalid"
    if not policy.is_in_force:
        return "csp-not-implemented-but-reporting-enabled" if has_report_only else "csp-not-implemented"
    code = _judge_directives({name: list(sources) for name, sources in policy.directives.items()}, is_https=is_https)
    if policy.repeats_reporting and code in _PASSING:
        return "csp-implemented-but-duplicate-directives"
    return code


def _judge_directives(directives: Directives, *, is_https: bool) -> str:
    # The three share default-src's very list where they fall back on it, so what is dropped from one is dropped there.
    fallback = directives.get("default-src", [_ANYTHING])
    script = directives.get("script-src", fallback)
    objects = directives.get("object-src", fallback)
    style = directives.get("style-src", fallback)
    for sources in (script, style):
        if _has_nonce_or_hash(sources):
            sources[:] = [source for source in sources if source != _UNSAFE_INLINE]
    if _STRICT_DYNAMIC in script:
        if not _has_nonce_or_hash(script):
            return "csp-header-invalid"
        script[:] = [source for source in script if not source.startswith(_DROPPED_BY_STRICT_DYNAMIC)]
    if _is_unsafe_inline(script) or _BROAD.intersection(objects):
        return "csp-implemented-with-unsafe-inline"
    if is_https and _has_insecure_active_source(directives, script):
        return "csp-implemented-with-insecure-scheme"
    if _UNSAFE_EVAL in script or _UNSAFE_EVAL in style:
        return "csp-implemented-with-unsafe-eval"
    passive = [source for name in _PASSIVE for source in directives.get(name, fallback)]
    if is_https and _is_any_insecure(passive):
        return "csp-implemented-with-insecure-scheme-in-passive-content-only"
    if _is_unsafe_inline(style):
        return "csp-implemented-with-unsafe-inline-in-style-src-only"
    if directives.get("default-src") == [_NONE]:
        return "csp-implemented-with-no-unsafe-default-src-none"
    return "csp-implemented-with-no-unsafe"


def _has_nonce_or_hash(sources: list[str]) -> bool:
    return any(source.startswith(_NONCE_OR_HASH) for source in sources)


def _is_unsafe_inline(sources: list[str]) -> bool:
    return _UNSAFE_INLINE in sources or "data:" in sources or bool(_BROAD.intersection(sources))


def _is_any_insecure(sources: Iterable[str]) -> bool:
    return any(source.startswith(_INSECURE) for source in sources)


def _has_insecure_active_source(directives: Directives, script: list[str]) -> bool:
    apart = (*_PASSIVE, "script-src")
    return _is_any_insecure(script) or any(
        _is_any_insecure(sources) for name, sources in directives.items() if name not in apart
    )
