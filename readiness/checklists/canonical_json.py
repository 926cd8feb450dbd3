"""The one spelling of a JSON value, so that equal values have equal bytes; pure.

The rules are those of RFC 8785 for what is used here: UTF-8, no blanks, the members of an object sorted by name, the
shortest escapes. Names are ASCII, numbers are whole and at most 2^53 - 1 either way: nothing is left to rounding.
"""

from __future__ import annotations

import json
from typing import Any

LARGEST_NUMBER = 2**53 - 1


class CanonicalError(ValueError):
    """A value has no canonical spelling, or a text is not canonical; the message is part of a sentence."""


def encode(value: Any) -> bytes:
    """The canonical bytes of ``value``: dicts, lists, tuples, strings, whole numbers, booleans and None.

    Raises CanonicalError for anything else, floating-point numbers among it.
    """
    try:
        _check(value)
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"), sort_keys=True
        ).encode()
    except RecursionError:
        raise CanonicalError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise CanonicalError("it holds half a character") from None


def decode(raw: bytes) -> Any:
    """The value that ``raw`` spells. Raises CanonicalError unless it is exactly what ``encode`` writes."""
    try:
        value = json.loads(raw.decode())
        is_canonical = encode(value) == raw
    except CanonicalError:
        raise
    except RecursionError:
        raise CanonicalError("it is nested too deeply") from None
    except ValueError:
        raise CanonicalError("it is not JSON in UTF-8") from None
    if not is_canonical:
        raise CanonicalError("it is not spelled canonically")
    return value


def _check(value: Any) -> None:
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if abs(value) > LARGEST_NUMBER:
            raise CanonicalError(f"a number is beyond {LARGEST_NUMBER}")
    elif isinstance(value, dict):
        for name, member in value.items():
            if not isinstance(name, str) or not name.isascii():
                raise CanonicalError("the name of a member is not ASCII")
            _check(member)
    elif isinstance(value, list | tuple):
        for member in value:
            _check(member)
    else:
        raise CanonicalError(f"it holds a {type(value).__name__}")
