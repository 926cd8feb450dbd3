"""The pages before a restore, of assertions and of dumps from elsewhere: what they say, refuse and ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from backups import tasks
from backups.models import Backup, ProofAssertion, Restore, State
from portal.models import AuditEvent
from readiness.models import Database, Environment
from tests.backups.conftest import list_files
from tests.conftest import Server


@pytest.fixture
def operator(otto: User, sign_in: Callable[[User], Client]) -> Client:
    return sign_in(otto)


@pytest.fixture
def staging(server: Server, db: None) -> Database:
    """Another environment, on the same server."""
    server.create_database("lab")
    environment = Environment.objects.create(name="Lab", slug="lab", kind="staging")
    return Database.objects.create(environment=environment, name="main", dsn=server.dsn("lab"))


def page(client: Client, name: str, *arguments: Any, **query: Any) -> str:
    return client.get(reverse(name, args=arguments), query).content.decode()


def test_it_says_what_a_managed_servers_role_cannot_do_before_the_button(
    backup: Backup, server: Server, operator: Client
) -> None:
    with server.connect() as other:
        other.execute("DROP ROLE IF EXISTS managed")
        other.execute("CREATE ROLE managed LOGIN PASSWORD 'managed'")
    try:
        Database.objects.update(dsn="postgresql://managed:managed@" + server.url("shop").rpartition("@")[2])
        new = page(operator, "request_restore", backup.pk)
        assert "managed may not create databases on 127.0.0.1" in new
        assert "take tables into a schema beside" in new
        assert "only a superuser can give them to others" in new
        assert "GRANT CREATE ON DATABASE shop TO managed" in page(operator, "restore_beside", backup.pk)
        replace = page(operator, "replace_by_backup", backup.pk)
        assert "managed may not rename shop" in replace
        assert "Or restore into a new database" in replace
    finally:
        with server.connect() as other:
            other.execute("DROP ROLE managed")


def test_it_restores_masked_into_another_environments_server(
    backup: Backup, staging: Database, server: Server, operator: Client
) -> None:
    assert "Masking script" in page(operator, "request_restore", backup.pk, into=staging.pk)
    fields = {"into": staging.pk, "target": "lab_copy", "masking_sql": "UPDATE customers SET name = 'x'"}
    refused = operator.post(reverse("request_restore", args=[backup.pk]), {**fields, "confirmation": "Shop production"})
    assert refused.status_code == 400
    assert "This is not “Lab”" in refused.content.decode()
    answer = operator.post(reverse("request_restore", args=[backup.pk]), {**fields, "confirmation": "Lab"})
    restore = Restore.objects.get()
    assert answer["Location"] == reverse("restore", args=[restore.pk])
    assert (restore.target, restore.state) == (staging, State.QUEUED)
    server.made.append("lab_copy")
    assert tasks.restore_backup(restore.pk) == State.DONE
    with server.connect("lab_copy") as other:
        assert other.execute("SELECT DISTINCT name FROM customers").fetchall() == [("x",)]
    assert "of lab/main" in page(operator, "restore", restore.pk)


def test_production_leaves_unmasked_only_when_a_second_operator_agrees(
    backup: Backup, staging: Database, operator: Client
) -> None:
    fields = {"into": staging.pk, "target": "lab_copy", "confirmation": "Lab"}
    operator.post(reverse("request_restore", args=[backup.pk]), fields)
    restore = Restore.objects.get()
    assert (restore.is_waiting, OrmQ.objects.count()) == (True, 0)
    shown = page(operator, "restore", restore.pk)
    assert "A second operator has to approve it" in shown
    assert "is replaced" not in shown


def test_it_restores_tables_beside(backup: Backup, server: Server, operator: Client) -> None:
    shown = page(operator, "restore_beside", backup.pk)
    assert "log.* (all of the schema)" in shown
    assert "pg_restore --single-transaction --dbname=shop" in shown
    fields = {"into": backup.database_id, "tables": ["log.*", "public.orders"], "confirmation": "Shop production"}
    refused = operator.post(reverse("restore_beside", args=[backup.pk]), {**fields, "side_schema": "public"})
    assert (refused.status_code, Restore.objects.count()) == (400, 0)
    assert "A second operator has to approve it within an hour" in shown
    operator.post(reverse("restore_beside", args=[backup.pk]), {**fields, "side_schema": "waits"})
    assert Restore.objects.get().state == State.WAITING
    fields["break_glass_reason"] = "nobody is awake"
    operator.post(reverse("restore_beside", args=[backup.pk]), {**fields, "side_schema": "back"})
    restore = Restore.objects.get(side_schema="back")
    assert restore.is_break_glass
    assert tasks.restore_backup(restore.pk) == State.DONE
    with server.connect("shop") as other:
        assert other.execute("SELECT count(*) FROM back.orders").fetchone() == (5000,)
    shown = page(operator, "restore", restore.pk)
    assert "The schema <code>back</code> is there" in shown
    assert "Foreign keys, triggers and policies were left out" in shown


def test_an_owner_asserts_and_takes_it_back(database: Database, operator: Client) -> None:
    address = reverse("proof_assertions", args=["shop-production"])
    fields = {"database": database.pk, "name": "orders", "sql": "SELECT count(*) > 0 FROM orders"}
    assert operator.post(address, fields)["Location"] == address
    assertion = ProofAssertion.objects.get()
    shown = page(operator, "proof_assertions", "shop-production")
    assert "SELECT count(*) &gt; 0 FROM orders" in shown
    twice = operator.post(address, fields)
    assert (twice.status_code, "already exists" in twice.content.decode()) == (400, True)
    operator.post(reverse("remove_assertion", args=["shop-production", assertion.pk]))
    assert not ProofAssertion.objects.exists()
    actions = list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))
    assert actions[-2:] == ["asserts of", "no longer asserts of"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT count(*) FROM orders", "true or false"),
        ("SELECT true FROM gone", "main does not understand it: relation &quot;gone&quot; does not exist"),
        ("", "This field is required"),
        ("SELECT true -- " + "x" * 2000, "at most 2000 characters"),
    ],
)
def test_it_keeps_no_assertion_that_means_nothing(database: Database, operator: Client, text: str, said: str) -> None:
    fields = {"database": database.pk, "name": "x", "sql": text}
    answer = operator.post(reverse("proof_assertions", args=["shop-production"]), fields)
    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert not ProofAssertion.objects.exists()


def test_it_keeps_no_assertion_that_cannot_be_tried(database: Database, operator: Client) -> None:
    Database.objects.update(dsn="postgresql://app:s3cret@127.0.0.1:1/x")
    fields = {"database": database.pk, "name": "x", "sql": "SELECT true"}
    answer = operator.post(reverse("proof_assertions", args=["shop-production"]), fields).content.decode()
    assert "It cannot be tried now." in answer
    assert "s3cret" not in answer


SCRIPT = b"CREATE TABLE t (a int);\nINSERT INTO t VALUES (1), (2);\n"


def test_it_takes_in_an_upload(database: Database, store: Path, operator: Client) -> None:
    files = {"upload": SimpleUploadedFile("shop.sql", SCRIPT)}
    answer = operator.post(reverse("import_dump", args=["shop-production"]), files)
    backup = Backup.objects.get()
    assert answer["Location"] == reverse("backup", args=[backup.pk])
    (kept,) = list_files(store)
    assert (store / "incoming" / kept).read_bytes().startswith(b"age-encryption.org/v1")
    assert tasks.take_backup(backup.pk) == "proven"
    backup.refresh_from_db()
    assert backup.tables == {"public.t": 2}
    assert not (store / "incoming" / kept).exists()
    shown = page(operator, "backup", backup.pk)
    assert "shop.sql, plain SQL" in shown
    assert "Replace the database" not in shown
    assert list((Path(django_settings.VAR_DIR) / "tmp").glob("*")) == []
    assert AuditEvent.objects.filter(action="took in a dump from elsewhere as").exists()


def test_it_takes_a_file_of_the_store(database: Database, store: Path, operator: Client) -> None:
    store.mkdir()
    (store / "theirs.sql").write_bytes(SCRIPT)
    operator.post(reverse("import_dump", args=["shop-production"]), {"path": "theirs.sql"})
    assert tasks.take_backup(Backup.objects.get().pk) == "proven"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Give a file of at most 10,000 MB"),
        ({"path": "gone.dump"}, "has no such file"),
        ({"path": "../keys/age.txt"}, "has to be that of a file in the backup store"),
        ({"path": "/etc/passwd"}, "has to be that of a file in the backup store"),
        ({"upload": SimpleUploadedFile("empty.sql", b"")}, "empty"),
    ],
)
def test_it_takes_nothing_else(
    database: Database, store: Path, operator: Client, fields: dict[str, Any], said: str
) -> None:
    answer = operator.post(reverse("import_dump", args=["shop-production"]), fields)
    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert not Backup.objects.exists()


def test_it_takes_no_upload_that_is_too_big(database: Database, operator: Client, settings: Settings) -> None:
    settings.IMPORT_MAX_MB = 1
    files = {"upload": SimpleUploadedFile("big.sql", b"-" * 1_100_000)}
    answer = operator.post(reverse("import_dump", args=["shop-production"]), files)
    assert (answer.status_code, "at most 1 MB" in answer.content.decode()) == (400, True)
    assert list((Path(django_settings.VAR_DIR) / "tmp").glob("*")) == []
