"""manage.py backup as scripts use it: JSON on stdout, sentences on stderr, exit status."""

from __future__ import annotations

import hashlib
import json
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import catalogue
from backups.models import Backup, Trigger
from readiness.models import Database, Environment
from tests.backups.conftest import SHOP_TABLES
from tests.backups.store_settings import use_stores
from tests.conftest import Server

Answer = tuple[int, list[dict[str, Any]], str]


def run(*arguments: str) -> Answer:
    """Exit status, the objects on stdout, what was said on stderr."""
    stdout, stderr = StringIO(), StringIO()
    status = 0
    try:
        call_command("backup", *arguments, "--json", stdout=stdout, stderr=stderr)
    except SystemExit as ended:
        status = int(ended.code or 0)
    return status, [json.loads(line) for line in stdout.getvalue().splitlines()], stderr.getvalue()


def test_it_creates_and_verifies(database: Database) -> None:
    status, [answer], said = run("create", "shop-production")
    assert status == 0
    artifact = Path(answer["artifact"])
    assert artifact.is_absolute()
    assert answer["status"] == "verified"
    assert answer["bytes"] == artifact.stat().st_size
    assert answer["sha256"] == hashlib.sha256(artifact.read_bytes()).hexdigest()
    assert answer["duration_ms"] > 0
    assert set(answer["snapshot"]) == {"lsn", "timeline", "taken_at", "system_identifier", "server_version"}
    assert answer["tables"] == SHOP_TABLES
    assert "connecting" in said
    backup = Backup.objects.get(pk=answer["id"])
    assert (backup.trigger, backup.requested_by_name) == (Trigger.COMMAND, "command line")


def test_it_proves_as_well_when_asked(database: Database) -> None:
    status, [answer], _ = run("create", "shop-production", "--database", "main", "--prove")
    assert (status, answer["status"]) == (0, "proven")


def test_it_could_not_tell_when_it_is_not_provable_here(database: Database) -> None:
    Database.objects.update(prove_on_own_server=False)
    status, [answer], said = run("create", "shop-production", "--prove")
    assert (status, answer["status"]) == (3, "verified")
    assert "is the database's own server" in said


def test_it_could_not_tell_when_the_database_is_not_reachable(database: Database) -> None:
    Database.objects.update(dsn="postgresql://app:s3cret@127.0.0.1:1/shop")
    status, [answer], said = run("create", "shop-production")
    assert (status, answer["status"], answer["artifact"]) == (3, "failed", None)
    assert "127.0.0.1:1" in answer["error"]
    assert answer["error"] in said
    assert "s3cret" not in said + json.dumps(answer)
    assert "Traceback" not in said


def test_it_brings_bad_news_of_a_backup_that_failed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backups.stores.DirectoryStore.free_bytes", lambda _store: 0)
    status, [answer], _ = run("create", "shop-production")
    assert (status, answer["status"]) == (1, "failed")


def test_it_refuses_a_second_backup_at_the_same_time(database: Database) -> None:
    catalogue.request_backup(database)
    status, answers, said = run("create", "shop-production")
    assert (status, answers) == (1, [])
    assert "under way already" in said


def test_it_lists_newest_first(backup: Backup, database: Database) -> None:
    run("create", "shop-production")
    status, answers, _ = run("list", "shop-production")
    assert status == 0
    assert [answer["status"] for answer in answers] == ["verified", "done"]
    assert answers[1]["id"] == backup.pk
    assert run("list")[1] == answers


def test_it_verifies_every_time_anew(backup: Backup) -> None:
    status, [answer], _ = run("verify", str(backup.pk))
    assert (status, answer["outcome"], answer["status"]) == (0, "pass", "verified")
    path = Path(answer["artifact"])
    whole = path.read_bytes()
    path.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    status, [answer], said = run("verify", str(backup.pk))
    assert (status, answer["outcome"], answer["status"]) == (1, "fail", "damaged")
    assert "is damaged" in said
    assert path.exists()
    path.write_bytes(whole)
    assert run("verify", str(backup.pk))[0] == 0


def test_it_proves(backup: Backup) -> None:
    status, [answer], _ = run("prove", str(backup.pk))
    assert (status, answer["kind"], answer["outcome"], answer["status"]) == (0, "prove", "pass", "proven")
    assert answer["compared"]["rows"] == 5150


