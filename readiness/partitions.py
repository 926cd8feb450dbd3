"""The daily partitions of probe runs: makes those of the next days, drops those past their time."""

from __future__ import annotations

import logging
import re
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction
from django.db.utils import OperationalError
from psycopg import sql

logger = logging.getLogger(__name__)

TABLE = "readiness_proberun"
DAYS_AHEAD = 2
_DAY = re.compile(rf"^{TABLE}_(\d{{8}})$")
# One number for everyone who changes the partitions, so that two workers do not do it at once.
_LOCK = 7_305_552_001


def ensure_partitions(now: datetime) -> list[str]:
    """Makes the partitions of yesterday to DAYS_AHEAD days from now; returns those that were missing.

    Rows that a missing partition had sent to the default one are moved into it.
    """
    today = now.astimezone(UTC).date()
    wanted = [today + timedelta(days=offset) for offset in range(-1, DAYS_AHEAD + 1)]
    present = set(list_partitions())
    missing = [day for day in wanted if day not in present]
    if not missing:
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        present = set(list_partitions())
        return [_make_partition(cursor, day) for day in missing if day not in present]


def drop_partitions(now: datetime, keep_days: int) -> list[str]:
    """Drops partitions whose last moment is older than ``keep_days``, and such rows of the default one.

    A table that stays locked for two seconds is left for the next time. Returns the names that are gone.
    """
    oldest = now.astimezone(UTC).date() - timedelta(days=keep_days)
    dropped = []
    for day in list_partitions():
        if day >= oldest:
            continue
        name = _name(day)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '2s'")
                cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        except OperationalError:
            logger.warning("The old runs in %s are in use; they are dropped next time.", name)
            continue
        dropped.append(name)
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("DELETE FROM {} WHERE observed_at < %s").format(sql.Identifier(f"{TABLE}_default")),
            [datetime.combine(oldest, datetime.min.time(), UTC)],
        )
    return dropped


def list_partitions() -> list[date]:
    """The days that have a partition, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [TABLE])
        matches = [_DAY.match(name) for (name,) in cursor.fetchall()]
    return sorted(datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC).date() for match in matches if match)


def _make_partition(cursor: object, day: date) -> str:
    """Built beside the table and attached: attaching needs less of a lock than creating in place, and rows can move."""
    name, start = _name(day), datetime.combine(day, datetime.min.time(), UTC)
    end = start + timedelta(days=1)
    table, default = sql.Identifier(name), sql.Identifier(f"{TABLE}_default")
    execute = cursor.execute  # type: ignore[attr-defined]
    execute(
        sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)").format(
            table, sql.Identifier(TABLE)
        )
    )
    execute(
        sql.SQL(
            "WITH moved AS (DELETE FROM {} WHERE observed_at >= %s AND observed_at < %s RETURNING *) "
            "INSERT INTO {} SELECT * FROM moved"
        ).format(default, table),
        [start, end],
    )
    execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            sql.Identifier(TABLE), table, sql.Literal(start), sql.Literal(end)
        )
    )
    return name


def _name(day: date) -> str:
    return f"{TABLE}_{day:%Y%m%d}"
