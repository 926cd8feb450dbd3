"""Production settings pass the deployment check and insist on HTTPS; a local portal speaks plain HTTP, never DEBUG."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.conftest import PROJECT

ASKED = [
    "DEBUG",
    "LOCAL_MODE",
    "ALLOWED_HOSTS",
    "BIND",
    "SITE_URL",
    "CSRF_TRUSTED_ORIGINS",
    "SESSION_COOKIE_SECURE",
    "CSRF_COOKIE_SECURE",
    "SESSION_COOKIE_HTTPONLY",
    "SECURE_SSL_REDIRECT",
    "SECURE_HSTS_SECONDS",
    "SECURE_HSTS_PRELOAD",
    "SECURE_HSTS_INCLUDE_SUBDOMAINS",
    "PROBE_ALLOW_LOOPBACK",
]
SHOW = f"""
import json, sys
from django.conf import settings
shown = {{name: getattr(settings, name) for name in {ASKED!r}}}
shown["PROXY"] = getattr(settings, "SECURE_PROXY_SSL_HEADER", None)
json.dump(shown, sys.stdout)
"""


@pytest.fixture
def production(tmp_path: Path) -> dict[str, str]:
    """The environment of a portal behind a proxy."""
    return {
        "PATH": "/usr/bin:/bin",
        "PORTAL_VAR": str(tmp_path / "var"),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": "postgresql://portal:s3cret@db.example.org/portal",
        "LOCAL_MODE": "0",
        "ALLOWED_HOSTS": "preflight.example.org",
        "SITE_URL": "https://preflight.example.org/",
        "SECRET_KEY": "kJ8v2mQ9zL4xW7rT1yU6iO3pA5sD0fGhKbNcVeRjXwZkJ8v2mQ9zL4xW7r",
        "TRUST_PROXY": "1",
    }


def run_python(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=env, cwd=PROJECT, capture_output=True, text=True, timeout=60
    )


def read_settings(env: dict[str, str]) -> dict[str, Any]:
    done = run_python(env, "-c", SHOW)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def test_it_passes_the_deployment_check_without_a_warning(
    production: dict[str, str], process_env: dict[str, str], manage: list[str]
) -> None:
    env = {**production, "DATABASE_URL": process_env["DATABASE_URL"]}

    done = subprocess.run(
        [*manage, "check", "--deploy", "--fail-level", "WARNING", "--database", "default"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout + done.stderr


def test_it_insists_on_https_in_production(production: dict[str, str]) -> None:
    shown = read_settings(production)

    assert shown["DEBUG"] is False
    assert shown["SESSION_COOKIE_SECURE"] and shown["CSRF_COOKIE_SECURE"] and shown["SESSION_COOKIE_HTTPONLY"]
    assert shown["SECURE_SSL_REDIRECT"]
    assert shown["SECURE_HSTS_SECONDS"] == 31_536_000
    assert shown["SECURE_HSTS_PRELOAD"] and shown["SECURE_HSTS_INCLUDE_SUBDOMAINS"]
    assert shown["PROXY"] == ["HTTP_X_FORWARDED_PROTO", "https"]
    assert shown["ALLOWED_HOSTS"] == ["preflight.example.org"]
    assert shown["SITE_URL"] == "https://preflight.example.org"
    assert shown["CSRF_TRUSTED_ORIGINS"] == ["https://preflight.example.org"]
    assert shown["PROBE_ALLOW_LOOPBACK"] is False


def test_it_trusts_no_proxy_unless_told(production: dict[str, str]) -> None:
    del production["TRUST_PROXY"]

    assert read_settings(production)["PROXY"] is None


def test_it_takes_a_foreign_database_for_production(production: dict[str, str]) -> None:
    del production["LOCAL_MODE"]

    assert read_settings(production)["LOCAL_MODE"] is False


def test_it_speaks_plain_http_on_loopback_only_when_it_is_local(tmp_path: Path) -> None:
    shown = read_settings(
        {
            "PATH": "/usr/bin:/bin",
            "PORTAL_VAR": str(tmp_path / "var"),
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "DEBUG": "1",
        }
    )

    assert shown["LOCAL_MODE"] is True
    assert shown["DEBUG"] is False
    assert shown["BIND"] == "127.0.0.1"
    assert "*" not in shown["ALLOWED_HOSTS"]
    assert shown["SECURE_SSL_REDIRECT"] is False
    assert shown["SECURE_HSTS_SECONDS"] == 0
    assert shown["PROBE_ALLOW_LOOPBACK"] is True


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "http"), ("LOCAL_MODE", "maybe"), ("PROBE_INTERVAL_SECONDS", "1"), ("TRUST_PROXY", "yep")],
)
def test_it_says_which_setting_is_wrong_without_a_traceback(
    production: dict[str, str], manage: list[str], name: str, value: str
) -> None:
    done = subprocess.run(
        [*manage, "status"], env={**production, name: value}, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert f"{name} is '{value}'; give" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_reads_secrets_from_files(production: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "url").write_text(production.pop("DATABASE_URL") + "\n")
    production["DATABASE_URL_FILE"] = str(tmp_path / "url")

    done = run_python(
        production,
        "-c",
        "from django.conf import settings; print(settings.DATABASES['default']['HOST'], settings.LOCAL_MODE)",
    )

    assert done.stdout == "db.example.org False\n", done.stderr


def test_it_sends_the_headers_of_production(production: dict[str, str], process_env: dict[str, str]) -> None:
    asking = """
import django; django.setup()
from django.test import Client
plain = Client(headers={"host": "preflight.example.org"}).get("/accounts/login/")
print(plain.status_code, plain.headers["Location"])
secure = Client(headers={"host": "preflight.example.org", "x-forwarded-proto": "https"})
page = secure.get("/accounts/login/")
print(page.status_code, page.headers["Strict-Transport-Security"])
print(page.cookies["csrftoken"]["secure"], page.cookies["csrftoken"]["samesite"])
print(Client(headers={"host": "preflight.example.org"}).get("/healthz").status_code)
print(Client(headers={"host": "evil.example.org", "x-forwarded-proto": "https"}).get("/accounts/login/").status_code)
"""
    given = {"DATABASE_URL": process_env["DATABASE_URL"], "STATIC_ROOT": str(settings.STATIC_ROOT)}
    done = run_python({**os.environ, **production, **given}, "-c", asking)

    assert done.stdout.splitlines() == [
        "301 https://preflight.example.org/accounts/login/",
        "200 max-age=31536000; includeSubDomains; preload",
        "True Lax",
        "200",
        "400",
    ], done.stderr
