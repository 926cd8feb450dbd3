"""Hands out the fields of TOML tables, checked one by one; knows no template and writes nothing."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

KEY_LENGTH = 80
TEXT_LENGTH = 20_000
LARGEST_NUMBER = 1_000_000_000
_KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")
_LINE_END = re.compile(r"\r\n?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class RowError(Exception):
    """What is wrong with a table, and where; without the file's name and the full stop."""


class Row:
    """One TOML table; a field that is missing, too large, of another type or not in `known` is a RowError.

    `where` names the table in error texts, empty for the document itself. Texts come stripped and with plain line
    ends, whole numbers as int, others as Decimal.
    """

    def __init__(self, table: object, where: str, known: Iterable[str]) -> None:
        if not isinstance(table, dict):
            raise RowError(f"{where} must be a table")
        if unknown := sorted(set(table) - set(known)):
            raise RowError(f'{where or "the top level"} has an unknown field "{unknown[0][:KEY_LENGTH]}"')
        self._table: dict[str, Any] = table
        self.where = where

    def has(self, name: str) -> bool:
        return name in self._table

    def is_text(self, name: str) -> bool:
        return isinstance(self._table.get(name), str)

    def string(self, name: str, longest: int = TEXT_LENGTH) -> str:
        value = self._table.get(name)
        if not isinstance(value, str) or not value.strip():
            raise RowError(f'{self.where} needs the text "{name}"')
        return self._check_text(name, value, longest)

    def key(self, name: str = "key") -> str:
        if not _KEY.fullmatch(value := self.string(name, KEY_LENGTH)):
            raise RowError(f'{self.where}: "{value}" is not a key (lower-case words, at most one dot)')
        return value

    def choice(self, name: str, allowed: Iterable[str]) -> str:
        if (value := self.string(name, KEY_LENGTH)) not in (names := list(allowed)):
            raise RowError(f'{self.where}: {name} "{value}" is not one of {", ".join(names)}')
        return value

    def integer(self, name: str) -> int:
        value = self._table.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise RowError(f'{self.where} needs "{name}" as a whole number above zero')
        return int(self._check_size(name, Decimal(value)))

    def count(self, name: str, most: int) -> int:
        """A whole number from 0 to ``most``."""
        value = self._table.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise RowError(f'{self.where} needs "{name}" as a whole number from 0 to {most}')
        return value

    def choice_of_two(self, name: str) -> bool:
        value = self._table.get(name)
        if not isinstance(value, bool):
            raise RowError(f'{self.where} needs "{name}" as true or false')
        return value

    def amount(self, name: str) -> Decimal:
        value = self._table.get(name)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise RowError(f'{self.where} needs the number "{name}"')
        if not (amount := Decimal(value)).is_finite() or amount < 0:
            raise RowError(f'{self.where} needs "{name}" as a number that is not negative')
        return self._check_size(name, amount)

    def values(self, name: str) -> list[Any]:
        """The list of this name, empty when there is none."""
        value = self._table.get(name, [])
        if not isinstance(value, list):
            raise RowError(f'{self.where} needs "{name}" as a list')
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        values = self.values(name)
        if not all(isinstance(value, str) and value.strip() for value in values):
            raise RowError(f'{self.where} needs "{name}" as a list of texts')
        return tuple(self._check_text(name, value, TEXT_LENGTH) for value in values)

    def choices(self, name: str, allowed: Iterable[str]) -> tuple[str, ...]:
        """A list of different texts that are all allowed, in the order of ``allowed``."""
        names = list(allowed)
        values = self.strings(name)
        if wrong := [value for value in values if value not in names]:
            raise RowError(f'{self.where}: {name} "{wrong[0]}" is not one of {", ".join(names)}')
        if len(set(values)) < len(values):
            raise RowError(f"{self.where}: {name} lists something twice")
        return tuple(one for one in names if one in values)

    def value_lists(self, name: str) -> list[list[Any]]:
        values = self.values(name)
        if not all(isinstance(value, list) for value in values):
            raise RowError(f'{self.where} needs "{name}" as a list of lists')
        return values

    def row(self, name: str, known: Iterable[str]) -> "Row":
        return Row(self._table.get(name), self._call_part(f'"{name}"'), known)

    def rows(self, name: str, known: Iterable[str], label: str) -> tuple["Row", ...]:
        """The tables of the list; error texts call each `<label> "<its key>"`, or by its number when it has none."""
        known = tuple(known)
        return tuple(
            Row(table, self._call_part(_call_table(label, table, number)), known)
            for number, table in enumerate(self.values(name), start=1)
        )

    def _check_text(self, name: str, value: str, longest: int) -> str:
        text = _LINE_END.sub("\n", value).strip()
        if len(text) > longest:
            raise RowError(f'{self.where}: "{name}" is longer than {longest} characters')
        if _CONTROL.search(text):
            raise RowError(f'{self.where}: "{name}" holds a control character')
        return text

    def _check_size(self, name: str, number: Decimal) -> Decimal:
        if number > LARGEST_NUMBER:
            raise RowError(f'{self.where}: "{name}" is above {LARGEST_NUMBER}')
        return number

    def _call_part(self, part: str) -> str:
        return f"{part} of {self.where}" if self.where else part


def _call_table(label: str, table: object, number: int) -> str:
    key = table.get("key") if isinstance(table, dict) else None
    return f'{label} "{key}"' if isinstance(key, str) and key else f"{label} {number}"
