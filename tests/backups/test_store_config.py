"""BACKUP_STORES: what may be written there, and the sentence for what may not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backups.store_config import StoreConfigError, read_stores
from tests.conftest import PROJECT

LOCAL = Path("/var/lib/preflight/backups")


def test_it_always_has_the_local_directory() -> None:
    stores = read_stores("", LOCAL)
    assert list(stores) == ["local"]
    assert (stores["local"].alias, stores["local"].address) == ("backups", str(LOCAL))
    assert stores["local"].as_storage()["OPTIONS"]["location"] == LOCAL


def test_it_reads_a_table_for_each_store() -> None:
    stores = read_stores(
        '[offsite]\nkind = "s3"\nbucket = "b"\nprefix = "/p/"\nsecret_key = "env:KEY"\nlock_days = 30\n'
        '[nas]\nkind = "directory"\npath = "/mnt/nas"\n'
        '[box]\nkind = "sftp"\nhost = "h"\nuser = "u"\npath = "/b"\nknown_hosts = "/k"\nport = 23\n',
        LOCAL,
    )
    assert list(stores) == ["local", "offsite", "nas", "box"]
    assert [store.address for store in stores.values()] == [str(LOCAL), "s3://b/p", "/mnt/nas", "sftp://h/b"]
    assert stores["offsite"].alias == "backups_offsite"
    assert stores["offsite"].as_storage() == {
        "BACKEND": "backups.store_kinds.s3.build",
        "OPTIONS": {"bucket": "b", "prefix": "/p/", "secret_key": "env:KEY", "lock_days": 30},
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("offsite =", "is not TOML"),
        ('offsite = "s3"', "offsite is a single value; give a table"),
        ('local = {kind = "s3", bucket = "b"}', "and not local"),
        ('"Off site" = {kind = "s3", bucket = "b"}', "use small letters, digits"),
        ('offsite = {kind = "ftp"}', "needs a kind: directory, s3, gcs, azure, sftp"),
        ('offsite = {bucket = "b"}', "needs a kind"),
        ('offsite = {kind = "s3"}', "lacks bucket"),
        (
            'offsite = {kind = "s3", bucket = "b", buket = "b"}',
            "has buket, which s3 does not know; it knows access_key",
        ),
        ('offsite = {kind = "s3", bucket = 1}', "bucket of the store offsite is no text"),
        ('offsite = {kind = "s3", bucket = "b", lock_days = "x"}', "lock_days of the store offsite is no number"),
        ('offsite = {kind = "s3", bucket = "b", lock_mode = "FOREVER"}', "is GOVERNANCE or COMPLIANCE"),
        ('offsite = {kind = "s3", bucket = "b", lock_mode = "GOVERNANCE"}', "needs lock_days"),
        ('offsite = {kind = "sftp", host = "h", user = "u", path = "/"}', "lacks known_hosts"),
    ],
)
def test_it_says_what_is_wrong(text: str, sentence: str) -> None:
    with pytest.raises(StoreConfigError, match="BACKUP_STORES") as caught:
        read_stores(text, LOCAL)
    assert sentence in str(caught.value)


def test_it_takes_no_secret_and_does_not_repeat_it() -> None:
    with pytest.raises(StoreConfigError, match="refer to it with env:NAME or file:PATH") as caught:
        read_stores('offsite = {kind = "s3", bucket = "b", secret_key = "hunter2"}', LOCAL)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"BACKUP_STORES": "x ="}, "BACKUP_STORES is not TOML"),
        ({"BACKUP_DEFAULT_STORES": "local,elsewhere"}, "BACKUP_DEFAULT_STORES names elsewhere"),
        ({"BACKUP_DEFAULT_STORES": ","}, "BACKUP_DEFAULT_STORES is empty"),
    ],
)
def test_the_settings_refuse_it_at_the_start(variables: dict[str, str], sentence: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import portal.settings"],
        env={**os.environ, **variables},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert sentence in run.stderr.splitlines()[-1]
