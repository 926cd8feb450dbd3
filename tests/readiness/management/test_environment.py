"""`manage.py environment`: what scripts add, what is refused with which exit status, and what is never repeated."""

from __future__ import annotations

import json
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from portal.models import AuditEvent
from readiness.checklists.template import load_template
from readiness.models import Environment, ItemState, ProbeSchedule
from tests.readiness.factories import connect, make_environment
from tests.servers.certificates import make_root

SECRET = "s3cret-of-the-shop"


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the command."""
    stdout, stderr = StringIO(), StringIO()
    status = 0
    try:
        call_command("environment", *arguments, stdout=stdout, stderr=stderr)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, stdout.getvalue(), stderr.getvalue()


def add(*more: str) -> tuple[int, str, str]:
    return run("add", "shop", "--kind", "production", *more)


def read_json(text: str) -> Any:
    (line,) = text.splitlines()
    return json.loads(line)


@pytest.mark.django_db
def test_it_adds_an_environment_with_all_it_consists_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_text(make_root().pem)
    monkeypatch.setenv("SHOP_DSN", f"postgresql://u:{SECRET}@db/shop")

    status, stdout, stderr = add(
        *("--url", "https://shop.example.org/", "--api-url", "https://api.example.org/", "--health-path", "/up"),
        *("--alias-url", "https://www.example.org/", "--ca-file", str(tmp_path / "ca.pem")),
        *("--database", "main=env:SHOP_DSN", "--database", "log=file:/run/secrets/log", "--json"),
    )

    assert (status, stderr) == (0, "")
    assert read_json(stdout) == {
        "slug": "shop",
        "name": "Shop",
        "kind": "production",
        "urls": ["https://shop.example.org/", "https://api.example.org/", "https://www.example.org/"],
        "databases": ["main", "log"],
    }
    environment = Environment.objects.get(slug="shop")
    assert list(environment.endpoints.values_list("role", "health_path")) == [
        ("frontend", ""),
        ("api", "/up"),
        ("alias", ""),
    ]
    assert [database.dsn for database in environment.databases.all()] == ["env:SHOP_DSN", "file:/run/secrets/log"]
    assert not environment.databases.filter(prove_on_own_server=True).exists()
    assert "BEGIN CERTIFICATE" in environment.ca_bundle
    assert ItemState.objects.filter(environment=environment).count() == len(load_template().items)
    assert ProbeSchedule.objects.filter(environment=environment).count() == 5
    assert str(AuditEvent.objects.get()) == "command line added Shop"


@pytest.mark.django_db
def test_it_says_in_words_what_it_has_added() -> None:
    assert add("--url", "https://shop.example.org/") == (0, "shop: production, https://shop.example.org/\n", "")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--url", "ftp://shop.example.org/"], "url: Enter a valid URL."),
        (["--url", f"https://u:{SECRET}@shop.example.org/"], "url: Leave user name and password out of the URL"),
        (["--url", "https://a.example.org/", "--url", "https://a.example.org/"], "already exists"),
        (["--api-url", "https://a.example.org/", "--health-path", "up"], "health_path: A health path starts with /"),
        (["--database", f"main=postgresql://u:{SECRET}@db/shop"], "never the connection itself"),
        (["--database", f"postgresql://u:{SECRET}@db/shop?a=file:x"], "name: Use letters, digits, dots"),
        (["--database", "env:SHOP_DSN"], "--database takes NAME=env:VAR or NAME=file:PATH"),
        (["--database", "two words=env:SHOP_DSN"], "name: Use letters, digits, dots, dashes and underscores."),
        (["--database", "main=env:A", "--database", "main=env:B"], "already exists"),
        (["--ca-file", "/no/such/file"], "The file /no/such/file cannot be read: No such file or directory."),
        (["--ca-file", __file__], "holds no PEM certificates"),
        (["--name", "x" * 81], "name: Ensure this value has at most 80 characters"),
    ],
)
def test_it_refuses_with_one_sentence_and_adds_nothing(more: list[str], sentence: str) -> None:
    status, stdout, stderr = add(*more)

    assert (status, stdout) == (2, "")
    assert sentence in stderr
    assert stderr.count("\n") == 1
    assert SECRET not in stderr
    assert not Environment.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("slug", ["two words", "ä", "add"])
def test_it_refuses_a_slug_that_addresses_cannot_hold(slug: str) -> None:
    status, stdout, stderr = run("add", slug, "--kind", "test")

    assert (status, stdout) == (2, "")
    assert "slug" in stderr
    assert not Environment.objects.exists()


@pytest.mark.django_db
def test_it_refuses_a_slug_that_is_taken_even_by_a_retired_one() -> None:
    environment = make_environment()
    environment.retired_at = environment.created_at
    environment.save()

    assert add() == (2, "", "There is already an environment 'shop'.\n")


@pytest.mark.django_db
def test_it_lists_one_json_object_a_line() -> None:
    connect(make_environment("shop"))
    make_environment("bare", kind="test")

    status, stdout, stderr = run("list", "--json")

    listed = [json.loads(line) for line in stdout.splitlines()]
    assert (status, stderr) == (0, "")
    assert [(one["slug"], one["kind"], one["databases"]) for one in listed] == [
        ("bare", "test", []),
        ("shop", "production", ["main"]),
    ]
    assert run("list")[1].splitlines()[0] == "bare: test, empty"


def test_it_ends_with_usage_on_a_real_command_line(process_env: dict[str, str], manage: list[str]) -> None:
    for arguments in (["add", "shop"], ["add", "shop", "--kind", "moon"], ["remove"], []):
        done = subprocess.run(
            [*manage, "environment", *arguments], env=process_env, capture_output=True, text=True, timeout=60
        )

        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "usage: manage.py environment" in done.stderr


def test_it_could_not_tell_when_there_is_no_database(tmp_path: Path, manage: list[str]) -> None:
    env = {"PATH": "/usr/bin:/bin", "PORTAL_VAR": str(tmp_path / "var"), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [*manage, "environment", "list", "--json"], env=env, capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "The portal's own database cannot be reached: start it with make db or make run.\n"
