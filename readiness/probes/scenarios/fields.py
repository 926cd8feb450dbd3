"""Reads one TOML table of a scenario field by field; every complaint names the place and the field. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from readiness.probes.scenarios.model import ScenarioError


class Fields:
    """A table and where it is ("step 2 (sign in)"); `finish` refuses what nobody read."""

    def __init__(self, table: Any, place: str) -> None:
        if not isinstance(table, Mapping):
            raise ScenarioError(f"{_capital(place)}: a table is expected here.")
        self._table = table
        self._place = place
        self._read: set[str] = set()

    @property
    def place(self) -> str:
        return self._place

    def has(self, name: str) -> bool:
        return name in self._table

    def refuse(self, name: str, complaint: str) -> ScenarioError:
        """Return the error that `name` is wrong here, to be raised."""
        return ScenarioError(f"{_capital(self._place)}, {name}: {complaint}.")

    def take(self, name: str, default: Any = None) -> Any:
        """Return any value as TOML has it."""
        self._read.add(name)
        return self._table.get(name, default)

    def text(self, name: str, default: str | None = None, *, limit: int = 4_000) -> str:
        """Return a text; required and not empty without a default."""
        value = self.take(name, default)
        if value is None or (value == "" and default is None):
            raise self.refuse(name, "it is missing")
        if not isinstance(value, str):
            raise self.refuse(name, "a text is expected")
        if len(value) > limit:
            raise self.refuse(name, f"at most {limit} characters are allowed")
        return value

    def flag(self, name: str, default: bool | None = False) -> bool | None:
        value = self.take(name, default)
        if value is not None and not isinstance(value, bool):
            raise self.refuse(name, "true or false is expected")
        return value

    def number(self, name: str, default: float | None, *, least: float, most: float) -> float | None:
        value = self.take(name, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self.refuse(name, f"a number from {least:g} to {most:g} is expected")
        return value

    def whole_number(self, name: str, default: int | None, *, least: int, most: int) -> int | None:
        value = self.take(name, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.refuse(name, f"a whole number from {least} to {most} is expected")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts; one text stands for a list of one."""
        value = self.take(name, ())
        items = (value,) if isinstance(value, str) else value
        if not isinstance(items, Sequence) or not all(isinstance(each, str) and each for each in items):
            raise self.refuse(name, "a text or a list of texts is expected")
        return tuple(items)

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return a table of texts as pairs in its order; a list gives one pair each, numbers become texts."""
        table = self.take(name, {})
        if not isinstance(table, Mapping):
            raise self.refuse(name, "a table of names and texts is expected")
        pairs: list[tuple[str, str]] = []
        for key, value in table.items():
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, bool) or not isinstance(each, str | int | float):
                    raise self.refuse(f"{name}.{key}", "a text is expected")
                pairs.append((key, str(each)))
        return tuple(pairs)

    def tables(self, name: str, noun: str) -> list["Fields"]:
        """Return a list of tables, each with its place."""
        tables = self.take(name, [])
        if not isinstance(tables, list):
            raise self.refuse(name, "a list of tables ([[...]]) is expected")
        return [Fields(table, f"{self._place}, {noun} {number}") for number, table in enumerate(tables, 1)]

    def finish(self) -> None:
        """Raise ScenarioError for the first field that nobody asked for: most likely it is misspelt."""
        for name in self._table:
            if name not in self._read:
                raise self.refuse(str(name), "there is no such field here")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
