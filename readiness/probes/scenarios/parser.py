"""Reads the TOML of a scenario; gives a frozen Scenario or one clear sentence about what is wrong. Pure."""

import base64
import binascii
import re
import tomllib
from typing import Any
from urllib.parse import urlsplit

from readiness.probes.scenarios.expectations import parse_captures, parse_expectation
from readiness.probes.scenarios.fields import Fields
from readiness.probes.scenarios.model import PLACEHOLDER, Poll, Scenario, ScenarioError, Step, Upload, list_texts

MAX_TEXT_CHARACTERS = 200_000
MAX_STEPS, MAX_USERS = 50, 50
MAX_DEADLINE_SECONDS = 600.0
MAX_UPLOAD_BYTES = 10 * 1024 * 1024
BUILT_IN_NAMES = frozenset({"user", "run"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_OWN_HEADERS = frozenset({"host", "content-length", "connection", "transfer-encoding", "cookie"})
_REFERENCE = re.compile(r"(?:env:[A-Za-z_][A-Za-z0-9_]*|file:/\S.*)")


def parse_scenario(text: str) -> Scenario:
    """Parse the TOML of one scenario. Raises ScenarioError with one sentence naming the step and the field."""
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ScenarioError(f"The scenario is longer than {MAX_TEXT_CHARACTERS} characters.")
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        where = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "it is nested too deeply"
        raise ScenarioError(f"The scenario is not TOML: {where.rstrip('.')}.") from None
    fields = Fields(table, "scenario")
    scenario = Scenario(
        name=fields.text("name", limit=100),
        base_url=_read_base_url(fields),
        steps=_read_steps(fields, "steps", "step"),
        cleanup=_read_steps(fields, "cleanup", "cleanup step"),
        variables=fields.pairs("variables"),
        secrets=dict(_read_secrets(fields)),
        users=fields.whole_number("users", 1, least=1, most=MAX_USERS) or 1,
        deadline_seconds=fields.number("deadline_seconds", 60.0, least=1, most=MAX_DEADLINE_SECONDS) or 60.0,
        is_http_allowed=bool(fields.flag("allow_http")),
    )
    fields.finish()
    _check_scenario(scenario)
    return scenario


def _read_base_url(fields: Fields) -> str:
    text = fields.text("base_url")
    if text.startswith("env:"):
        if not _NAME.fullmatch(text.removeprefix("env:")):
            raise fields.refuse("base_url", "env: is followed by the name of a variable")
        return text
    return check_base_url(text, fields)


def check_base_url(text: str, fields: Fields | None = None) -> str:
    """Return `text` when it is an http(s) URL without credentials and query. Raises ScenarioError."""
    fields = fields or Fields({}, "scenario")
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or any(character.isspace() for character in text):
        raise fields.refuse("base_url", "an address such as https://shop.example.org is expected")
    if parts.username is not None or parts.password is not None:
        raise fields.refuse("base_url", "it carries credentials; send them in a header, from a secret")
    if parts.query or parts.fragment:
        raise fields.refuse("base_url", "it ends before ? and #")
    return text


def _read_secrets(fields: Fields) -> tuple[tuple[str, str], ...]:
    pairs = fields.pairs("secrets")
    for name, reference in pairs:
        if not _NAME.fullmatch(name):
            raise fields.refuse("secrets", "a name has letters, digits and underscores")
        if not _REFERENCE.fullmatch(reference):
            # Never repeat what stands there: it may be the secret itself.
            raise fields.refuse(f"secrets.{name}", "a reference is expected, env:NAME or file:/path, never the secret")
    return pairs


def _read_steps(fields: Fields, name: str, noun: str) -> tuple[Step, ...]:
    tables = fields.take(name, [])
    if not isinstance(tables, list) or (name == "steps" and not tables):
        raise fields.refuse(name, f"at least one [[{name}]] is expected" if name == "steps" else "tables are expected")
    if len(tables) > MAX_STEPS:
        raise fields.refuse(name, f"at most {MAX_STEPS} are allowed")
    return tuple(_read_step(table, f"{noun} {number}") for number, table in enumerate(tables, 1))


def _read_step(table: Any, place: str) -> Step:
    step_name = table.get("name") if isinstance(table, dict) else None
    fields = Fields(table, f"{place} ({step_name})" if isinstance(step_name, str) and step_name else place)
    method = fields.text("method", "GET").upper()
    if method not in _METHODS:
        raise fields.refuse("method", f"one of {', '.join(sorted(_METHODS))} is expected")
    step = Step(
        name=fields.text("name", limit=80),
        method=method,
        url=fields.text("url"),
        headers=_read_headers(fields),
        json=fields.take("json"),
        has_json=fields.has("json"),
        form=fields.pairs("form") if fields.has("form") else None,
        body=fields.text("body", "", limit=MAX_TEXT_CHARACTERS) if fields.has("body") else None,
        files=tuple(_read_upload(each) for each in fields.tables("files", "file")),
        follow_redirects=bool(fields.flag("follow_redirects", True)),
        is_sign_in=bool(fields.flag("sign_in")),
        poll=_read_poll(fields),
        expect=parse_expectation(Fields(fields.take("expect", {}), f"{fields.place}, expect")),
        captures=parse_captures(fields),
    )
    fields.finish()
    _check_bodies(step, fields)
    return step


def _read_headers(fields: Fields) -> tuple[tuple[str, str], ...]:
    pairs = fields.pairs("headers")
    for name, value in pairs:
        if not _HEADER_NAME.fullmatch(name) or not value.isprintable():
            raise fields.refuse(f"headers.{name}", "this is no header")
        if name.lower() in _OWN_HEADERS:
            raise fields.refuse(f"headers.{name}", "this header is written by the probe")
    return pairs


def _read_poll(fields: Fields) -> Poll | None:
    if not fields.has("poll"):
        return None
    poll = Fields(fields.take("poll"), f"{fields.place}, poll")
    interval = poll.number("interval_seconds", 1.0, least=0.05, most=60)
    limit = poll.number("limit_seconds", 30.0, least=0.1, most=MAX_DEADLINE_SECONDS)
    poll.finish()
    return Poll(interval or 1.0, limit or 30.0)


def _read_upload(fields: Fields) -> Upload:
    kinds = [name for name in ("text", "base64", "size_bytes") if fields.has(name)]
    if len(kinds) != 1:
        raise fields.refuse("text", "exactly one of text, base64 and size_bytes is expected")
    upload = Upload(
        field=fields.text("field", limit=200),
        filename=fields.text("filename", "file.txt", limit=200),
        content_type=fields.text("content_type", "application/octet-stream", limit=200),
        text=fields.text("text", "", limit=MAX_TEXT_CHARACTERS) if "text" in kinds else None,
        data=_read_base64(fields) if "base64" in kinds else None,
        size_bytes=fields.whole_number("size_bytes", 0, least=0, most=MAX_UPLOAD_BYTES) or 0,
    )
    if not upload.content_type.isprintable():
        raise fields.refuse("content_type", "this is no content type")
    fields.finish()
    return upload


def _read_base64(fields: Fields) -> bytes:
    try:
        return base64.b64decode(fields.text("base64", limit=MAX_TEXT_CHARACTERS), validate=True)
    except (binascii.Error, ValueError):
        raise fields.refuse("base64", "this is not Base64") from None


def _check_bodies(step: Step, fields: Fields) -> None:
    kinds = [
        name
        for name, is_there in (
            ("json", step.has_json),
            ("form", step.form is not None or bool(step.files)),
            ("body", step.body is not None),
        )
        if is_there
    ]
    if len(kinds) > 1:
        raise fields.refuse(kinds[1], f"a request has one body, and there is {kinds[0]} already")
    if kinds and step.method in ("GET", "HEAD"):
        raise fields.refuse(kinds[0], f'{step.method} sends no body; say method = "POST"')


def _check_scenario(scenario: Scenario) -> None:
    """Refuse equal names, and placeholders that nothing before them fills in."""
    names: set[str] = set()
    for step in scenario.all_steps:
        if step.name.casefold() in names:
            raise ScenarioError(f"Step {step.name}, name: another step has this name.")
        names.add(step.name.casefold())
    known = {*BUILT_IN_NAMES}
    for name, value in scenario.variables:
        if not _NAME.fullmatch(name) or name in BUILT_IN_NAMES:
            raise ScenarioError(f"Scenario, variables.{name}: this is no name for a variable.")
        _check_placeholders(value, known, f"Scenario, variables.{name}")
        known.add(name)
    for step in scenario.all_steps:
        known |= {f"sha256.{upload.field}" for upload in step.files}
        for text in list_texts(step):
            _check_placeholders(text, known, f"Step {step.name}")
        known |= {capture.name for capture in step.captures}


def _check_placeholders(text: str, known: set[str], place: str) -> None:
    for name in PLACEHOLDER.findall(text):
        if name.startswith("secret.") and _NAME.fullmatch(name.removeprefix("secret.")):
            continue
        if name not in known:
            raise ScenarioError(f"{place}: {{{{ {name} }}}} is neither a variable nor captured by a step before.")
