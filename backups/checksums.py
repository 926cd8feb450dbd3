"""Checksums of tables: the same rows give the same sum, whatever their order, on any server and version; reads only.

The sum of the first 64 bits of every row's sha256. A row is the text that its columns' types write under settings of
our own, the way pg_dump writes them, so a restored table has the sum of the original exactly when its rows are equal.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from backups.names import name_table

_SETTINGS = {
    "search_path": "",
    "row_security": "off",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "quote_all_identifiers": "off",
}
# What means that nothing more can be asked, or that it must not be asked now; anything else is one table's own affair.
_FATAL = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable, psycopg.errors.OperatorIntervention)


def checksum_tables(connection: psycopg.Connection[Any], under_bytes: int, only: Collection[str]) -> dict[str, str]:
    """{"schema.table": 16 hex digits} of the tables among ``only`` that are smaller than ``under_bytes``.

    Inside the caller's transaction, where there is one, so that the sums are of its snapshot. Rows are summed one at a
    time on the server, in constant memory. A table whose rows cannot be written as one text has no sum. Raises
    psycopg.Error.
    """
    if under_bytes <= 0 or not only:
        return {}
    query = (Path(__file__).with_name("sql") / "checksummed.sql").read_bytes()
    sums = {}
    with connection.transaction():
        for name, value in _SETTINGS.items():
            connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", [name, value])
        for schema, table, columns in connection.execute(query, [under_bytes]).fetchall():
            name = name_table(schema, table)
            if name in only and (found := _checksum(connection, schema, table, columns)) is not None:
                sums[name] = found
    return sums


def _checksum(connection: psycopg.Connection[Any], schema: str, table: str, columns: list[str]) -> str | None:
    row = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(column)) for column in columns)
    query = sql.SQL(
        "SELECT coalesce(pg_catalog.sum(('x' OPERATOR(pg_catalog.||) pg_catalog.left(pg_catalog.encode("
        "pg_catalog.sha256(pg_catalog.textsend(ROW({})::pg_catalog.text)), 'hex'), 16))::pg_catalog.bit(64)"
        "::pg_catalog.int8), 0) FROM ONLY {} AS t"
    ).format(row, sql.Identifier(schema, table))
    try:
        with connection.transaction():
            found = connection.execute(query).fetchone()
    except _FATAL:
        raise
    except psycopg.Error:
        if connection.broken:
            raise
        return None
    return f"{int(found[0]) % 2**64:016x}" if found else None
