"""Reads values out of parsed JSON by paths such as `items[0].title`, `items[*].id`, `["odd key"]`. Pure."""

import re
from collections.abc import Mapping
from typing import Any

_PART = re.compile(
    r"""\.?(?P<key>[^.\[\]"'\s]+)|\[(?P<index>-?\d{1,9})\]|\[(?P<all>\*)\]|\[(?P<quote>["'])(?P<quoted>.*?)(?P=quote)\]"""
)
ALL = object()


class MissingError(LookupError):
    """There is nothing at the path; the text says how far it led."""


def split_path(path: str) -> tuple[Any, ...]:
    """Split a path into keys (text), indexes (numbers) and ALL; a leading `$` is the whole. Raises ValueError."""
    text = path[1:] if path.startswith("$") else path
    parts: list[Any] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise ValueError("a path such as items[0].title is expected")
        if match["index"] is not None:
            parts.append(int(match["index"]))
        elif match["all"] is not None:
            parts.append(ALL)
        else:
            parts.append(match["key"] if match["key"] is not None else match["quoted"])
        position = match.end()
    return tuple(parts)


def find_value(document: Any, path: str) -> Any:
    """Return what is at `path`; with [*] the list of what is there in each item. Raises MissingError."""
    return _descend(document, split_path(path), "$")


def _descend(value: Any, parts: tuple[Any, ...], so_far: str) -> Any:
    for position, part in enumerate(parts):
        if part is ALL:
            if not isinstance(value, list):
                raise MissingError(f"{so_far} is no list")
            return _descend_all(value, parts[position + 1 :], so_far)
        if isinstance(part, int):
            if not isinstance(value, list) or not -len(value) <= part < len(value):
                raise MissingError(f"{so_far} has no item {part}")
            so_far = f"{so_far}[{part}]"
        else:
            if not isinstance(value, Mapping) or part not in value:
                raise MissingError(f"{so_far} has no {part}")
            so_far = f"{so_far}.{part}"
        value = value[part]
    return value


def _descend_all(items: list[Any], parts: tuple[Any, ...], so_far: str) -> list[Any]:
    """Return what is at `parts` in each item that has it."""
    found: list[Any] = []
    for item in items:
        try:
            value = _descend(item, parts, f"{so_far}[*]")
        except MissingError:
            continue
        if ALL in parts:
            found.extend(value)
        else:
            found.append(value)
    return found
