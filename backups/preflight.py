"""Says before a restore what will happen, step by step, and what forbids it; reads servers, writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings

from backups import restore_requests, restores, servers, side_schemas, swapping
from backups.errors import JobError
from backups.models import Backup, Restore
from backups.proof_servers import choose_proof_server, read_server_facts
from backups.servers import Server
from readiness.models import Database

_NAME = "preflight preflight"


@dataclass(frozen=True)
class Step:
    """One thing that will be done: in words, and the command where there is one."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class Preflight:
    """What would happen, and what stands in the way: ``objections`` forbid it, ``warnings`` do not."""

    live: str
    server: str
    steps: tuple[Step, ...] = ()
    objections: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def is_possible(self) -> bool:
        return not self.objections


def look_at_replace(backup: Backup, target: Database | None, *, masks: bool = False) -> Preflight:
    """What replacing the target's database (by default the backup's own) with the backup would do. Changes nothing."""
    live, where = "?", "?"
    try:
        server = servers.own_server(target) if target else servers.server_of_backup(backup)
        live, where = server.place.database, server.place.server
        admin = servers.find_maintenance(server, _NAME)
        facts = read_server_facts(admin, _NAME)
        in_use = swapping.read_live_facts(admin, live, _NAME)
    except JobError as error:
        return Preflight(live, where, objections=(error.sentence,))
    objections: list[str] = []
    try:
        restores.require_possible(backup, facts, server, target=None)
    except JobError as error:
        objections.append(error.sentence)
    if backup.sibling and target is not None and target.pk == backup.database_id:
        objections.append(
            f"The backup is of {backup.sibling}, another database of the same server: it is not put in place of {live}."
        )
    if backup.is_foreign:
        objections.append(restore_requests.ONLY_BESIDE)
    if backup.damaged_at is not None:
        objections.append(f"Backup {backup.pk} is damaged: {backup.damage}")
    _, notes = restores.decide_owners(facts, backup.metadata)
    warnings = list(notes)
    if in_use is None:
        warnings.append(f"There is no database {live} on {where} now: it is made anew, and nothing is replaced.")
    else:
        objections += swapping.object_to_swap(in_use, live, server.place.user)
        warnings += _warn(backup, in_use, live)
    if backup.proven_at is None:
        warnings.append("This backup was never proven by a restore.")
    warnings += _warn_of_approval(backup, target, Restore.Mode.REPLACE, masks=masks)
    return Preflight(
        live, where, describe_replace(backup, server, in_use, masks=masks), tuple(objections), tuple(warnings)
    )


def look_at_new(backup: Backup, target: Database | None, *, masks: bool = False) -> Preflight:
    """What restoring into a new database on the target's server would do. Changes nothing."""
    try:
        own = servers.own_server(target or backup.database)
        admin = servers.find_maintenance(own, _NAME, or_own=True)
        facts = read_server_facts(admin, _NAME)
    except JobError as error:
        return Preflight("?", "?", objections=(error.sentence,))
    objections: list[str] = []
    try:
        restores.require_possible(backup, facts, own, target=None)
    except JobError as error:
        objections.append(error.sentence)
    warnings = list(() if backup.is_foreign else restores.decide_owners(facts, backup.metadata)[1])
    if backup.is_foreign:
        warnings.append("It came from elsewhere: all of it will belong to a role of its own, without other rights.")
    if backup.proven_at is None:
        warnings.append("This backup was never proven by a restore.")
    warnings += _warn_of_approval(backup, target, Restore.Mode.NEW, masks=masks)
    incoming = "preflight_restoring_N"
    steps = [
        Step("Make an empty database that nobody else can connect to.", f"CREATE DATABASE {incoming}"),
        Step("Restore the backup into it, stopping at the first error.", "age --decrypt | zstd -d | pg_restore"),
        Step(f"Compare its {len(backup.tables):,} tables with the backup."),
        *([Step("Run the masking script in it, in one transaction.", "BEGIN; ...; COMMIT")] if masks else []),
        Step("Give it its name.", f"ALTER DATABASE {incoming} RENAME TO ..."),
    ]
    return Preflight("", own.place.server, tuple(steps), tuple(objections), tuple(warnings))