def test_it_restores_into_a_new_database(backup: Backup, server: Server) -> None:
    server.drop_database("shop_back")
    server.made.append("shop_back")
    status, [answer], _ = run("restore", str(backup.pk), "--into", "shop_back")
    assert (status, answer["status"], answer["into"], answer["equal"]) == (0, "done", "shop_back", True)
    assert server.has_database("shop_back")
    status, [answer], said = run("restore", str(backup.pk), "--into", "shop_back")
    assert (status, answer["status"], answer["equal"]) == (2, "failed", None)
    assert "already has a database shop_back" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "nowhere"], "no environment 'nowhere'"),
        (["create", "shop-production", "--database", "stats"], "no database 'stats'"),
        (["list", "nowhere"], "no environment 'nowhere'"),
        (["verify", "4711"], "no backup 4711"),
        (["prove", "4711"], "no backup 4711"),
        (["restore", "4711", "--into", "x"], "no backup 4711"),
    ],
)
def test_it_says_what_it_does_not_know(database: Database, arguments: list[str], words: str) -> None:
    status, answers, said = run(*arguments)
    assert (status, answers) == (2, [])
    assert words in said


def test_it_refuses_a_name_that_is_reserved(backup: Backup) -> None:
    status, answers, said = run("restore", str(backup.pk), "--into", "template1")
    assert (status, answers) == (2, [])
    assert "template1" in said


def test_it_asks_which_of_several_databases(database: Database) -> None:
    Database.objects.create(environment=database.environment, name="stats", dsn="env:UNUSED")
    status, _, said = run("create", "shop-production")
    assert status == 2
    assert "main, stats" in said


def test_it_backs_up_nothing_that_was_retired_or_has_no_database(database: Database) -> None:
    Environment.objects.create(name="Bare", slug="bare")
    assert run("create", "bare")[0] == 2
    Environment.objects.update(retired_at=timezone.now())
    status, _, said = run("create", "shop-production")
    assert status == 2
    assert "retired" in said


