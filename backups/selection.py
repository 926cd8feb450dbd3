"""Which schemas and tables a dump holds: reads what people typed, one name a line; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

_PART = r'(?:"(?:[^"]|"")+"|[^\s."*?]+)'
_LINE = re.compile(rf"(?P<schema>{_PART})(?:\.(?P<table>{_PART}))?")

Table = tuple[str, str]


class SelectionError(ValueError):
    """A line is no name of a schema or table; the text is one sentence."""


@dataclass(frozen=True)
class Selection:
    """Exact names. Everything that is in one of the ``only_`` sets (where there is any) and in no ``without_`` set."""

    only_schemas: frozenset[str] = frozenset()
    only_tables: frozenset[Table] = frozenset()
    without_schemas: frozenset[str] = frozenset()
    without_tables: frozenset[Table] = frozenset()

    @property
    def is_everything(self) -> bool:
        return not (self.only_schemas or self.only_tables or self.without_schemas or self.without_tables)

    @property
    def holds_large_objects(self) -> bool:
        """They are of no schema, so pg_dump leaves them out where schemas or tables are named that it is to take."""
        return not (self.only_schemas or self.only_tables)

    def holds(self, schema: str, table: str) -> bool:
        """Whether the rows of that table are dumped."""
        if schema in self.without_schemas or (schema, table) in self.without_tables:
            return False
        if self.only_schemas or self.only_tables:
            return schema in self.only_schemas or (schema, table) in self.only_tables
        return True

    def with_partitions(self, partitions: Mapping[Table, Sequence[Table]]) -> Selection:
        """The same with every partition of a named table: pg_dump itself takes a name as that table alone."""

        def grow(tables: frozenset[Table]) -> frozenset[Table]:
            return tables.union(*(partitions.get(table, ()) for table in tables))

        return replace(self, only_tables=grow(self.only_tables), without_tables=grow(self.without_tables))


def parse_selection(only: str = "", without: str = "") -> Selection:
    """What was typed: a schema or ``schema.table`` a line, quoted as in SQL where need be. Raises SelectionError."""
    only_schemas, only_tables = _parse(only)
    if only_schemas and only_tables:
        raise SelectionError("Give schemas or tables, not both: pg_dump takes only one of the two.")
    without_schemas, without_tables = _parse(without)
    if only_tables and without_schemas:
        raise SelectionError("Beside tables that are named, leave out tables, not schemas: pg_dump ignores those.")
    return Selection(only_schemas, only_tables, without_schemas, without_tables)


def split_lines(text: str) -> list[str]:
    """The lines that hold something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _parse(text: str) -> tuple[frozenset[str], frozenset[Table]]:
    schemas, tables = set(), set()
    for line in split_lines(text):
        found = _LINE.fullmatch(line)
        if found is None:
            raise SelectionError(f"{line[:60]} is no schema and no schema.table; give one name a line, no patterns.")
        if found["table"] is None:
            schemas.add(_unquote(found["schema"]))
        else:
            tables.add((_unquote(found["schema"]), _unquote(found["table"])))
    return frozenset(schemas), frozenset(tables)


def _unquote(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
