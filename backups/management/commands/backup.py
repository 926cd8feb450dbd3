"""Backups for scripts, in the foreground without a worker; reads the catalogue, writes what backups.tasks would write.

stdout holds the answer (with --json nothing but JSON, one object a line), stderr progress and sentences.
Exit status: 0 fine, 1 bad news, 2 usage or something unknown, 3 could not tell.
"""

from __future__ import annotations

import json
import secrets
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import QuerySet
from django.utils import timezone

from backups import (
    backup_check,
    catalogue,
    copying,
    dumps,
    errors,
    imports,
    preflight,
    pruning,
    restore_requests,
    restores,
    servers,
    storage,
    store_check,
    store_report,
    stores,
    verify,
)
from backups.errors import ErrorCode, RequestError
from backups.listing import describe_backup, describe_listed, describe_restore, describe_verification
from backups.models import Backup, BackupSchedule, Job, Restore, State, Trigger, Verification
from backups.names import check_restore_name, check_side_schema
from backups.store_config import LOCAL
from portal import audit
from portal.audit import COMMAND_LINE
from portal.command_exits import BAD_NEWS, COULD_NOT_TELL, USAGE, database_errors_explained, refuse
from portal.keys import KeyFileError
from portal.secrets import SecretError
from readiness.models import Database, Environment

LIST_LENGTH = 200

_BY_COMMAND: dict[str, Any] = {"actor_name": COMMAND_LINE, "trigger": Trigger.COMMAND}


