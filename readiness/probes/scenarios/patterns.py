"""Regular expressions that a hostile page cannot make run for ever. Reads only the clock.

Python's `re` cannot be interrupted, and nothing else runs meanwhile. So expressions whose time explodes are refused
when a scenario is read, and the others are tried on overlapping windows, the smaller the more repeats there are,
with a look at the clock in between.
"""

import re
import time
from dataclasses import dataclass

MAX_PATTERN_CHARACTERS = 300
MAX_REPEATS, MAX_OPTIONALS = 2, 4
SEARCHED_CHARACTERS = 200_000
BUDGET_SECONDS = 3.0
_WINDOWS = {0: 16_384, 1: 8_192, 2: 768}  # by repeats; a match is at most half as long
_FIXED_COUNT = re.compile(r"\{\d+\}")
_ANY_REPEAT = re.compile(r"\{\d*(?:,\d*)?\}")


class SearchTimeoutError(Exception):
    """An expression took longer on a text than it may."""


@dataclass(slots=True)
class _Group:
    """What is in an open group: whether a repeat of it would repeat a repeat, or an alternative."""

    is_risky: bool = False


def compile_pattern(text: str) -> re.Pattern[str]:
    """Compile `text`. Raises ValueError, with a few words, for what is no expression or might run for ever."""
    if len(text) > MAX_PATTERN_CHARACTERS:
        raise ValueError(f"an expression has at most {MAX_PATTERN_CHARACTERS} characters")
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError):
        raise ValueError("this is not a regular expression") from None
    _count_repeats(text)
    return pattern


def _count_repeats(text: str) -> int:
    """Return how many repeats there are. Raises ValueError when they are too many, or repeat one another."""
    groups = [_Group()]
    repeats = optionals = position = 0
    closed = _Group()  # the group that ended just before, which a repeat here would repeat
    while position < len(text):
        character, length = text[position], 1
        just_closed, closed = closed, _Group()
        if character == "\\":
            if text[position + 1 : position + 2].isdigit():
                raise ValueError("a group cannot be referred back to: it could run for ever")
            length = 2
        elif character == "[":
            length = _end_of_class(text, position) - position
        elif character == "(":
            if text.startswith("(?P=", position):
                raise ValueError("a group cannot be referred back to: it could run for ever")
            groups.append(_Group())
            length = 2 if text.startswith("(?", position) else 1
        elif character == ")" and len(groups) > 1:
            closed = groups.pop()
            groups[-1].is_risky |= closed.is_risky
        elif character == "|":
            groups[-1].is_risky = True
        elif character == "?" and position:
            optionals += 1
            groups[-1].is_risky = True
        elif character in "*+" or _ANY_REPEAT.match(text, position):
            is_fixed = _FIXED_COUNT.match(text, position) is not None
            if just_closed.is_risky:
                raise ValueError("a repeated group may hold no repeat and no alternative: it could run for ever")
            length = len(_ANY_REPEAT.match(text, position)[0]) if character == "{" else 1  # type: ignore[index]
            length += text.startswith(("?", "+"), position + length)  # lazy or possessive
            repeats += not is_fixed
            groups[-1].is_risky |= not is_fixed
        position += length
    if repeats > MAX_REPEATS or optionals > MAX_OPTIONALS:
        raise ValueError(f"at most {MAX_REPEATS} repeats (* + {{n,m}}) and {MAX_OPTIONALS} optional parts are allowed")
    return repeats


def _end_of_class(text: str, start: int) -> int:
    """Return the position after the character class that begins at `start`."""
    position = start + 1
    position += text.startswith("^", position)
    position += text.startswith("]", position)
    while position < len(text) and text[position] != "]":
        position += 2 if text[position] == "\\" else 1
    return position + 1


def search(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Return the first match in the first 200,000 characters of `text`; a very long one may be missed.

    4,096 characters are found with one repeat, 384 with two. Raises SearchTimeoutError.
    """
    end = min(len(text), SEARCHED_CHARACTERS)
    window = _WINDOWS[_count_repeats(pattern.pattern)]
    gives_up_at = time.monotonic() + BUDGET_SECONDS
    for start in range(0, max(end, 1), window // 2):
        found = pattern.search(text, start, min(start + window, end))
        if found is not None or start + window >= end:
            return found
        if time.monotonic() > gives_up_at:
            raise SearchTimeoutError
    return None
