"""Reads one answer of a scenario's step: its text, its JSON, its forms. Pure, whatever the bytes."""

import contextlib
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from readiness.probes.http_client import Response
from readiness.probes.scenarios.cookies import Cookie

_HTML_CHARACTERS = 400_000
_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/javascript", "application/x-www-form")


class UnreadableError(ValueError):
    """The answer does not hold what was looked for; a few words."""


@dataclass(frozen=True)
class Answered:
    """The answer of a step after its redirects: what came, how long all of it took, the cookies that were set."""

    response: Response
    elapsed_ms: float
    cookies: tuple[Cookie, ...] = ()
    hops: tuple[tuple[str, str, int], ...] = field(default=())  # method, URL, status

    @functools.cached_property
    def text(self) -> str:
        """The body as text, in the charset that the answer names."""
        content_type = self.response.header("Content-Type") or ""
        charset = content_type.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
        try:
            return self.response.body.decode(charset or "utf-8", "replace")
        except (LookupError, ValueError, TypeError):
            return self.response.body.decode("utf-8", "replace")

    @property
    def is_text(self) -> bool:
        content_type = (self.response.header("Content-Type") or "text/plain").strip().lower()
        return content_type.startswith(_TEXT_TYPES) or content_type.partition(";")[0].endswith(("+json", "+xml"))

    @functools.cached_property
    def _document(self) -> tuple[Any, bool]:
        try:
            return json.loads(self.response.body), True
        except (ValueError, RecursionError, UnicodeError):
            return None, False

    def read_json(self) -> Any:
        """Return the body as JSON. Raises UnreadableError."""
        document, is_json = self._document
        if not is_json:
            raise UnreadableError("the body is not JSON")
        return document

    def find_input(self, name: str) -> str:
        """Return the value of the first form field of this name. Raises UnreadableError."""
        for tag, attributes in self._tags():
            if tag in ("input", "button", "textarea") and attributes.get("name") == name:
                return attributes.get("value") or ""
        raise UnreadableError(f"the page has no input named {name}")

    def find_meta(self, name: str) -> str:
        """Return the content of the first meta element of this name. Raises UnreadableError."""
        for tag, attributes in self._tags():
            if tag == "meta" and attributes.get("name") == name:
                return attributes.get("content") or ""
        raise UnreadableError(f"the page has no meta element named {name}")

    def _tags(self) -> Iterator[tuple[str, dict[str, str | None]]]:
        reader = _TagReader()
        with contextlib.suppress(AssertionError):  # html.parser gives up on some broken declarations
            reader.feed(self.text[:_HTML_CHARACTERS])
        yield from reader.tags


class _TagReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("input", "button", "textarea", "meta"):
            self.tags.append((tag, dict(attrs)))
