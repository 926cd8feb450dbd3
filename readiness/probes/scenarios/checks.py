"""Compares an answer with what its step expects, and captures values from it. Pure."""

import hashlib
from typing import Any

from readiness.probes.scenarios.answers import Answered, UnreadableError
from readiness.probes.scenarios.cookies import Cookie, CookieJar
from readiness.probes.scenarios.json_path import MissingError, find_value
from readiness.probes.scenarios.model import (
    PLACEHOLDER,
    Capture,
    CookieAssertion,
    Expectation,
    HeaderAssertion,
    JsonAssertion,
)
from readiness.probes.scenarios.patterns import SearchTimeoutError, compile_pattern, search
from readiness.probes.scenarios.redaction import MASK, looks_secret
from readiness.probes.scenarios.values import Values, show_value


def check_answer(expect: Expectation, answered: Answered, values: Values) -> list[str]:
    """Return what is wrong with an answer, each in a few words; [] when all is as expected.

    The words may hold secrets: mask them before they are shown. Raises MissingValueError.
    """
    try:
        return _find_complaints(expect, answered, values)
    except SearchTimeoutError:
        return ["a regular expression takes too long on this answer"]


def _find_complaints(expect: Expectation, answered: Answered, values: Values) -> list[str]:
    response = answered.response
    complaints: list[str] = []
    if not any(low <= response.status <= high for low, high in expect.statuses):
        complaints.append(f"the status is {response.status} where {_show_statuses(expect)} is expected")
    url_part = values.fill(expect.url_contains)
    if url_part and url_part not in response.url:
        complaints.append(f"the address reached is {response.url.partition('?')[0]}, without {_show(url_part)}")
    complaints += _check_body(expect, answered, values)
    for header in expect.headers:
        complaints += _check_header(header, answered, values)
    for each in expect.json:
        complaints += _check_json(each, answered, values)
    for cookie in expect.cookies:
        complaints += _check_cookies(cookie, answered.cookies)
    if expect.within_ms is not None and answered.elapsed_ms > expect.within_ms:
        complaints.append(f"it took {answered.elapsed_ms:.0f} ms where {expect.within_ms:.0f} are allowed")
    return complaints


def _check_body(expect: Expectation, answered: Answered, values: Values) -> list[str]:
    wanted, unwanted = map(values.fill, expect.body_contains), map(values.fill, expect.body_lacks)
    complaints = [f"the body does not contain {_show(text)}" for text in wanted if text not in answered.text]
    complaints += [f"the body contains {_show(text)}" for text in unwanted if text in answered.text]
    if expect.body_matches and search(compile_pattern(expect.body_matches), answered.text) is None:
        complaints.append(f"the body does not match {_show(expect.body_matches)}")
    if expect.body_sha256:
        if answered.response.body_truncated:
            complaints.append("the body is too large to be compared")
        elif hashlib.sha256(answered.response.body).hexdigest() != values.fill(expect.body_sha256).lower():
            complaints.append("the body is not the expected content")
    return complaints


def _check_header(assertion: HeaderAssertion, answered: Answered, values: Values) -> list[str]:
    found = answered.response.header_values(assertion.name)
    name = f"the header {assertion.name}"
    if assertion.test == "exists":
        if bool(found) is bool(assertion.value):
            return []
        return [f"{name} is missing" if assertion.value else f"{name} is there"]
    if not found:
        return [f"{name} is missing"]
    if any(_passes(assertion.test, each, assertion.value, values) for each in found):
        return []
    return [f"{name} is {_show(found[0], assertion.name)} and does not pass {assertion.test} {_show(assertion.value)}"]


def _check_json(assertion: JsonAssertion, answered: Answered, values: Values) -> list[str]:
    try:
        found = find_value(answered.read_json(), assertion.path)
    except UnreadableError as error:
        return [str(error)]
    except MissingError as error:
        return [] if assertion.test == "exists" and not assertion.value else [f"in the JSON, {error}"]
    if assertion.test == "exists":
        return [] if assertion.value else [f"in the JSON, {assertion.path} is there"]
    if assertion.test == "count_at_least":
        count = len(found) if isinstance(found, list | dict) else 1
        return [] if count >= assertion.value else [f"in the JSON, {assertion.path} has {count} items"]
    if _passes(assertion.test, found, assertion.value, values):
        return []
    shown = _show(found, assertion.path)
    return [f"in the JSON, {assertion.path} is {shown} and does not pass {assertion.test} {_show(assertion.value)}"]


