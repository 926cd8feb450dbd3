"""Says of every environment whether it can be got back, and with data of when; reads facts, writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from backups.probes import read_backup_facts
from readiness.checklists.facts import BackupFacts, Facts
from readiness.models import Environment


@dataclass(frozen=True)
class Recoverability:
    """The answer for one environment; ``status`` is pass, warn or fail, ``proven_at`` the moment of the data."""

    environment: Environment
    status: str
    word: str
    proven_at: datetime | None = None
    detail: str = ""


def list_recoverability(now: datetime) -> list[Recoverability]:
    """Every environment that is not retired, the worst first; two queries however many there are."""
    environments = list(Environment.objects.active().order_by("name"))
    facts = read_backup_facts(environment.pk for environment in environments)
    found = [_judge(environment, facts[environment.pk], now) for environment in environments]
    order = ("fail", "warn", "pass")
    return sorted(found, key=lambda one: (order.index(one.status), one.environment.name))


def _judge(environment: Environment, backups: BackupFacts, now: datetime) -> Recoverability:
    valid_for = timedelta(days=settings.PROVEN_BACKUP_MAX_AGE_DAYS)
    proven_at, without = backups.newest_proven_at, backups.databases_without_proof
    if Facts(now=now, probes={}, backups=backups, proof_valid_for=valid_for).is_backup_proven:
        return Recoverability(environment, "pass", "proven", proven_at)
    if proven_at is not None and without:
        return Recoverability(environment, "warn", "in part", proven_at, f"Never proven: {', '.join(without)}.")
    if proven_at is not None:
        detail = f"Nothing newer than {valid_for.days} days is proven: prove a newer backup."
        return Recoverability(environment, "warn", "too old", proven_at, detail)
    if backups.newest_done_at is not None:
        detail = "There is a backup, and no restore has shown what is in it: prove it."
        return Recoverability(environment, "warn", "not proven", None, detail)
    detail = backups.last_error or "No backup has been taken: take one, or let a schedule do it."
    return Recoverability(environment, "fail", "no backup", None, detail)
