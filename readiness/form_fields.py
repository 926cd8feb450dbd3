"""Fields of forms that Django does not have."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

UNITS = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
LARGEST_BYTES = 2**62
_SIZE = re.compile(r"(?P<amount>\d{1,19}(?:[.,]\d{1,6})?)\s*(?P<unit>[kmgt]?i?b?)", re.IGNORECASE | re.ASCII)


class BytesField(forms.Field):
    """A size as people write it, 500 MB or 1.5 GB (of 1024 each), or a plain number of bytes; gives an int or None."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, **kwargs})

    def to_python(self, value: Any) -> int | None:
        text = str(value or "").strip()
        if not text:
            return None
        match = _SIZE.fullmatch(text)
        if match is None:
            raise ValidationError("Give a size such as 500 MB, 10 GB, or a number of bytes.")
        unit = match["unit"].upper().replace("I", "")
        unit = unit if unit.endswith("B") else f"{unit}B"
        size = round(float(match["amount"].replace(",", ".")) * UNITS[unit])
        if size > LARGEST_BYTES:
            raise ValidationError("This is more than any disk holds.")
        return size

    def prepare_value(self, value: Any) -> Any:
        return write_bytes(value) if isinstance(value, int | float) else value


def write_bytes(size: float) -> str:
    """The size in the largest unit that gives a whole number, so that nothing is lost when it is read again."""
    unit = next(name for name, factor in reversed(UNITS.items()) if size % factor == 0)
    return f"{size / UNITS[unit]:.0f} {'kB' if unit == 'KB' else unit}" if size else "0"
