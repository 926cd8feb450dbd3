"""Secrets are encrypted at rest, survive a new key, and are told about in one sentence that holds nothing of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from pytest_django.fixtures import Settings

from portal.secrets import SecretError, decrypt, encrypt, is_reference, resolve_reference
from readiness.models import Database
from tests.readiness.factories import make_environment

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SECRET = "postgresql://shop:pä%20ss@db/shop"


def read_column(database: Database) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT dsn FROM readiness_database WHERE id = %s", [database.pk])
        return str(cursor.fetchone()[0])


def test_it_gives_back_what_it_encrypted(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [NEW]

    token = encrypt(SECRET)

    assert SECRET not in token
    assert encrypt(SECRET) != token
    assert decrypt(token) == SECRET


def test_it_reads_with_an_old_key_and_writes_with_the_new_one(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    token = encrypt(SECRET)

    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    assert decrypt(token) == SECRET
    renewed = encrypt(decrypt(token))

    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert decrypt(renewed) == SECRET


@pytest.mark.parametrize("token", [Fernet(OLD).encrypt(SECRET.encode()).decode(), "not a token", SECRET])
def test_it_says_what_to_do_about_a_secret_that_no_key_opens(settings: Settings, token: str) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [NEW]

    with pytest.raises(SecretError) as caught:
        decrypt(token)

    assert str(caught.value) == (
        "A stored secret cannot be decrypted with FIELD_ENCRYPTION_KEYS; "
        "add the key it was written with to the end of that list."
    )
    assert caught.value.__cause__ is None


@pytest.mark.django_db
def test_it_keeps_a_field_encrypted_in_the_database_only(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    made = Database.objects.create(environment=make_environment(), name="main", dsn=SECRET)
    assert made.dsn == SECRET
    assert SECRET not in read_column(made)

    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    loaded = Database.objects.get()
    assert loaded.dsn == SECRET
    loaded.save()

    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert Database.objects.get().dsn == SECRET


@pytest.mark.django_db
def test_it_opens_a_field_only_when_it_is_read(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    Database.objects.create(environment=make_environment(), name="main", dsn=SECRET)
    settings.FIELD_ENCRYPTION_KEYS = [NEW]

    (database,) = Database.objects.select_related("environment")

    assert database.name == "main"
    with pytest.raises(SecretError):
        _ = database.dsn
    database.dsn = "env:SHOP"
    database.save()
    assert Database.objects.defer("dsn").get().dsn == "env:SHOP"


def test_it_resolves_references_when_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHOP_DSN", f" {SECRET}\n")
    (tmp_path / "dsn").write_text(f"{SECRET}\n", encoding="utf-8")

    assert resolve_reference("env:SHOP_DSN") == SECRET
    assert resolve_reference(f"file:{tmp_path / 'dsn'}") == SECRET
    assert resolve_reference(SECRET) == SECRET


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("env:NOT_SET_ANYWHERE", "The environment variable NOT_SET_ANYWHERE is not set where the portal runs."),
        ("file:/no/such/file", "The file /no/such/file cannot be read: No such file or directory."),
        ("file:/", "The file / cannot be read: Is a directory."),
    ],
)
def test_it_says_where_a_reference_leads_nowhere(reference: str, sentence: str) -> None:
    with pytest.raises(SecretError) as caught:
        resolve_reference(reference)

    assert str(caught.value) == sentence


def test_it_does_not_take_bytes_for_a_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SecretError, match="does not hold text"):
        resolve_reference(f"file:{tmp_path / 'key'}")


def test_it_knows_what_may_be_shown() -> None:
    assert is_reference("env:NAME")
    assert is_reference("file:/run/secrets/dsn")
    assert not is_reference(SECRET)
    assert not is_reference("environment:NAME")
