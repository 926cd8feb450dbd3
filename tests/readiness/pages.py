"""Reads pages as people do: their words without the markup, so that a new look breaks no test."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any, Protocol


class _Answer(Protocol):
    content: Any


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read_text(answer: _Answer) -> str:
    """The words of a page on one line, one blank between them."""
    return _read(answer.content.decode())


def read_main(answer: _Answer) -> str:
    """The same, of what is between header and footer only."""
    html: str = answer.content.decode()
    return _read(html.partition("<main")[2].partition("</main>")[0])


def _read(html: str) -> str:
    parser = _Words()
    parser.feed(html)
    return " ".join("".join(parser.words).split())
