"""What a scenario is once it is parsed: frozen values, which read and write nothing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class ScenarioError(ValueError):
    """The text is no scenario; one sentence that names the step and the field."""


@dataclass(frozen=True, slots=True)
class JsonAssertion:
    """One assertion on the JSON of an answer, at `path` such as `items[0].title` or `items[*].id`.

    `test` is equals, not_equals, contains, matches, exists or count_at_least; `value` may hold placeholders.
    """

    path: str
    test: str
    value: Any


@dataclass(frozen=True, slots=True)
class HeaderAssertion:
    """One assertion on a header: `test` is equals, contains, matches or exists."""

    name: str
    test: str
    value: Any


@dataclass(frozen=True, slots=True)
class CookieAssertion:
    """What a cookie set by the step must be; `name` "*" means every one of them, and that there is at least one.

    None asks nothing. `same_site` holds the values allowed, in lower case. A cookie without a lifetime ends with the
    browser and is within any `max_age_seconds`.
    """

    name: str
    secure: bool | None = None
    http_only: bool | None = None
    same_site: tuple[str, ...] = ()
    max_age_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """Everything an answer must be. `statuses` holds ranges, both ends included."""

    statuses: tuple[tuple[int, int], ...] = ((200, 299),)
    url_contains: str = ""
    body_contains: tuple[str, ...] = ()
    body_lacks: tuple[str, ...] = ()
    body_matches: str = ""
    body_sha256: str = ""
    within_ms: float | None = None
    headers: tuple[HeaderAssertion, ...] = ()
    json: tuple[JsonAssertion, ...] = ()
    cookies: tuple[CookieAssertion, ...] = ()


@dataclass(frozen=True, slots=True)
class Capture:
    """A value to keep under `name`: `source` is json, header, regex, input, meta or cookie, `key` where it is there."""

    name: str
    source: str
    key: str
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a multipart form: text or bytes given, or `size_bytes` generated anew for every run."""

    field: str
    filename: str
    content_type: str
    text: str | None = None
    data: bytes | None = None
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask again every `interval_seconds` until the expectation holds, for `limit_seconds` at most."""

    interval_seconds: float
    limit_seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """One request and what is expected of its answer. Texts may hold {{ placeholders }}."""

    name: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    json: Any = None
    has_json: bool = False
    form: tuple[tuple[str, str], ...] | None = None
    body: str | None = None
    files: tuple[Upload, ...] = ()
    follow_redirects: bool = True
    is_sign_in: bool = False
    poll: Poll | None = None
    expect: Expectation = field(default_factory=Expectation)
    captures: tuple[Capture, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A walk through an application. `secrets` maps names to references (env:NAME, file:PATH), never to values."""

    name: str
    base_url: str
    steps: tuple[Step, ...]
    cleanup: tuple[Step, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    users: int = 1
    deadline_seconds: float = 60.0
    is_http_allowed: bool = False

    @property
    def secret_names(self) -> frozenset[str]:
        """The names of all secrets that any text of the scenario refers to."""
        texts = [
            *(value for _, value in self.variables),
            *(text for step in self.all_steps for text in list_texts(step)),
        ]
        names = {name for text in texts for name in PLACEHOLDER.findall(text)}
        return frozenset(name.removeprefix("secret.") for name in names if name.startswith("secret."))

    @property
    def all_steps(self) -> tuple[Step, ...]:
        return self.steps + self.cleanup


PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.\-]*)\s*\}\}")


def list_texts(step: Step) -> list[str]:
    """Return every text of `step` in which placeholders are filled in."""
    texts = [step.url, step.body or "", *(value for _, value in step.headers), *_texts_in(step.json)]
    texts += [part for pair in step.form or () for part in pair]
    texts += [text for upload in step.files for text in (upload.filename, upload.text or "")]
    expect = step.expect
    texts += [expect.url_contains, expect.body_sha256, *expect.body_contains, *expect.body_lacks]
    texts += [text for header in expect.headers for text in _texts_in(header.value)]
    texts += [text for each in expect.json for text in _texts_in(each.value)]
    return texts


def _texts_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for key, each in value.items() for text in (str(key), *_texts_in(each))]
    if isinstance(value, list | tuple):
        return [text for each in value for text in _texts_in(each)]
    return []
