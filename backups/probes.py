"""What the backups room reports about environments, for readiness to judge; one query, writes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from django.db import connection

from readiness.checklists.facts import BackupFacts

_SQL = Path(__file__).with_name("sql") / "backup_facts.sql"


def read_backup_facts(environment_ids: Iterable[int]) -> dict[int, BackupFacts]:
    """Facts of each environment asked for, in one query however many there are.

    ``newest_proven_at`` is the moment whose data the newest proven backup holds, not the moment of the proof: proving
    an old backup again makes no data newer. Of several databases it is that of the one that is worst off; those that
    have no proof at all are named instead. Damaged backups do not count.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SQL.read_text(encoding="utf-8"), [list(environment_ids)])
        return {
            environment_id: BackupFacts(
                newest_proven_at=proven_at,
                newest_done_at=done_at,
                last_failed_at=failed_at,
                last_error=error,
                databases_without_proof=tuple(names),
                awaited_since=awaited_since,
            )
            for environment_id, proven_at, done_at, failed_at, error, names, awaited_since in cursor.fetchall()
        }
