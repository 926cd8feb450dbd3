"""`manage.py status`: the exact shape scripts rely on, and an exit status that says how bad it is."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.utils import timezone

from portal.models import WorkerPulse
from readiness.models import Environment
from tests.readiness.factories import connect, make_backup, make_environment, make_ready, make_state

NOW = datetime.fromisoformat("2026-11-24T12:00:00+00:00")


def run(*arguments: str) -> tuple[int, str, str]:
    stdout, stderr = StringIO(), StringIO()
    status = 0
    try:
        call_command("status", *arguments, stdout=stdout, stderr=stderr)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, stdout.getvalue(), stderr.getvalue()


def read_status(*slugs: str) -> tuple[int, Any]:
    status, stdout, stderr = run(*slugs, "--json")
    (line,) = stdout.splitlines()
    assert stderr == ""
    return status, json.loads(line)


def beat_all(at: datetime | None = None) -> None:
    for cluster in ("default", "long"):
        WorkerPulse.objects.update_or_create(cluster=cluster, defaults={"returned_at": at or timezone.now()})


@pytest.mark.django_db
@time_machine.travel(NOW, tick=False)
def test_it_prints_exactly_what_scripts_rely_on() -> None:
    environment = connect(make_environment())
    make_state(environment, "http", "warn", observed_at=NOW - timedelta(seconds=30))
    make_state(environment, "tls", "pass", observed_at=NOW - timedelta(seconds=500))
    make_state(environment, "postgres", "error", observed_at=NOW)
    make_backup(environment, taken_at=NOW - timedelta(hours=2))
    make_environment("bare")
    WorkerPulse.objects.create(cluster="default", returned_at=NOW - timedelta(seconds=12))

    status, described = read_status()

    assert status == 3
    assert described == {
        "environments": [
            {"slug": "bare", "verdict": "NO-GO", "probes": {}, "last_proven_backup_age_seconds": None},
            {
                "slug": "shop",
                "verdict": "NO-GO",
                "probes": {
                    "http": {"status": "warn", "age_seconds": 30},
                    "tls": {"status": "stale", "age_seconds": 500},
                    "headers": {"status": None, "age_seconds": None},
                    "postgres": {"status": "error", "age_seconds": 0},
                    "dns": {"status": None, "age_seconds": None},
                },
                "last_proven_backup_age_seconds": 7200,
            },
        ],
        "workers": {
            "default": {"alive": True, "last_seen_seconds": 12},
            "long": {"alive": False, "last_seen_seconds": None},
        },
    }


@pytest.mark.django_db
def test_it_ends_well_when_everything_is_go_and_the_workers_live() -> None:
    make_ready()
    beat_all()

    status, described = read_status()

    assert status == 0
    assert [one["verdict"] for one in described["environments"]] == ["GO"]


@pytest.mark.django_db
def test_it_ends_with_bad_news_when_one_environment_is_not_ready() -> None:
    make_ready()
    make_environment("bare")
    beat_all()

    assert read_status()[0] == 1
    assert read_status("shop")[0] == 0


@pytest.mark.django_db
def test_it_could_not_tell_when_a_worker_is_silent_whatever_the_verdicts() -> None:
    make_ready()
    make_environment("bare")
    beat_all(timezone.now() - timedelta(minutes=5))

    assert read_status("shop")[0] == 3
    assert read_status()[0] == 3


@pytest.mark.django_db
def test_it_names_the_environments_there_are_when_it_is_asked_for_another() -> None:
    make_environment("one")
    make_environment("two")

    status, stdout, stderr = run("three", "--json")

    assert (status, stdout) == (2, "")
    assert stderr == "There is no environment 'three'; there are: one, two.\n"


@pytest.mark.django_db
def test_it_leaves_retired_environments_out() -> None:
    environment = make_environment()
    Environment.objects.filter(pk=environment.pk).update(retired_at=timezone.now())
    beat_all()

    assert read_status() == (0, read_status()[1])
    assert read_status()[1]["environments"] == []
    assert run("shop")[0] == 2


@pytest.mark.django_db
def test_it_tells_people_in_words() -> None:
    environment = make_ready()
    make_state(environment, "http", observed_at=timezone.now() - timedelta(hours=1))
    beat_all()

    status, stdout, _ = run()

    assert status == 1
    assert "shop: NO-GO" in stdout
    assert "http stale (was pass), tls pass, headers pass, postgres pass" in stdout
    assert "newest proven backup: 60 min ago" in stdout
    assert "worker default: alive" in stdout


def test_it_could_not_tell_without_a_database(tmp_path: Path, manage: list[str]) -> None:
    env = {"PATH": "/usr/bin:/bin", "PORTAL_VAR": str(tmp_path / "var"), "LC_ALL": "C.UTF-8"}

    done = subprocess.run([*manage, "status", "--json"], env=env, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "The portal's own database cannot be reached: start it with make db or make run.\n"


def test_it_works_as_a_process_of_its_own(process_env: dict[str, str], manage: list[str]) -> None:
    make_ready()
    beat_all()

    done = subprocess.run([*manage, "status", "--json"], env=process_env, capture_output=True, text=True, timeout=60)

    (environment,) = json.loads(done.stdout)["environments"]
    assert (environment["slug"], done.stderr) == ("shop", "")
    assert done.returncode == (0 if environment["verdict"] == "GO" else 1)
