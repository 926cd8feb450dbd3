"""How far a backup has come, in three steps: taken, verified, proven; reads a backup and its verifications; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from backups.models import Backup, Verification
from portal.words import BACKUP_STATES, JOB_OUTCOMES


@dataclass(frozen=True)
class Stage:
    """One step: its name, a status with its word, and when it ended."""

    name: str
    status: str
    word: str
    at: datetime | None = None


def describe_stages(backup: Backup, verifications: Iterable[Verification]) -> list[Stage]:
    """The three steps of ``backup``; ``verifications`` newest first. A backup that is only taken counts for nothing."""
    newest: dict[str, Verification] = {}
    for job in verifications:
        newest.setdefault(job.kind, job)
    return [
        _describe_taking(backup),
        _describe_step("Verified", backup, backup.verified_at, newest.get(Verification.Kind.VERIFY)),
        _describe_step("Proven", backup, backup.proven_at, newest.get(Verification.Kind.PROVE)),
    ]


def _describe_taking(backup: Backup) -> Stage:
    if backup.state == "done":
        return Stage("Taken", "pass", "Taken", backup.taken_at)
    status, word = BACKUP_STATES[backup.state]
    return Stage("Taken", status, word, backup.finished_at)


def _describe_step(name: str, backup: Backup, reached_at: datetime | None, job: Verification | None) -> Stage:
    if job is not None and job.is_active:
        return Stage(name, *BACKUP_STATES[job.state])
    if backup.damaged_at is not None:
        return Stage(name, "fail", "Damaged", backup.damaged_at)
    if job is not None and _is_bad(job) and (reached_at is None or (job.finished_at or reached_at) > reached_at):
        return Stage(name, *JOB_OUTCOMES.get(job.outcome, BACKUP_STATES[job.state]), job.finished_at)
    if reached_at is not None:
        return Stage(name, "pass", name, reached_at)
    return Stage(name, "idle", "Waiting" if backup.is_active else "Not yet")


def _is_bad(job: Verification) -> bool:
    return job.state in {"failed", "cancelled"} or job.outcome in JOB_OUTCOMES
