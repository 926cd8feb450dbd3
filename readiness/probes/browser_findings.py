"""Judges what a browser saw of a page; pure: reads a report, returns findings."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Any

from readiness.probes.base import ErrorReason, FailReason, Finding, Status, mask_secrets, status_of_reason
from readiness.probes.browser_plan import BrowserReport, PageView, Refusal


class BrowserFailure(StrEnum):
    """Why a page that opened is wrong, or why none was opened."""

    BROWSER_MISSING = "browser_missing"
    HORIZONTAL_SCROLL = "horizontal_scroll"
    CONSOLE_ERROR = "console_error"
    MIXED_CONTENT = "mixed_content"
    PLAIN_REQUEST = "plain_request"
    LOCAL_REQUEST = "local_request"
    NO_VIEWPORT_META = "no_viewport_meta"


_SHOWN = 10
_PROXY_ERRORS = ("net::ERR_TUNNEL_CONNECTION_FAILED", "net::ERR_EMPTY_RESPONSE", "net::ERR_HTTP_RESPONSE_CODE_FAILURE")


def judge_report(url: str, report: BrowserReport) -> tuple[Finding, ...]:
    """Return the findings of a report that has views."""
    loaded = [view for view in report.views if not view.error]
    findings = [_judge_page(url, view, report.refusals) for view in report.views]
    if not loaded:
        return tuple(findings)
    findings += [_judge_width(view) for view in loaded]
    findings += [
        _judge_list(
            "console",
            _join(view.console_errors for view in loaded),
            "The browser's console shows no error.",
            "The browser's console shows errors",
            BrowserFailure.CONSOLE_ERROR,
            "Open the page with the developer tools and repair what the console names.",
        ),
        _judge_list(
            "mixed_content",
            _join(view.mixed_content for view in loaded),
            "Nothing on the page is asked for over plain HTTP from a page over HTTPS.",
            "The page asks for content over plain HTTP",
            BrowserFailure.MIXED_CONTENT,
            "Name these addresses with https://, or send upgrade-insecure-requests in the Content-Security-Policy.",
        ),
        _judge_list(
            "https_requests",
            _join(view.plain_requests for view in loaded),
            f"All {max(view.request_count for view in loaded)} requests go over HTTPS.",
            "Requests go over plain HTTP",
            BrowserFailure.PLAIN_REQUEST,
            "Set the address of the API and of all content to https:// where the page is built (API_URL).",
        ),
        _judge_list(
            "local_requests",
            _join(view.local_requests for view in loaded),
            "No request goes to the visitor's own machine.",
            "Requests go to the visitor's own machine",
            BrowserFailure.LOCAL_REQUEST,
            "The page was built with a development address: set API_URL for this environment and build it again.",
        ),
        _judge_viewport_meta(loaded),
        _note("manifest", _first(view.manifest_url for view in loaded), "a web app manifest"),
        _note(
            "service_worker",
            "registered" if any(view.has_service_worker for view in loaded) else "",
            "a service worker",
        ),
    ]
    refused = [each for each in report.refusals if each.reason == ErrorReason.ADDRESS_NOT_ALLOWED]
    if refused:
        findings.append(_judge_refusals(refused))
    return tuple(findings)


def _judge_page(url: str, view: PageView, refusals: Sequence[Refusal]) -> Finding:
    if view.error:
        reason, text = explain_load_error(view.error, url, refusals)
        return Finding(
            "page", status_of_reason(reason), text, f"{view.view}: {view.error}", "Look at it with a browser."
        )
    summary = f"{view.final_url} answers {view.status_code} at {view.view} after {view.load_ms} ms."
    if view.status_code is not None and view.status_code >= 400:
        return Finding("page", Status.FAIL, summary, FailReason.BAD_STATUS, "Look into the application's log.")
    return Finding("page", Status.PASS, summary)


def explain_load_error(error: str, url: str, refusals: Sequence[Refusal]) -> tuple[str, str]:
    """Return the code and the sentence for a page that did not open; what `net` said counts more than Chromium."""
    for refusal in refusals:
        if error in _PROXY_ERRORS and refusal.host and f"//{refusal.host}" in url.replace("[", "").lower():
            return _as_reason(refusal.reason), refusal.text
    if "CERT" in error or "SSL" in error:
        return FailReason.CERTIFICATE, f"The browser does not trust the connection to {url}."
    if "TIMED_OUT" in error:
        return ErrorReason.TIMEOUT, f"{url} was not there in time."
    if "TOO_MANY_REDIRECTS" in error:
        return FailReason.TOO_MANY_REDIRECTS, f"{url} redirects for ever."
    if error in _PROXY_ERRORS and refusals:
        return _as_reason(refusals[0].reason), refusals[0].text
    return FailReason.CLOSED, f"The browser could not open {url}."


def _as_reason(code: str) -> str:
    """Return the code as the member of the closed set it belongs to."""
    for reasons in (ErrorReason, FailReason):
        if code in {each.value for each in reasons}:
            return reasons(code)
    return ErrorReason.UNREACHABLE


def _judge_width(view: PageView) -> Finding:
    if view.scroll_width <= view.client_width + 1:
        return Finding("horizontal_scroll", Status.PASS, f"At {view.view} the page fits its window.")
    summary = f"At {view.view} the page is {view.scroll_width} px wide and scrolls sideways."
    fix = "Let what sticks out wrap, shrink (max-width: 100%) or scroll by itself (overflow-x: auto)."
    return Finding("horizontal_scroll", Status.FAIL, summary, _list(view.wide_elements), fix)


def _judge_list(name: str, found: Sequence[str], good: str, bad: str, reason: BrowserFailure, fix: str) -> Finding:
    if not found:
        return Finding(name, Status.PASS, good)
    more = f" ({len(found)})" if len(found) > 1 else ""
    return Finding(name, Status.FAIL, f"{bad}{more}: {mask_secrets(found[0])[:200]}", _list(found) or reason, fix)


def _judge_viewport_meta(loaded: Sequence[PageView]) -> Finding:
    meta = _first(view.viewport_meta for view in loaded)
    if "width" in meta:
        return Finding("viewport_meta", Status.PASS, "The page tells phones its width.", meta)
    fix = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return Finding(
        "viewport_meta", Status.FAIL, "The page does not tell phones its width, so they shrink it.", meta, fix
    )


def _note(name: str, found: str, noun: str) -> Finding:
    return Finding(name, Status.PASS, f"The page has {noun}." if found else f"The page has not got {noun}.", found)


def _judge_refusals(refused: Sequence[Refusal]) -> Finding:
    hosts = ", ".join(dict.fromkeys(each.host for each in refused))
    summary = f"The portal did not let the page connect to {hosts[:200]}."
    detail = "\n".join(each.text for each in refused[:_SHOWN])
    return Finding(
        "address_policy", Status.WARN, summary, detail, "Allow this range in the address policy to see more."
    )


_REASONS = {
    "horizontal_scroll": BrowserFailure.HORIZONTAL_SCROLL,
    "console": BrowserFailure.CONSOLE_ERROR,
    "mixed_content": BrowserFailure.MIXED_CONTENT,
    "https_requests": BrowserFailure.PLAIN_REQUEST,
    "local_requests": BrowserFailure.LOCAL_REQUEST,
    "viewport_meta": BrowserFailure.NO_VIEWPORT_META,
    "page": FailReason.BAD_STATUS,
}


def find_reason(status: Status, findings: Sequence[Finding], url: str, report: BrowserReport) -> str | None:
    """Name the first thing that made the status what it is."""
    if status not in (Status.FAIL, Status.ERROR):
        return None
    first = next(finding for finding in findings if finding.status is status)
    if first.id == "page":
        for view, finding in zip(report.views, findings, strict=False):
            if finding is first and view.error:
                return explain_load_error(view.error, url, report.refusals)[0]
    return _REASONS[first.id]


def describe_report(url: str, report: BrowserReport) -> dict[str, Any]:
    """Return what is kept of a report, JSON-ready; of screenshots their sizes and hashes."""
    loaded = [view for view in report.views if not view.error]
    plain, local = _join(view.plain_requests for view in loaded), _join(view.local_requests for view in loaded)
    return {
        "url": url,
        "views": [_describe_view(view) for view in report.views],
        "all_https": not plain and not local if loaded else None,
        "plain_requests": plain[:_SHOWN],
        "local_requests": local[:_SHOWN],
        "console_errors": _join(view.console_errors for view in loaded)[:_SHOWN],
        "mixed_content": _join(view.mixed_content for view in loaded)[:_SHOWN],
        "viewport_meta": _first(view.viewport_meta for view in loaded) or None,
        "manifest_url": _first(view.manifest_url for view in loaded) or None,
        "service_worker": any(view.has_service_worker for view in loaded),
        "refused": [{"host": each.host, "port": each.port, "reason": each.reason} for each in report.refusals[:_SHOWN]],
        "browser_version": report.browser_version,
    }


def _describe_view(view: PageView) -> dict[str, Any]:
    return {
        "view": view.view,
        "width": view.width,
        "status_code": view.status_code,
        "final_url": mask_secrets(view.final_url),
        "error": view.error or None,
        "load_ms": view.load_ms,
        "scroll_width": view.scroll_width,
        "client_width": view.client_width,
        "horizontal_scroll": view.scroll_width > view.client_width + 1,
        "requests": view.request_count,
        "screenshot": {"bytes": len(view.screenshot), "sha256": sha256(view.screenshot).hexdigest()}
        if view.screenshot
        else None,
    }


def _join(lists: Iterable[Sequence[str]]) -> list[str]:
    return [mask_secrets(text) for text in dict.fromkeys(text for each in lists for text in each)]


def _list(texts: Sequence[str]) -> str:
    more = f"\nand {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "\n".join(mask_secrets(text) for text in texts[:_SHOWN]) + more


def _first(values: Iterable[str | None]) -> str:
    return next((value for value in values if value), "")
