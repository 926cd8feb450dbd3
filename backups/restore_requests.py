"""Asks for restores: who may, who has to approve, what break-glass means; writes queued and waiting Restore rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from backups import alarms, catalogue
from backups.errors import RequestError
from backups.models import Backup, Restore, State, Trigger
from backups.names import check_restore_name, check_side_schema, split_table
from portal import audit
from readiness.models import Database, Environment

if TYPE_CHECKING:
    from backups.catalogue import Actor

# What it holds would run as, and belong to, the role that the portal connects as.
ONLY_BESIDE = "A dump from elsewhere is restored into a new database only, so that somebody can look at it first."
APPROVAL_LASTS = timedelta(hours=1)


def request_restore(
    backup: Backup,
    target: str,
    *,
    into: Database | None = None,
    mode: str = Restore.Mode.NEW,
    masking_sql: str = "",
    break_glass_reason: str = "",
    skips_safety_backup: bool = False,
    side_schema: str = "",
    tables: Sequence[str] = (),
    actor: Actor = None,
    actor_name: str = "",
    trigger: str = Trigger.MANUAL,
) -> Restore:
    """A restore as the database ``target`` on the server of ``into``, by default the backup's own. Raises RequestError.

    Of mode "side": of ``tables`` into ``side_schema`` of the database ``target``.

    It is queued, or waits for a second operator where the environment asks for one and no glass was broken.
    """
    catalogue.require_done(backup)
    if mode == Restore.Mode.NEW:
        check_restore_name(target)
    chosen = choose_tables(backup, side_schema, tables) if mode == Restore.Mode.SIDE else []
    if backup.damaged_at is not None:
        raise RequestError(f"Backup {backup.pk} is damaged: {backup.damage}")
    if backup.is_foreign and mode != Restore.Mode.NEW:
        raise RequestError(ONLY_BESIDE)
    database = into or backup.database
    if database is None and backup.is_foreign:
        raise RequestError("Choose on which database's server it is restored: the dump came from none of them.")
    if database is None:
        raise RequestError(
            f"The database of backup {backup.pk} was removed from the portal: add it again, "
            "or recover by hand as the restore runbook says."
        )
    reason = break_glass_reason.strip()
    needs = needs_approval(database.environment, backup, mode, is_masked=bool(masking_sql.strip()))
    waits = needs and not reason
    fields: dict[str, Any] = {
        "mode": mode,
        "target": into,
        "side_schema": side_schema,
        "chosen_tables": chosen,
        "masking_sql": masking_sql,
        "skips_safety_backup": skips_safety_backup,
        "reason": reason[:300],
        "is_break_glass": needs and bool(reason),
        "state": State.WAITING if waits else State.QUEUED,
        "approval_expires_at": timezone.now() + APPROVAL_LASTS if waits else None,
    }
    return _create(backup, target, database.environment, actor, actor_name, trigger, fields)


def choose_tables(backup: Backup, side_schema: str, wanted: Sequence[str]) -> list[str]:
    """The tables of the backup that ``wanted`` names, "schema.*" for all of a schema. Raises RequestError."""
    check_side_schema(side_schema)
    chosen: dict[str, str] = {}
    for name in wanted:
        schema = name.removesuffix(".*")
        found = [table for table in backup.tables if table == name or (schema != name and _schema_of(table) == schema)]
        if not found:
            raise RequestError(f"Backup {backup.pk} has no table {name}.")
        for table in found:
            other = chosen.setdefault(split_table(table)[1], table)
            if other != table:
                raise RequestError(f"{other} and {table} would be the same in one schema: restore one at a time.")
    if not chosen:
        raise RequestError("Choose at least one table.")
    return sorted(chosen.values())


def _schema_of(table: str) -> str:
    return split_table(table)[0]


def request_undo(
    restore: Restore, *, actor: Actor = None, actor_name: str = "", trigger: str = Trigger.MANUAL
) -> Restore:
    """A queued undoing: the database before gets its name back. Raises RequestError when it is not kept any more."""
    if not restore.can_be_undone:
        raise RequestError(f"Restore {restore.pk} cannot be undone: no database of before is kept.")
    newer = Restore.objects.filter(
        pk__gt=restore.pk, target_database=restore.target_database, state=State.DONE, kept_database__gt=""
    )
    if any(each.swap.get("live_oid") == restore.swap.get("incoming_oid") for each in newer):
        raise RequestError(f"The database of restore {restore.pk} was replaced again since: undo that restore first.")
    environment = restore.target.environment if restore.target else restore.backup.environment
    fields = {"mode": Restore.Mode.UNDO, "target": restore.target, "undoes": restore}
    return _create(restore.backup, restore.target_database, environment, actor, actor_name, trigger, fields)


def needs_approval(environment: Environment, backup: Backup, mode: str, *, is_masked: bool) -> bool:
    """Whether a second operator must agree: a production database is changed, or its data would leave it unmasked.

    A new database beside changes none that is in use.
    """
    if not settings.RESTORE_NEEDS_APPROVAL:
        return False
    if mode in {Restore.Mode.REPLACE, Restore.Mode.SIDE} and environment.kind == Environment.Kind.PRODUCTION:
        return True
    source = backup.environment
    leaves = source is not None and source.kind == Environment.Kind.PRODUCTION and environment.pk != source.pk
    return leaves and environment.kind != Environment.Kind.PRODUCTION and not is_masked


def approve(restore: Restore, actor: Actor) -> None:
    """Let a waiting restore go on, as another operator than the one who asked. Raises RequestError."""
    if actor is None or not actor.is_authenticated or actor.pk == restore.requested_by_id:
        raise RequestError("A second operator has to approve: whoever asked for the restore cannot.")
    now = timezone.now()
    waiting = Restore.objects.filter(pk=restore.pk, state=State.WAITING, approval_expires_at__gt=now)
    with transaction.atomic():
        if not waiting.update(
            state=State.QUEUED, approved_by_id=actor.pk, approved_by_name=actor.get_username(), approved_at=now
        ):
            raise RequestError("The restore does not wait for approval any more: ask for it again.")
        _record("approved a restore of", restore, actor, "", {})


def expire_waiting(now: datetime) -> int:
    """Cancel what nobody approved in time; how many."""
    late = Restore.objects.filter(state=State.WAITING, approval_expires_at__lte=now)
    return late.update(
        state=State.CANCELLED, finished_at=now, error="Nobody approved it within an hour: ask for it again."
    )


def _create(
    backup: Backup,
    target: str,
    environment: Environment | None,
    actor: Actor,
    actor_name: str,
    trigger: str,
    fields: dict[str, Any],
) -> Restore:
    who = catalogue.describe_requester(actor, actor_name)
    try:
        with transaction.atomic():
            restore = Restore.objects.create(backup=backup, target_database=target, trigger=trigger, **who, **fields)
            detail = {"reason": restore.reason} if restore.is_break_glass else {}
            action = "broke the glass for a restore of" if restore.is_break_glass else "requested a restore of"
            _record(action, restore, actor, actor_name, detail)
            if restore.is_break_glass:
                transaction.on_commit(lambda: alarms.tell_of_broken_glass(restore, environment))
    except IntegrityError:
        raise RequestError(f"Backup {backup.pk} is being restored into {target} already.") from None
    return restore


def _record(action: str, restore: Restore, actor: Actor, actor_name: str, detail: dict[str, Any]) -> None:
    environment = restore.target.environment if restore.target else restore.backup.environment
    audit.record(
        action,
        actor=actor,
        actor_name=actor_name,
        environment=environment,
        subject=str(restore),
        detail={"backup": restore.backup_id, "restore": restore.pk, **detail},
    )
