"""The Observatory's ten tests, run over one site. Reads a Site, returns result codes. Pure."""

import re
from urllib.parse import urlsplit

from readiness.probes.http_client import Response
from readiness.probes.observatory.cookies import judge_cookies
from readiness.probes.observatory.csp import Policy, judge_csp, parse_policies
from readiness.probes.observatory.lists import is_preloaded
from readiness.probes.observatory.page import Page, judge_sri, read_page
from readiness.probes.observatory.site import Chain, Site, is_html, joined_header

SIX_MONTHS_SECONDS = 15_552_000
_PRIVATE_REFERRER = frozenset({"no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"})
_UNSAFE_REFERRER = frozenset({"origin", "origin-when-cross-origin", "unsafe-url", "no-referrer-when-downgrade"})
_LEADING_NUMBER = re.compile(r"\s*([+-]?\d+)")


def run_tests(site: Site) -> dict[str, str]:
    """Return {test name: result code} for a site of which at least one scheme answered."""
    chain = site.auto
    if chain is None:
        raise ValueError("a site that did not answer cannot be tested")
    answer = chain.final
    page = read_page(answer.body) if is_html(answer) else None
    policy = read_policy(answer, page)
    report_only = bool(joined_header(answer, "Content-Security-Policy-Report-Only"))
    csp = judge_csp(policy, has_report_only=report_only, is_https=site.is_https)
    hsts = judge_hsts(site)
    return {
        "content-security-policy": csp,
        "cookies": judge_cookies(
            chain.jar.cookies(), answer.header_values("Set-Cookie"), hsts_passes=hsts in HSTS_PASSES
        ),
        "cross-origin-resource-policy": judge_corp(answer),
        "cross-origin-resource-sharing": judge_cors(site.options),
        "redirection": judge_redirection(site.http),
        "referrer-policy": judge_referrer(answer, page),
        "strict-transport-security": hsts,
        "subresource-integrity": judge_sri(page, site.host, is_https=site.is_https)
        if page
        else "sri-not-implemented-response-not-html",
        "x-content-type-options": judge_xcto(answer),
        "x-frame-options": judge_xfo(answer, policy),
    }


HSTS_PASSES = frozenset({"hsts-preloaded", "hsts-implemented-max-age-at-least-six-months"})


def read_policy(answer: Response, page: Page | None) -> Policy:
    """Return the merged policy of an answer: its header, repeated ones joined, then the metas of its page."""
    header = joined_header(answer, "Content-Security-Policy")
    return parse_policies([] if header is None else [header], page.csp_metas if page else [])


def judge_hsts(site: Site) -> str:
    """Return the result code of the strict-transport-security test."""
    if site.https is None:
        return "hsts-not-implemented-no-https"
    if is_preloaded(site.host):
        return "hsts-preloaded"
    if not site.https.verified:
        return "hsts-invalid-cert"
    header = joined_header(site.https.final, "Strict-Transport-Security")
    return "hsts-not-implemented" if header is None else judge_hsts_value(header)


def judge_hsts_value(header: str) -> str:
    """Judge the value of the header; a max-age that is no number passes, as it does there."""
    ages = [part[len("max-age=") :] for part in _split_hsts(header) if part.startswith("max-age=")]
    if "," in header or not ages:
        return "hsts-header-invalid"
    match = _LEADING_NUMBER.match(ages[-1])
    if match is not None and int(match[1][:20]) < SIX_MONTHS_SECONDS:
        return "hsts-implemented-max-age-less-than-six-months"
    return "hsts-implemented-max-age-at-least-six-months"


def _split_hsts(header: str) -> list[str]:
    return [part.strip().lower() for part in header.split(";")]


def judge_redirection(chain: Chain | None) -> str:
    """Return the result code of the redirection test, which looks at the http chain only."""
    if chain is None:
        return "redirection-not-needed-no-http"
    if not chain.verified:
        return "redirection-invalid-cert"
    urls = [urlsplit(url) for url in chain.urls]
    if all(is_preloaded(url.hostname or "") for url in urls):
        return "redirection-all-redirects-preloaded"
    if len(urls) == 1:
        return "redirection-missing"
    if urls[-1].scheme == "http":
        return "redirection-not-to-https"
    if urls[1].scheme == "http":
        return "redirection-not-to-https-on-initial-redirection"
    if urls[1].hostname != urls[0].hostname:
        return "redirection-off-host-from-http"
    return "redirection-to-https"


def judge_cors(options: Response | None) -> str:
    """Return the code of the cross-origin-resource-sharing test; the live scanner never sees universal access."""
    value = joined_header(options, "Access-Control-Allow-Origin") if options else None
    if not value:
        return "cross-origin-resource-sharing-not-implemented"
    if value.strip() == "*":
        return "cross-origin-resource-sharing-implemented-with-public-access"
    return "cross-origin-resource-sharing-implemented-with-restricted-access"


def judge_corp(answer: Response) -> str:
    """Return the result code of the cross-origin-resource-policy test."""
    value = (joined_header(answer, "Cross-Origin-Resource-Policy") or "").strip().lower()
    if not value:
        return "corp-not-implemented"
    if value in ("same-origin", "same-site", "cross-origin"):
        return f"corp-implemented-with-{value}"
    return "corp-header-invalid"


def judge_referrer(answer: Response, page: Page | None) -> str:
    """Return the result code of the referrer-policy test: the last token that is known decides."""
    values = [joined_header(answer, "Referrer-Policy"), page.referrer_meta if page else None]
    given = [value for value in values if value is not None]
    if not given:
        return "referrer-policy-not-implemented"
    tokens = [token.strip().lower() for token in ",".join(given).split(",")]
    known = [token for token in tokens if token in _PRIVATE_REFERRER | _UNSAFE_REFERRER]
    if not known:
        return "referrer-policy-header-invalid"
    return "referrer-policy-private" if known[-1] in _PRIVATE_REFERRER else "referrer-policy-unsafe"


def judge_xcto(answer: Response) -> str:
    """Return the result code of the x-content-type-options test."""
    value = (joined_header(answer, "X-Content-Type-Options") or "").strip().lower()
    if not value:
        return "x-content-type-options-not-implemented"
    return "x-content-type-options-nosniff" if value == "nosniff" else "x-content-type-options-header-invalid"


def judge_xfo(answer: Response, policy: Policy) -> str:
    """Return the result code of the x-frame-options test; frame-ancestors of a policy in force replaces the header.

    A policy that parses is in force here, also one that the content-security-policy test calls invalid.
    """
    if "frame-ancestors" in policy.directives and policy.is_in_force:
        return "x-frame-options-implemented-via-csp"
    value = (joined_header(answer, "X-Frame-Options") or "").strip().lower()
    if not value:
        return "x-frame-options-not-implemented"
    if value in ("deny", "sameorigin"):
        return "x-frame-options-sameorigin-or-deny"
    return "x-frame-options-allow-from-origin" if value.startswith("allow-from") else "x-frame-options-header-invalid"