@pytest.mark.django_db(transaction=True)
def test_it_works_as_a_process_of_its_own(
    database: Database, manage: list[str], process_env: dict[str, str], store: Path
) -> None:
    environment = {**process_env, "BACKUP_STORE": str(store)}
    ended = subprocess.run(
        [*manage, "backup", "create", "shop-production", "--prove", "--json"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["status"] == "proven"
    for arguments in (["verify", "not-a-number"], ["restore", "1"], ["unknown"], []):
        usage = subprocess.run([*manage, "backup", *arguments], env=environment, capture_output=True, check=False)
        assert (usage.returncode, usage.stdout) == (2, b"")


def test_it_says_in_one_sentence_that_the_portals_database_is_down(
    manage: list[str], process_env: dict[str, str]
) -> None:
    environment = {**process_env, "DATABASE_URL": "postgresql://app:s3cret@127.0.0.1:1/portal"}
    ended = subprocess.run(
        [*manage, "backup", "list", "--json"], env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.strip() == "The portal's own database cannot be reached: start it with make db or make run."


def test_it_replaces_only_for_somebody_who_says_whose_database_it_is(backup: Backup) -> None:
    status, answers, said = run("restore", str(backup.pk), "--replace", "--yes-i-mean", "shop-staging")
    assert (status, answers) == (2, [])
    assert "add --yes-i-mean shop-production" in said


def test_it_asks_a_second_operator_or_breaks_the_glass_and_undoes(backup: Backup, server: Server) -> None:
    replace = ("restore", str(backup.pk), "--replace", "--yes-i-mean", "shop-production")
    status, [answer], said = run(*replace)
    assert (status, answer["status"]) == (3, "waiting")
    assert "A second operator has to approve" in said
    status, [answer], said = run(*replace, "--break-glass", "nobody is awake", "--no-safety-backup")
    assert (status, answer["mode"], answer["equal"]) == (0, "replace", True)
    assert "BEGIN; ALTER DATABASE shop RENAME TO" in said
    kept = answer["kept"]
    status, [undone], _ = run("undo", str(answer["id"]), "--yes-i-mean", "shop-production")
    assert (status, undone["mode"], undone["status"]) == (0, "undo", "done")
    assert not server.has_database(kept)
    server.drop_database("shop")
    with server.connect() as other:
        other.execute(f"ALTER DATABASE {undone['kept']} ALLOW_CONNECTIONS true")
    server.drop_database(undone["kept"])


def test_it_takes_a_backup_into_named_stores_with_roles(database: Database, store: Path, settings: Settings) -> None:
    use_stores(settings, f'nas = {{kind = "directory", path = "{store.parent / "nas"}"}}')
    status, [answer], _ = run("create", "shop-production", "--store", "nas", "--store", "local", "--globals")
    assert (status, answer["status"]) == (0, "verified")
    assert [(copy["store"], copy["state"]) for copy in answer["copies"]] == [("local", "done"), ("nas", "done")]
    assert answer["artifact"] == answer["copies"][0]["address"]
    assert answer["globals"]["has_passwords"] is True
    assert (store.parent / "nas" / answer["globals"]["artifact"]).exists()
    assert run("create", "shop-production", "--store", "elsewhere")[0] == 2


def test_it_lists_and_tests_stores(database: Database, store: Path, settings: Settings) -> None:
    use_stores(settings, f'nas = {{kind = "directory", path = "{store.parent / "nas"}"}}')
    status, answers, _ = run("stores")
    assert (status, [answer["store"] for answer in answers]) == (0, ["local", "nas"])
    assert answers[0]["usable"] is None
    status, (answer,), _ = run("stores", "--test", "nas")
    assert (status, answer["usable"], answer["error"]) == (0, True, "")
    (store.parent / "nas").rmdir()
    (store.parent / "nas").write_text("a file is in the way")
    status, (answer,), _ = run("stores", "--test", "nas")
    assert (status, answer["usable"]) == (3, False)
    assert "The backup store" in answer["error"]
    assert run("stores", "elsewhere")[0] == 2


def test_it_rebuilds_from_a_store_by_name(database: Database, store: Path, settings: Settings) -> None:
    use_stores(settings, f'nas = {{kind = "directory", path = "{store.parent / "nas"}"}}')
    run("create", "shop-production", "--store", "nas")
    Backup.objects.all().delete()
    status, (answer,), _ = run("rebuild", "nas")
    assert (status, answer["status"]) == (0, "done")
    assert answer["artifact"].startswith(str(store.parent / "nas"))
    assert run("rebuild", "elsewhere")[0] == 2
    assert run("reconcile")[:2] == (0, [])


def test_it_checks_before_a_backup(database: Database) -> None:
    status, (answer,), _ = run("check", "shop-production")
    fine = {"database": "shop-production/main", "possible": True, "objections": [], "warnings": []}
    assert (status, answer) == (0, fine)
    database.dsn = "postgresql://nobody:x@127.0.0.1:9/none"
    database.save()
    status, (answer,), said = run("check", "shop-production")
    assert (status, answer["possible"]) == (3, None)
    assert "cannot be reached" in answer["objections"][0]
    assert "cannot be reached" in said


def test_it_restores_tables_beside(backup: Backup, server: Server) -> None:
    beside = ("restore", str(backup.pk), "--beside", "back", "--table", "log.*", "--table", "public.orders")
    status, [answer], said = run(*beside)
    assert (status, answer["status"], "A second operator has to approve" in said) == (3, "waiting", True)
    alone = (*beside, "--break-glass", "nobody is awake")
    status, [answer], _ = run(*alone)
    assert (status, answer["mode"], answer["into"], answer["schema"]) == (0, "side", "shop", "back")
    assert answer["compared"]["rows"] == 5100
    assert run(*alone)[0] == 2
    assert run("restore", str(backup.pk), "--beside", "public", "--table", "log.*")[0] == 2
    status, answers, said = run("restore", str(backup.pk), "--beside", "back2")
    assert (status, answers, "at least one table" in said) == (1, [], True)


def test_it_takes_in_a_dump_from_elsewhere(database: Database, tmp_path: Path) -> None:
    script = tmp_path / "theirs.sql"
    script.write_text("CREATE TABLE t (a int);\nINSERT INTO t VALUES (1);\n")
    status, [answer], _ = run("import", "shop-production", str(script))
    assert (status, answer["status"], answer["tables"]) == (0, "verified", {"public.t": 1})
    script.write_text("\\! true\n")
    status, [answer], said = run("import", "shop-production", str(script))
    assert (status, answer["status"], answer["artifact"]) == (1, "failed", None)
    assert "commands of psql, which are not run" in said
    assert run("import", "shop-production", str(tmp_path / "gone"))[0] == 2