def _passes(test: str, found: Any, value: Any, values: Values) -> bool:
    if test == "matches":
        return search(compile_pattern(value), show_value(found)) is not None
    wanted = values.fill_json(value)
    if test == "contains":
        return _contains(found, wanted)
    is_filled_in = isinstance(value, str) and PLACEHOLDER.search(value) is not None
    is_equal = _equals(found, wanted) or (is_filled_in and show_value(found) == show_value(wanted))
    return is_equal if test == "equals" else not is_equal


def _equals(found: Any, wanted: Any) -> bool:
    return bool(found == wanted) and isinstance(found, bool) == isinstance(wanted, bool)


def _contains(found: Any, wanted: Any) -> bool:
    """A text contains a part of it; a list an item, or a text item with this part; a table a key."""
    if isinstance(found, str):
        return show_value(wanted) in found
    if isinstance(found, list):
        text = show_value(wanted)
        return any(_equals(item, wanted) or (isinstance(item, str) and text in item) for item in found)
    return isinstance(found, dict) and show_value(wanted) in found


def _check_cookies(assertion: CookieAssertion, cookies: tuple[Cookie, ...]) -> list[str]:
    alive = {cookie.name: cookie for cookie in cookies if not cookie.is_removal}
    chosen = (
        list(alive.values()) if assertion.name == "*" else [alive[assertion.name]] if assertion.name in alive else []
    )
    if not chosen:
        return ["no cookie was set" if assertion.name == "*" else f"the cookie {assertion.name} was not set"]
    return [f"the cookie {cookie.name} {fault}" for cookie in chosen for fault in find_cookie_faults(assertion, cookie)]


def find_cookie_faults(assertion: CookieAssertion, cookie: Cookie) -> list[str]:
    """Return in what the cookie differs from the assertion, each in a few words."""
    faults = []
    if assertion.secure is not None and cookie.secure is not assertion.secure:
        faults.append("is not Secure" if assertion.secure else "is Secure")
    if assertion.http_only is not None and cookie.http_only is not assertion.http_only:
        faults.append("is not HttpOnly" if assertion.http_only else "is HttpOnly")
    if assertion.same_site and cookie.same_site not in assertion.same_site:
        faults.append(f"has SameSite {cookie.same_site or 'unset'}")
    limit, lifetime = assertion.max_age_seconds, cookie.max_age_seconds
    if limit is not None and lifetime is not None and lifetime > limit:
        faults.append(f"lives for {lifetime} s where {limit} s are allowed")
    return faults


def capture_value(capture: Capture, answered: Answered, jar: CookieJar, now: float) -> Any:
    """Return the value that the capture asks for. Raises UnreadableError in a few words."""
    if capture.source == "json":
        try:
            return find_value(answered.read_json(), capture.key)
        except MissingError as error:
            raise UnreadableError(f"in the JSON, {error}") from None
    if capture.source == "header":
        value = answered.response.header(capture.key)
        if value is None:
            raise UnreadableError(f"the header {capture.key} is missing")
        return value
    if capture.source == "regex":
        try:
            match = search(compile_pattern(capture.key), answered.text)
        except SearchTimeoutError:
            raise UnreadableError("the regular expression takes too long on this answer") from None
        if match is None:
            raise UnreadableError(f"the body does not match {_show(capture.key)}")
        return (match[1] if match.re.groups else match[0]) or ""
    if capture.source == "cookie":
        cookie = jar.find(capture.key, now)
        if cookie is None:
            raise UnreadableError(f"there is no cookie {capture.key}")
        return cookie.value
    return answered.find_input(capture.key) if capture.source == "input" else answered.find_meta(capture.key)


def _show(value: Any, about: str = "") -> str:
    """Show a value whole: it is masked before it is cut, so that no half of a secret remains."""
    return MASK if about and looks_secret(about) else show_value(value)


def _show_statuses(expect: Expectation) -> str:
    return " or ".join(str(low) if low == high else f"{low // 100}xx" for low, high in expect.statuses)
