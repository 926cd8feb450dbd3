"""Hands out the fields of TOML tables, checked one by one; knows no template and writes nothing."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

_KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")


class RowError(Exception):
    """What is wrong with a table, and where; without the file's name and the full stop."""


class Row:
    """One TOML table; a field that is missing, of another type or not in `known` is a RowError.

    `where` names the table in error texts, empty for the document itself. Texts come stripped,
    whole numbers as int, others as Decimal.
    """

    def __init__(self, table: object, where: str, known: Iterable[str]) -> None:
        if not isinstance(table, dict):
            raise RowError(f"{where} must be a table")
        if unknown := sorted(set(table) - set(known)):
            raise RowError(f'{where or "the top level"} has an unknown field "{unknown[0]}"')
        self._table: dict[str, Any] = table
        self.where = where

    def has(self, name: str) -> bool:
        return name in self._table

    def string(self, name: str) -> str:
        value = self._table.get(name)
        if not isinstance(value, str) or not value.strip():
            raise RowError(f'{self.where} needs the text "{name}"')
        return value.strip()

    def key(self, name: str = "key") -> str:
        if not _KEY.fullmatch(value := self.string(name)):
            raise RowError(f'{self.where}: "{value}" is not a key (lower-case words, at most one dot)')
        return value

    def choice(self, name: str, allowed: Iterable[str]) -> str:
        if (value := self.string(name)) not in (names := list(allowed)):
            raise RowError(f'{self.where}: {name} "{value}" is not one of {", ".join(names)}')
        return value

    def integer(self, name: str) -> int:
        value = self._table.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise RowError(f'{self.where} needs "{name}" as a whole number above zero')
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
        return amount

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
        return tuple(values)

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

    def _call_part(self, part: str) -> str:
        return f"{part} of {self.where}" if self.where else part


def _call_table(label: str, table: object, number: int) -> str:
    key = table.get("key") if isinstance(table, dict) else None
    return f'{label} "{key}"' if isinstance(key, str) and key else f"{label} {number}"
