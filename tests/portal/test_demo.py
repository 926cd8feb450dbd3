"""The demonstration: loaded once however often it is asked for, really served, really there, and gone when removed."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from backups.models import Backup, BackupSchedule
from portal import notes
from portal.demo import databases, load
from portal.demo.certificates import ensure_certificates
from readiness import claims, tasks
from readiness.models import Endpoint, Environment, ProbeState
from tests.conftest import Server
from tests.readiness.factories import make_environment

pytestmark = pytest.mark.django_db(transaction=True)
SIZES = dict(databases.SIZES)


@pytest.fixture
def demo(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for the demonstration's files; its databases are small here and are dropped afterwards."""
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr(databases, "SIZES", {"demo_staging": (5, 10), "demo_production": (10, 20)})
    yield tmp_path / "demo"
    databases.drop_databases()


def test_it_loads_two_environments_with_databases_schedules_and_a_first_backup(demo: Path, server: Server) -> None:
    load.load_demo()

    environments = {environment.slug: environment for environment in Environment.objects.all()}
    assert {slug: (one.name, one.kind) for slug, one in environments.items()} == {
        "demo-staging": ("Demo staging", "staging"),
        "demo-production": ("Demo production", "production"),
    }
    assert "BEGIN CERTIFICATE" in environments["demo-production"].ca_bundle
    assert BackupSchedule.objects.count() == 2
    assert list(Backup.objects.values_list("state", flat=True)) == ["queued", "queued"]
    assert OrmQ.objects.filter(key="long").count() == 2
    assert notes.is_noted(notes.DEMO_LOADED)
    for environment in environments.values():
        database = environment.databases.get()
        assert database.dsn.startswith("file:")
        assert database.read_dsn().startswith("postgresql://preflight_demo:")
    assert server.has_database("demo_staging")
    assert server.has_database("demo_production")


def test_it_keeps_its_secrets_private(demo: Path) -> None:
    load.load_demo()

    assert demo.stat().st_mode & 0o077 == 0
    for path in demo.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_it_loads_only_once(demo: Path) -> None:
    load.load_demo()
    Environment.objects.filter(slug="demo-staging").update(name="Renamed")
    password = (demo / "password").read_text()

    load.load_demo()

    assert Environment.objects.count() == 2
    assert Environment.objects.filter(name="Renamed").exists()
    assert (Backup.objects.count(), BackupSchedule.objects.count()) == (2, 2)
    assert (demo / "password").read_text() == password


def test_it_takes_everything_away(demo: Path, server: Server) -> None:
    own = make_environment("own")
    load.load_demo()

    assert load.remove_demo() is True
    assert load.remove_demo() is False

    assert list(Environment.objects.all()) == [own]
    assert Backup.objects.count() == 0
    assert not server.has_database("demo_staging")
    assert not server.has_database("demo_production")
    assert not demo.exists()
    with server.connect() as connection:
        assert connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'preflight_demo'").fetchone() is None
    assert notes.is_noted(notes.DEMO_LOADED)


def test_it_says_so_when_a_running_backup_does_not_stop(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "STOP_SECONDS", 0)
    load.load_demo()
    running = Backup.objects.filter(environment__slug="demo-production")
    running.update(state="running", lease_expires_at=timezone.now() + timedelta(minutes=1))

    with pytest.raises(CommandError, match="was asked to stop and has not yet: try again in a minute"):
        call_command("demo", "--remove")

    assert running.exclude(cancel_requested_at=None).exists()
    assert Environment.objects.count() == 2


def test_it_leaves_an_environment_of_yours_alone(demo: Path) -> None:
    make_environment("demo-staging")

    with pytest.raises(CommandError, match="There is an environment of yours called demo-staging"):
        call_command("demo")

    assert not Environment.objects.filter(is_demo=True).exists()
    assert load.remove_demo() is False
    assert Environment.objects.count() == 1


def test_it_really_serves_both_sites_and_the_probes_find_what_they_should(demo: Path, settings: Settings) -> None:
    load.load_demo()
    sites = load.DemoSites()
    try:
        urls = {endpoint.environment.slug: endpoint.url for endpoint in Endpoint.objects.filter(role="frontend")}
        careless = _get(urls["demo-staging"])
        assert careless["X-Powered-By"] == "Express"
        assert "Strict-Transport-Security" not in careless

        context = ssl.create_default_context(cafile=str(demo / "ca.pem"))
        strict = _get(urls["demo-production"], context)
        assert strict["Strict-Transport-Security"].startswith("max-age=31536000")
        assert "default-src 'none'" in strict["Content-Security-Policy"]
        with pytest.raises(ssl.SSLCertVerificationError):
            _get(urls["demo-production"], ssl.create_default_context())

        now = timezone.now()
        claims.sync_schedules(now)
        tasks.run_probes(claims.claim_due(now + timedelta(seconds=1)))
    finally:
        sites.close()

    statuses = {
        slug: dict(ProbeState.objects.filter(environment__slug=slug).values_list("kind", "status"))
        for slug in load.SLUGS
    }
    assert set(statuses["demo-production"].values()) <= {"pass", "warn"}, statuses
    assert len(statuses["demo-production"]) == 4
    assert statuses["demo-staging"]["headers"] == statuses["demo-staging"]["tls"] == "fail"
    assert statuses["demo-staging"]["postgres"] in {"pass", "warn"}


def _get(url: str, context: ssl.SSLContext | None = None) -> http.client.HTTPMessage:
    host = url.partition("//")[2].rstrip("/")
    connection = (
        http.client.HTTPConnection(host, timeout=10)
        if context is None
        else http.client.HTTPSConnection(host, timeout=10, context=context)
    )
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.status == 200
        assert b"maintAIn" in answer.read()
        return answer.headers
    finally:
        connection.close()


def test_it_keeps_its_ports_and_moves_when_one_is_taken(demo: Path) -> None:
    load.load_demo()
    first = load.DemoSites()
    urls = first.urls
    second = load.DemoSites()
    moved = second.urls
    second.close()
    first.close()
    third = load.DemoSites()
    third_urls = third.urls
    third.close()

    assert not set(urls) & set(moved)
    assert third_urls == moved


def test_it_renews_its_certificate_before_it_ends(demo: Path) -> None:
    demo.mkdir(parents=True)
    now = timezone.now()
    made = ensure_certificates(demo, now)
    authority, site = made.authority.read_bytes(), made.site.read_bytes()

    assert ensure_certificates(demo, now + timedelta(days=59)).site.read_bytes() == site
    assert ensure_certificates(demo, now + timedelta(days=61)).site.read_bytes() != site
    assert made.authority.read_bytes() == authority


def test_it_fills_production_with_at_least_150_megabytes(
    demo: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "SIZES", {"demo_staging": (5, 10), "demo_production": SIZES["demo_production"]})

    load.load_demo()

    with server.connect("demo_production") as connection:
        (size,) = connection.execute("SELECT pg_database_size('demo_production')").fetchone() or (0,)
        tables = connection.execute("SELECT count(*) FROM pg_stat_user_tables WHERE n_live_tup > 0").fetchone()
    assert size >= 150_000_000
    assert tables is not None
    assert tables[0] >= 4