def look_at_side(backup: Backup, target: Database | None, *, masks: bool = False) -> Preflight:
    """What restoring tables into a schema of the target's database, or of the one backed up, would do.

    Changes nothing.
    """
    live, where, scratch = "?", "?", "?"
    objections = [restore_requests.ONLY_BESIDE] if backup.is_foreign else []
    try:
        is_own = target is None or target.pk == backup.database_id
        server = servers.server_of_backup(backup) if is_own else servers.own_server(target)
        live, where = server.place.database, server.place.server
        side_schemas.require_room_for_schema(server, "", _NAME)
        scratch = choose_proof_server(backup, _NAME).server.place.server
    except JobError as error:
        objections.append(error.sentence)
    steps = [
        Step(f"Make a scratch database on the proof server {scratch} and restore the tables into it."),
        Step("Compare them with the backup, and move them into the new schema.", "ALTER TABLE ... SET SCHEMA ..."),
        *([Step("Run the masking script there, in one transaction.", "BEGIN; ...; COMMIT")] if masks else []),
        Step(
            f"Copy the schema into {live} in one transaction. Foreign keys, triggers and policies stay behind.",
            f"pg_dump --schema=... | pg_restore --single-transaction --dbname={live}",
        ),
        Step("Count its rows again, and drop the scratch database."),
    ]
    warnings = _warn_of_approval(backup, target, Restore.Mode.SIDE, masks=masks)
    return Preflight(live, where, tuple(steps), tuple(objections), tuple(warnings))


def _warn_of_approval(backup: Backup, target: Database | None, mode: str, *, masks: bool) -> list[str]:
    database = target or backup.database
    if database is None or not restore_requests.needs_approval(database.environment, backup, mode, is_masked=masks):
        return []
    return ["A second operator has to approve it within an hour, unless the glass is broken."]


def _warn(backup: Backup, in_use: swapping.LiveFacts, live: str) -> list[str]:
    warnings = []
    if in_use.sessions:
        count = sum(int(each["sessions"]) for each in in_use.sessions)
        names = ", ".join(str(each["name"]) for each in in_use.sessions[:5])
        warnings.append(f"{count} sessions are connected to {live} and will be ended: {names}.")
    size = int(backup.metadata.get("database_size_bytes", 0)) / 1_000_000
    warnings.append(
        f"The server needs room for a second database of about {size:,.0f} MB; SQL cannot tell how much is free."
    )
    return warnings


def describe_replace(
    backup: Backup, server: Server, in_use: swapping.LiveFacts | None, *, masks: bool
) -> tuple[Step, ...]:
    """The steps in their order, with the commands as they will be run."""
    live, incoming, kept = server.place.database, "preflight_restoring_N", "preflight_kept_N"
    days = settings.RESTORE_KEEP_OLD_DAYS
    steps = [
        Step(f"Check the manifest and that the artifact {backup.artifact} is there."),
        Step("Take a backup of the database as it is now, the safety backup.", f"pg_dump {live}")
        if in_use
        else Step("There is no database to take a safety backup of."),
        Step(
            "Make an empty database that nobody else can connect to.",
            f"CREATE DATABASE {incoming} TEMPLATE template0; REVOKE ALL ON DATABASE {incoming} FROM PUBLIC",
        ),
        Step(
            "Restore the backup into it, stopping at the first error.",
            f"age --decrypt | zstd -d | pg_restore --exit-on-error --no-subscriptions --dbname={incoming}",
        ),
        Step(f"Count the rows of its {len(backup.tables):,} tables and compare them with the backup's."),
    ]
    if masks:
        steps.append(Step("Run the masking script in it, in one transaction.", "BEGIN; ...; COMMIT"))
    if in_use is None:
        return (*steps, Step("Give it the name.", f"ALTER DATABASE {incoming} RENAME TO {live}"))
    copied = len(swapping.build_copies(live, in_use))
    return (
        *steps,
        Step("Close the database in use and end its sessions.", f"ALTER DATABASE {live} ALLOW_CONNECTIONS false"),
        Step(
            f"In one transaction, swap the names and copy owner, privileges and settings ({copied} statements).",
            f"BEGIN; ALTER DATABASE {live} RENAME TO {kept}; ALTER DATABASE {incoming} RENAME TO {live}; ...; COMMIT",
        ),
        Step(f"Keep the database before, closed, for {days} days. Undo swaps it back.", kept),
    )
