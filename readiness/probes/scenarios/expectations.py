"""Reads what a step of a scenario expects and captures, from its TOML tables. Pure."""

from typing import Any

from readiness.probes.scenarios.fields import Fields
from readiness.probes.scenarios.json_path import split_path
from readiness.probes.scenarios.model import (
    Capture,
    CookieAssertion,
    Expectation,
    HeaderAssertion,
    JsonAssertion,
)
from readiness.probes.scenarios.patterns import compile_pattern
from readiness.probes.scenarios.redaction import looks_secret

_JSON_TESTS = ("equals", "not_equals", "contains", "matches", "exists", "count_at_least")
_HEADER_TESTS = ("equals", "contains", "matches", "exists")
_SOURCES = ("json", "header", "regex", "input", "meta", "cookie")
_SAME_SITE = frozenset({"lax", "strict", "none"})


def parse_expectation(fields: Fields) -> Expectation:
    """Return what an answer must be; without `status` any 2xx. Raises ScenarioError."""
    expect = Expectation(
        statuses=_read_statuses(fields),
        url_contains=fields.text("url_contains", ""),
        body_contains=fields.texts("body_contains"),
        body_lacks=fields.texts("body_lacks"),
        body_matches=_read_pattern(fields, "body_matches"),
        body_sha256=fields.text("body_sha256", ""),
        within_ms=fields.number("within_ms", None, least=1, most=600_000),
        headers=tuple(_read_header_assertion(each) for each in fields.tables("headers", "header")),
        json=tuple(_read_json_assertion(each) for each in fields.tables("json", "json")),
        cookies=tuple(_read_cookie_assertion(each) for each in fields.tables("cookies", "cookie")),
    )
    fields.finish()
    return expect


def _read_statuses(fields: Fields) -> tuple[tuple[int, int], ...]:
    value = fields.take("status", "2xx")
    ranges = [_read_status(each) for each in (value if isinstance(value, list) else [value])]
    found = tuple(each for each in ranges if each is not None)
    if len(found) != len(ranges) or not found:
        raise fields.refuse("status", 'a status such as 201, a class such as "2xx", or a list of them is expected')
    return found


def _read_status(value: Any) -> tuple[int, int] | None:
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return value, value
    if isinstance(value, str) and len(value) == 3 and value[0] in "12345" and value[1:].lower() == "xx":
        return int(value[0]) * 100, int(value[0]) * 100 + 99
    return None


def _read_pattern(fields: Fields, name: str) -> str:
    text = fields.text(name, "")
    try:
        compile_pattern(text)
    except ValueError as error:
        raise fields.refuse(name, str(error)) from None
    return text


def _read_test(fields: Fields, tests: tuple[str, ...]) -> tuple[str, Any]:
    given = [name for name in tests if fields.has(name)]
    if len(given) != 1:
        raise fields.refuse(tests[0], f"exactly one of {', '.join(tests)} is expected")
    (test,) = given
    if test == "matches":
        return test, _read_pattern(fields, test)
    if test == "exists":
        return test, fields.flag(test)
    if test == "count_at_least":
        return test, fields.whole_number(test, None, least=0, most=1_000_000)
    return test, fields.take(test)


def _read_json_assertion(fields: Fields) -> JsonAssertion:
    path = _read_path(fields, "path")
    test, value = _read_test(fields, _JSON_TESTS)
    fields.finish()
    return JsonAssertion(path, test, value)


def _read_path(fields: Fields, name: str) -> str:
    path = fields.text(name, limit=300)
    try:
        split_path(path)
    except ValueError as error:
        raise fields.refuse(name, str(error)) from None
    return path


def _read_header_assertion(fields: Fields) -> HeaderAssertion:
    name = fields.text("name", limit=200)
    test, value = _read_test(fields, _HEADER_TESTS)
    if test != "exists" and not isinstance(value, str):
        raise fields.refuse(test, "a text is expected")
    fields.finish()
    return HeaderAssertion(name, test, value)


def _read_cookie_assertion(fields: Fields) -> CookieAssertion:
    same_site = tuple(each.lower() for each in fields.texts("same_site"))
    if not _SAME_SITE.issuperset(same_site):
        raise fields.refuse("same_site", "Lax, Strict or None is expected")
    assertion = CookieAssertion(
        name=fields.text("name", limit=200),
        secure=fields.flag("secure", None),
        http_only=fields.flag("http_only", None),
        same_site=same_site,
        max_age_seconds=fields.whole_number("max_age_seconds", None, least=1, most=400 * 86_400),
    )
    fields.finish()
    return assertion


def parse_captures(fields: Fields) -> tuple[Capture, ...]:
    """Return the values that the step keeps from its answer. Raises ScenarioError."""
    return tuple(_read_capture(each) for each in fields.tables("capture", "capture"))


def _read_capture(fields: Fields) -> Capture:
    name = fields.text("name", limit=80)
    if not name.isidentifier() or not name.isascii() or name in ("user", "run"):
        raise fields.refuse("name", "letters, digits and underscores are expected, and neither user nor run")
    sources = [source for source in _SOURCES if fields.has(source)]
    if len(sources) != 1:
        raise fields.refuse("json", f"exactly one of {', '.join(_SOURCES)} is expected")
    (source,) = sources
    if source == "json":
        key = _read_path(fields, source)
    elif source == "regex":
        key = _read_pattern(fields, source)
    else:
        key = fields.text(source, limit=200)
    is_secret = source == "cookie" or looks_secret(f"{name} {key}")  # masked without being told to
    capture = Capture(name, source, key, bool(fields.flag("secret", is_secret)))
    fields.finish()
    return capture
