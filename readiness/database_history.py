"""What earlier results say about one database, for findings that compare: counters and growth; reads only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from readiness.models import ProbeState

_SIZE_SQL = Path(__file__).with_name("sql") / "size_history.sql"


def read_previous(environment_id: int, name: str) -> Mapping[str, Any] | None:
    """The ``data`` of the newest result of this database; None when there is none yet."""
    data = (
        ProbeState.objects.filter(environment_id=environment_id, kind="postgres").values_list("data", flat=True).first()
    )
    if not data:
        return None
    several = data.get("targets")
    found: Mapping[str, Any] | None = several.get(name) if several else data
    return found


def read_size_history(environment_id: int, name: str, now: datetime) -> tuple[tuple[datetime, int], ...]:
    """(when, bytes used), one a day, of as many days as results are kept."""
    parameters: dict[str, int | str | datetime] = {
        "environment_id": environment_id,
        "name": name,
        "now": now,
        "days": settings.PROBE_RUNS_KEPT_DAYS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SIZE_SQL.read_text(encoding="utf-8"), parameters)
        return tuple((at, size) for at, size in cursor.fetchall())