class Command(BaseCommand):
    help = "Take, list, verify, prove and restore backups."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        create = actions.add_parser("create", help="take a backup of a database and verify it")
        create.add_argument("environment", metavar="ENV", help="slug of the environment")
        create.add_argument("--database", metavar="D", help="may be left out when the environment has one")
        create.add_argument("--prove", action="store_true", help="prove it by a restore as well")
        create.add_argument("--store", action="append", metavar="STORE", help="where to, repeatable; else the default")
        create.add_argument("--globals", action="store_true", help="roles and settings of the server beside it")
        listed = actions.add_parser("list", help="list backups, newest first")
        listed.add_argument("environment", metavar="ENV", nargs="?", help="slug of the environment, else all")
        for action, text in (
            ("verify", "read a backup from beginning to end"),
            ("prove", "restore a backup into a scratch database and compare"),
            ("restore", "restore a backup into a new database on its own server"),
        ):
            one = actions.add_parser(action, help=text)
            one.add_argument("id", type=int, metavar="ID")
            if action == "restore":
                _add_restore_arguments(one)
        undo = actions.add_parser("undo", help="give the database before a restore its name back")
        undo.add_argument("restore", type=int, metavar="RESTORE")
        undo.add_argument("--yes-i-mean", metavar="ENV", help="slug of the environment that is changed")
        prune = actions.add_parser("prune", help="let expire what no retention rule keeps")
        prune.add_argument("environment", metavar="ENV", help="slug of the environment")
        prune.add_argument("--dry-run", action="store_true", help="only say what would go, and why")
        rebuild = actions.add_parser("rebuild", help="make catalogue rows from the manifests in the store")
        rebuild.add_argument(
            "store", metavar="STORE", help="the store's name, or its directory as BACKUP_STORE names it"
        )
        reconcile = actions.add_parser("reconcile", help="list files without a backup and backups without a file")
        reconcile.add_argument("store", metavar="STORE", nargs="?", help="name of the store, else all")
        listed_stores = actions.add_parser("stores", help="list the stores")
        listed_stores.add_argument(
            "--test", action="store_true", help="write, read back and delete a small file in each"
        )
        listed_stores.add_argument("store", metavar="STORE", nargs="*", help="names of stores, else all")
        check = actions.add_parser("check", help="say what would stand in the way of a backup, without taking one")
        check.add_argument("environment", metavar="ENV", help="slug of the environment")
        check.add_argument("--database", metavar="D", help="may be left out when the environment has one")
        take_in = actions.add_parser("import", help="take in a dump that was made elsewhere")
        take_in.add_argument("environment", metavar="ENV")
        take_in.add_argument("file", metavar="FILE", help="of pg_dump in any format, or SQL; also as gzip")
        export = actions.add_parser("export", help="write a plain archive for pg_restore")
        export.add_argument("id", type=int, metavar="ID")
        export.add_argument("file", metavar="FILE", help="must not exist yet; not encrypted")
        pin = actions.add_parser("pin", help="keep a backup from expiring")
        pin.add_argument("id", type=int, metavar="ID")
        pin.add_argument("reason", metavar="REASON", help="why; empty takes the pin away")
        for each in actions.choices.values():
            each.add_argument("--json", action="store_true", help="print JSON, one object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        self._is_json: bool = options["json"]
        self._shown: tuple[str, float] = ("", 0.0)
        previous = signal.signal(signal.SIGTERM, _raise_exit)
        try:
            with database_errors_explained(self):
                status = self._act(options)
        except RequestError as error:
            self._refuse(str(error), BAD_NEWS)
        except errors.JobError as error:
            self._refuse(error.sentence, COULD_NOT_TELL if error.code in errors.COULD_NOT_TELL else BAD_NEWS)
        except (SecretError, KeyFileError) as error:
            self._refuse(str(error), COULD_NOT_TELL)
        except KeyboardInterrupt:
            self._refuse("Interrupted; nothing half made was kept.", 128 + signal.SIGINT)
        finally:
            signal.signal(signal.SIGTERM, previous)
        if status:
            raise SystemExit(status)

    def _act(self, options: dict[str, Any]) -> int:
        match options["action"]:
            case "create":
                database = self._find_database(options["environment"], options["database"])
                return self._create(database, options)
            case "import":
                return self._import(self._find_environment(options["environment"]), Path(options["file"]))
            case "list":
                return self._list(options["environment"])
            case "restore":
                return self._restore(self._find_backup(options["id"]), options)
            case "prune":
                return self._prune(self._find_environment(options["environment"]), is_dry=options["dry_run"])
            case "rebuild":
                return self._rebuild(options["store"])
            case "reconcile":
                return self._reconcile([options["store"]] if options["store"] else stores.list_stores())
            case "stores":
                return self._stores(options["store"] or stores.list_stores(), is_test=options["test"])
            case "check":
                return self._check(self._find_database(options["environment"], options["database"]))
            case "export":
                return self._export(self._find_backup(options["id"]), Path(options["file"]))
            case "pin":
                backup = self._find_backup(options["id"])
                catalogue.pin(backup, options["reason"], actor_name=COMMAND_LINE)
                backup.refresh_from_db()
                self._answer(
                    {"id": backup.pk, "pin": backup.pin_reason}, f"{backup}: {backup.pin_reason or 'unpinned'}."
                )
                return 0
            case "undo":
                return self._undo(options["restore"], options["yes_i_mean"])
            case kind:
                return self._read(self._find_backup(options["id"]), kind)

    def _create(self, database: Database, options: dict[str, Any]) -> int:
        wanted = tuple(self._find_store(name) for name in options["store"] or ())
        plan = catalogue.Plan(stores=wanted, with_globals=options["globals"])
        backup = dumps.take(catalogue.request_backup(database, plan=plan, **_BY_COMMAND).pk, self._notice)
        if backup is None:
            self._refuse("The backup was cancelled before it began.", BAD_NEWS)
        return self._read_taken(backup, ("verify", "prove") if options["prove"] else ("verify",))

    def _read_taken(self, backup: Backup, kinds: Sequence[str]) -> int:
        """Copy what was taken, read it, and say what came of it."""
        status = _status_of(backup)
        for sentence in backup.warnings:
            self._explain(sentence)
        for copy in backup.copies.filter(state=State.QUEUED):
            copied = copying.copy(copy.pk, self._notice)
            self._explain(copied.error if copied is not None else "")
        for kind in kinds:
            if status == 0:
                status = self._verify_or_prove(backup, kind)[1]
        backup.refresh_from_db()
        self._answer(describe_backup(backup), f"{backup}: {backup.status}. {backup.error or backup.damage}".strip())
        self._explain(backup.error or backup.damage)
        return status

    def _import(self, environment: Environment, path: Path) -> int:
        name = imports.name_upload(secrets.token_hex(8))
        try:
            if path.stat().st_size > imports.max_bytes():
                self._refuse(f"{path} is bigger than IMPORT_MAX_MB allows.", USAGE)
            source = path.open("rb")
        except OSError as error:
            self._refuse(f"The file {path} cannot be read ({type(error).__name__}).", USAGE)
        backup = catalogue.request_import(
            environment, {"name": path.name[:100], "where": "upload", "file": name}, actor_name=COMMAND_LINE
        )
        with source:
            imports.keep_upload(source, name)
        taken = imports.take_in(backup.pk, self._notice)
        if taken is None:
            self._refuse("It was cancelled before it began.", BAD_NEWS)
        return self._read_taken(taken, ("verify",))

    def _list(self, slug: str | None) -> int:
        backups: QuerySet[Backup] = Backup.objects.all()
        if slug is not None:
            if not Backup.objects.filter(environment_slug=slug).exists():
                self._find_environment(slug)
            backups = backups.filter(environment_slug=slug)
        for backup in backups.defer("tables", "metadata").prefetch_related("copies")[:LIST_LENGTH]:
            size = f"{backup.bytes / 1_000_000:,.1f} MB" if backup.bytes is not None else "-"
            at = backup.taken_at or backup.requested_at
            self._answer(
                describe_listed(backup),
                f"{backup.pk:>6}  {at:%Y-%m-%d %H:%M}  {backup.environment_slug}/{backup.database_name}  "
                f"{backup.status}  {size}",
            )
        return 0

    def _read(self, backup: Backup, kind: str) -> int:
        verification, status = self._verify_or_prove(backup, kind)
        backup.refresh_from_db()
        self._answer(describe_verification(verification, backup), f"{backup}: {verification.outcome}.")
        return status

    def _verify_or_prove(self, backup: Backup, kind: str) -> tuple[Verification, int]:
        request = catalogue.request_verification(backup, kind, **_BY_COMMAND)
        done = (verify.verify if kind == "verify" else verify.prove)(request.pk, self._notice)
        if done is None:
            self._refuse("It was cancelled before it began.", BAD_NEWS)
        self._explain(done.detail or done.error)
        if done.state == State.CANCELLED or done.outcome == Verification.Outcome.FAIL:
            return done, BAD_NEWS
        return done, 0 if done.outcome == Verification.Outcome.PASS else COULD_NOT_TELL

    def _restore(self, backup: Backup, options: dict[str, Any]) -> int:
        target, into = options["into"], None
        if options["environment"]:
            into = self._find_database(options["environment"], options["database"])
        database = into or backup.database
        mode = Restore.Mode.NEW
        if options["replace"]:
            mode = Restore.Mode.REPLACE
            self._require_meant(database, options["yes_i_mean"])
            found = preflight.look_at_replace(backup, into, masks=bool(options["mask"]))
            for step in found.steps:
                self._explain(f"  {step.text}  {step.command}".rstrip())
            for sentence in found.warnings:
                self._explain(f"  ! {sentence}")
            if not found.is_possible:
                self._refuse(found.objections[0], BAD_NEWS)
            target = found.live
        elif options["beside"]:
            mode = Restore.Mode.SIDE
            server = servers.own_server(into) if into else servers.server_of_backup(backup)
            target = server.place.database
            try:
                check_side_schema(options["beside"])
            except RequestError as error:
                self._refuse(str(error), USAGE)
        else:
            try:
                check_restore_name(target)
            except RequestError as error:
                self._refuse(str(error), USAGE)
        request = restore_requests.request_restore(
            backup,
            target,
            into=into,
            mode=mode,
            masking_sql=self._read_script(options["mask"]),
            break_glass_reason=options["break_glass"] or "",
            skips_safety_backup=options["no_safety_backup"],
            side_schema=options["beside"] or "",
            tables=options["table"],
            **_BY_COMMAND,
        )
        if request.is_waiting:
            self._answer(describe_restore(request), f"{request}: waiting for approval.")
            self._explain(
                f"A second operator has to approve it on the page of restore {request.pk} within an hour. "
                "Alone: --break-glass REASON, which tells all administrators."
            )
            return COULD_NOT_TELL
        return self._run_restore(request)

    def _undo(self, restore_id: int, typed: str | None) -> int:
        restore = Restore.objects.filter(pk=restore_id).first()
        if restore is None:
            self._refuse(f"There is no restore {restore_id}.", USAGE)
        self._require_meant(restore.target or restore.backup.database, typed)
        return self._run_restore(restore_requests.request_undo(restore, **_BY_COMMAND))

    def _prune(self, environment: Environment, *, is_dry: bool) -> int:
        schedules = BackupSchedule.objects.filter(database__environment=environment).select_related("database")
        now = timezone.now()
        found = pruning.find_expirable(schedules, now) if is_dry else pruning.prune(schedules, now)
        stays = Backup.objects.filter(environment=environment, expired_at__isnull=False).exclude(delete_error="")
        for each in found:
            answer = {"id": each.backup.pk, "bytes": each.backup.bytes, "because": each.decision.sentence}
            verb = "would go" if is_dry else "goes"
            self._answer(answer, f"{each.backup} {verb}: {each.decision.sentence}.")
        for backup in stays:
            self._explain(f"{backup} could not be deleted and is tried again: {backup.delete_error}")
        return BAD_NEWS if stays else 0

    def _rebuild(self, store: str) -> int:
        if store not in stores.list_stores() and Path(store).resolve() == storage.store_directory().resolve():
            store = LOCAL
        if store not in stores.list_stores():
            self._refuse(
                f"Set BACKUP_STORE to {store}; it is {storage.store_directory()} now. "
                f"Or name one of the stores: {', '.join(stores.list_stores())}.",
                USAGE,
            )
        rebuilt = store_check.rebuild_catalogue(COMMAND_LINE, store)
        for backup in rebuilt.added:
            self._answer(describe_listed(backup), f"{backup}: added, taken {backup.taken_at:%Y-%m-%d %H:%M}.")
        for sentence in rebuilt.refused:
            self._explain(sentence)
        self._explain(
            f"{len(rebuilt.added)} added, {rebuilt.linked} linked to a database, {len(rebuilt.refused)} left out."
        )
        return BAD_NEWS if rebuilt.refused else 0

    def _reconcile(self, names: list[str]) -> int:
        status = 0
        for name in names:
            try:
                difference = store_check.compare_store(self._find_store(name))
            except errors.JobError as error:
                self._explain(error.sentence)
                status = COULD_NOT_TELL
                continue
            for orphan in difference.orphans:
                self._answer({"store": name, "orphan": orphan}, f"{name}: {orphan} belongs to no backup.")
            for backup in difference.missing:
                self._answer(
                    {"store": name, "missing": backup.artifact, "id": backup.pk},
                    f"{name}: {backup} has no file {backup.artifact}.",
                )
            if difference.orphans or difference.missing:
                status = max(status, BAD_NEWS)
        return status

    def _stores(self, names: list[str], *, is_test: bool) -> int:
        status = 0
        for name in names:
            self._find_store(name)
            error = store_report.test_store(name) if is_test else ""
            status = COULD_NOT_TELL if error else status
        for report in store_report.read_reports():
            if report.name in names:
                self._answer(report.as_json_object(), report.line)
        return status

    def _check(self, database: Database) -> int:
        found = backup_check.look(database)
        for sentence in found.objections:
            self._explain(sentence)
        for sentence in found.warnings:
            self._explain(f"! {sentence}")
        state = "possible" if not found.objections else "not possible" if found.is_told else "not to be told of"
        self._answer({"database": str(database), **found.as_json_object()}, f"{database}: a backup is {state}.")
        if not found.is_told:
            return COULD_NOT_TELL
        return BAD_NEWS if found.objections else 0

    def _export(self, backup: Backup, path: Path) -> int:
        catalogue.require_done(backup)
        size = store_check.export_plain(backup, path)
        audit.record("exported", actor_name=COMMAND_LINE, environment=backup.environment, subject=str(backup))
        self._answer(
            {"id": backup.pk, "file": str(path.resolve()), "bytes": size}, f"{backup}: {path}, {size:,} bytes."
        )
        self._explain("The file is not encrypted: delete it when you are done.")
        return 0

    def _run_restore(self, request: Restore) -> int:
        restore = restores.restore(request.pk, self._notice)
        if restore is None:
            self._refuse("The restore was cancelled before it began.", BAD_NEWS)
        self._answer(describe_restore(restore), f"{restore}: {restore.state}.")
        self._explain(restore.error)
        return USAGE if restore.error_code == ErrorCode.NAME_TAKEN else _status_of(restore)

    def _require_meant(self, database: Database | None, typed: str | None) -> None:
        """The database in use is replaced only for somebody who says whose it is."""
        slug = database.environment.slug if database is not None else "?"
        if typed != slug:
            self._refuse(f"This changes the database in use of {slug}: add --yes-i-mean {slug}.", USAGE)

    def _read_script(self, path: str | None) -> str:
        if path is None:
            return ""
        try:
            script = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self._refuse(f"The masking script {path} cannot be read ({type(error).__name__}).", USAGE)
        if not script.strip():
            self._refuse(f"The masking script {path} is empty.", USAGE)
        return script

    def _find_environment(self, slug: str) -> Environment:
        environment = Environment.objects.filter(slug=slug).first()
        if environment is None:
            known = ", ".join(Environment.objects.order_by("slug").values_list("slug", flat=True)[:20]) or "none yet"
            self._refuse(f"There is no environment {slug!r}; there are: {known}.", USAGE)
        return environment

    def _find_database(self, slug: str, name: str | None) -> Database:
        environment = self._find_environment(slug)
        if environment.retired_at is not None:
            self._refuse(f"The environment {slug} was retired; nothing of it is backed up any more.", USAGE)
        databases = {database.name: database for database in environment.databases.all()}
        names = ", ".join(databases)
        if not databases:
            self._refuse(f"The environment {slug} has no database: connect one first.", USAGE)
        if name is None and len(databases) > 1:
            self._refuse(f"The environment {slug} has several databases, choose with --database: {names}.", USAGE)
        chosen = next(iter(databases.values())) if name is None else databases.get(name)
        if chosen is None:
            self._refuse(f"The environment {slug} has no database {name!r}; there are: {names}.", USAGE)
        return chosen

    def _find_store(self, name: str) -> str:
        if name not in stores.list_stores():
            self._refuse(f"There is no backup store {name!r}; there are: {', '.join(stores.list_stores())}.", USAGE)
        return name

    def _find_backup(self, backup_id: int) -> Backup:
        backup = Backup.objects.filter(pk=backup_id).first()
        if backup is None:
            self._refuse(f"There is no backup {backup_id}: backup list shows those that exist.", USAGE)
        return backup

    def _answer(self, json_object: dict[str, Any], line: str) -> None:
        self.stdout.write(json.dumps(json_object, ensure_ascii=False) if self._is_json else line)

    def _notice(self, phase: str, percent: int | None) -> None:
        """Progress for people who wait: every new phase, otherwise at most every five seconds."""
        shown, at = self._shown
        if phase == shown and time.monotonic() - at < 5:
            return
        self._shown = (phase, time.monotonic())
        self._explain(phase if percent is None else f"{phase} ({percent} %)")

    def _explain(self, sentence: str) -> None:
        if sentence:
            self.stderr.write(sentence)

    def _refuse(self, sentence: str, status: int) -> NoReturn:
        refuse(self, sentence, status)


def _add_restore_arguments(parser: CommandParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--into", metavar="NEWDB", help="a name that is not taken")
    where.add_argument("--beside", metavar="SCHEMA", help="tables into a schema that is not there yet, see --table")
    where.add_argument("--replace", action="store_true", help="take the place of the database in use, which is kept")
    parser.add_argument(
        "--table",
        metavar="SCHEMA.TABLE",
        action="append",
        default=[],
        help="with --beside; SCHEMA.* for all; repeatable",
    )
    parser.add_argument("--environment", metavar="ENV", help="on the server of this environment, else the backup's own")
    parser.add_argument("--database", metavar="D", help="which database of --environment, where it has several")
    parser.add_argument("--mask", metavar="FILE", help="SQL that runs before anybody can connect")
    parser.add_argument("--yes-i-mean", metavar="ENV", help="with --replace: slug of the environment that is changed")
    parser.add_argument(
        "--break-glass", metavar="REASON", help="without a second operator; all administrators are told"
    )
    parser.add_argument("--no-safety-backup", action="store_true", help="where the database in use cannot be read")


def _status_of(job: Job) -> int:
    if job.state == State.DONE:
        return 0
    return COULD_NOT_TELL if job.error_code in errors.COULD_NOT_TELL else BAD_NEWS


def _raise_exit(_signal: int, _frame: object) -> None:
    """A polite end: children are ended, files removed, the row says why."""
    raise SystemExit(128 + signal.SIGTERM)
