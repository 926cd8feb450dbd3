"""Our own system checks: each fires on its wrong setting, with a hint, and is silent on the settings as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from pytest_django.fixtures import Settings

from backups.store_config import read_stores
from portal import checks

Check = Callable[..., Any]


def run(check: Check) -> list[CheckMessage]:
    return list(check(None))


def ids(check: Check) -> list[str]:
    messages = run(check)
    assert all(message.hint for message in messages)
    return [str(message.id) for message in messages]


@pytest.mark.django_db
def test_it_finds_nothing_wrong_with_the_settings_as_they_are() -> None:
    assert [str(message.id) for message in run_checks(databases=["default"])] == []


def test_it_names_a_key_that_is_none(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [*settings.FIELD_ENCRYPTION_KEYS, "s3cret but no key"]

    (message,) = run(checks.check_field_encryption_keys)

    assert (message.id, message.msg) == ("preflight.E001", "FIELD_ENCRYPTION_KEYS: key 2 is not a Fernet key.")
    assert "s3cret" not in f"{message.msg} {message.hint}"


def test_it_names_a_probe_that_cannot_be_imported(settings: Settings) -> None:
    settings.READINESS_PROBES = {**settings.READINESS_PROBES, "http": "readiness.probes.http.NoSuchProbe"}
    settings.READINESS_BACKUP_FACTS = "no.such.module"

    assert ids(checks.check_probes) == ["preflight.E002", "preflight.E002"]


@pytest.mark.parametrize(("seconds", "found"), [(54, []), (55, ["preflight.E003"])])
def test_it_refuses_a_deadline_that_a_batch_would_not_keep(settings: Settings, seconds: int, found: list[str]) -> None:
    settings.PROBE_TIMEOUT_SECONDS = seconds

    assert ids(checks.check_intervals) == found


def test_it_refuses_a_queue_that_would_run_work_twice(settings: Settings) -> None:
    long = {**settings.Q_CLUSTER["ALT_CLUSTERS"]["long"], "retry": 60, "timeout": 60}
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "ALT_CLUSTERS": {"long": long}}

    assert ids(checks.check_intervals) == ["preflight.E004"]


def test_it_names_a_time_zone_that_is_none(settings: Settings) -> None:
    settings.TIME_ZONE = "Europe/Atlantis"
    try:
        assert ids(checks.check_time_zone) == ["preflight.E005"]
    finally:
        settings.TIME_ZONE = "UTC"


def test_it_names_a_directory_that_cannot_be_written(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write anywhere, so what the system answers is answered here.
    settings.BACKUP_STORE = Path("/proc/backups")
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != Path("/proc"))

    (message,) = run(checks.check_var_directory)

    assert message.id == "preflight.E006"
    assert message.msg == "BACKUP_STORE is /proc/backups, and /proc cannot be written by this account."


def test_it_names_a_store_that_cannot_be_opened(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(checks.check_backup_stores) == []
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    settings.BACKUP_STORE_CONFIGS = read_stores(
        'offsite = {kind = "s3", bucket = "b", access_key = "env:NO_SUCH_KEY"}', Path(settings.BACKUP_STORE)
    )
    settings.STORAGES = {
        **settings.STORAGES,
        **{each.alias: each.as_storage() for each in settings.BACKUP_STORE_CONFIGS.values()},
    }

    (message,) = run(checks.check_backup_stores)

    assert message.id == "preflight.W002"
    assert "The environment variable NO_SUCH_KEY is not set" in message.msg


@pytest.mark.parametrize(
    ("local", "url", "found"),
    [
        (False, "", ["preflight.W001"]),
        (False, "http://preflight.example.org", ["preflight.W001"]),
        (False, "https://preflight.example.org", []),
        (True, "", []),
    ],
)
def test_it_wants_an_https_address_in_production(settings: Settings, local: bool, url: str, found: list[str]) -> None:
    settings.LOCAL_MODE, settings.SITE_URL = local, url

    assert ids(checks.check_site_url) == found
