"""Counts and sums the large objects of a database, which belong to no table; reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

_COUNT = (
    "SELECT pg_catalog.count(*), pg_catalog.pg_table_size('pg_catalog.pg_largeobject')"
    " FROM pg_catalog.pg_largeobject_metadata"
)
# As in checksums: the first 64 bits of each one's sha256, whatever their order. lo_get fills the holes of sparse ones,
# which a restore fills as well.
_SUM = (
    "SELECT coalesce(pg_catalog.sum(('x' OPERATOR(pg_catalog.||) pg_catalog.left(pg_catalog.encode(pg_catalog.sha256("
    "pg_catalog.convert_to(m.oid::pg_catalog.text, 'UTF8') OPERATOR(pg_catalog.||) pg_catalog.lo_get(m.oid)), 'hex'),"
    " 16))::pg_catalog.bit(64)::pg_catalog.int8), 0) FROM pg_catalog.pg_largeobject_metadata AS m"
)
# What means that nothing more can be asked.
_FATAL = (psycopg.errors.QueryCanceled, psycopg.errors.OperatorIntervention)


@dataclass(frozen=True)
class LargeObjects:
    """How many there are, and 16 hex digits over their numbers and contents; "" where they were not summed."""

    count: int
    checksum: str = ""

    def as_json_object(self) -> dict[str, Any]:
        return {"count": self.count, "checksum": self.checksum}


def read_large_objects(connection: psycopg.Connection[Any], under_bytes: int) -> LargeObjects:
    """Those of the connection's database, summed when together they take less than ``under_bytes``.

    Inside the caller's transaction, where there is one. Each is read whole into the server's memory, so the bound is
    the bound of that too. Raises psycopg.Error.
    """
    row = connection.execute(_COUNT).fetchone()
    count, size_bytes = (int(row[0]), int(row[1])) if row else (0, 0)
    if count == 0 or size_bytes >= under_bytes:
        return LargeObjects(count)
    try:
        with connection.transaction():
            summed = connection.execute(_SUM).fetchone()
    except _FATAL:
        raise
    except psycopg.Error:
        # One that the role may not read, or of more than the server reads at once: they are counted only.
        if connection.broken:
            raise
        return LargeObjects(count)
    return LargeObjects(count, f"{int(summed[0]) % 2**64:016x}" if summed else "")


def find_difference(expected: LargeObjects, found: LargeObjects) -> str:
    """What tells them apart, in one sentence; "" when nothing does."""
    if expected.count != found.count:
        return f"There were {found.count:,} large objects after the restore and {expected.count:,} in the backup."
    if expected.checksum and found.checksum and expected.checksum != found.checksum:
        return "The contents of the large objects are not those of the backup: as many, another checksum."
    return ""
