"""Loads and removes the demonstration's environments; writes their rows like any operator would."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from backups import catalogue, schedules, tasks
from backups.errors import RequestError
from backups.models import ACTIVE_STATES, Backup, BackupSchedule, Job, Restore, Trigger, Verification
from portal import audit, notes
from portal.demo import databases
from portal.demo.certificates import Certificates, ensure_certificates
from portal.demo.sites import CARELESS, STRICT, SiteServer
from readiness import claims, evidence
from readiness.checklists import workflow
from readiness.models import Database, Endpoint, Environment

STAGING, PRODUCTION = "demo-staging", "demo-production"
SLUGS = (STAGING, PRODUCTION)
ACTOR = "demonstration"
STOP_SECONDS = 60
STEP_SECONDS = 0.2


def demo_directory() -> Path:
    """Where the demonstration keeps its certificates and connection strings."""
    return Path(settings.VAR_DIR) / "demo"


def is_loaded() -> bool:
    """Whether a demonstration environment is there."""
    return Environment.objects.filter(slug__in=SLUGS, is_demo=True).exists()


def load_demo() -> None:
    """Makes databases, certificates and both environments, asks for a first backup of each, and remembers it.

    Raises databases.DemoError when the server does not let it. May be run again: what is there stays.
    """
    directory = demo_directory()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    _require_free_slugs()
    databases.create_databases(directory)
    certificates = ensure_certificates(directory, timezone.now())
    with transaction.atomic():
        staging = _make_environment(STAGING, "Demo staging", Environment.Kind.STAGING, "")
        production = _make_environment(
            PRODUCTION, "Demo production", Environment.Kind.PRODUCTION, certificates.authority.read_text()
        )
        for environment, name in ((staging, "demo_staging"), (production, "demo_production")):
            _make_database(environment, databases.connection_file(directory, name))
        notes.note(notes.DEMO_LOADED, by=ACTOR)
    claims.sync_schedules(timezone.now(), [staging, production])
    for environment in (staging, production):
        _request_first_backup(environment)


def remove_demo() -> bool:
    """Takes away everything load_demo made, backups included; it is not loaded again. False when there was none.

    Raises databases.DemoError when a backup that is being taken or read does not stop.
    """
    environments = list(Environment.objects.filter(slug__in=SLUGS, is_demo=True))
    for environment in environments:
        _stop_work(environment)
        for backup in Backup.objects.filter(environment=environment):
            catalogue.delete_backup(backup)
        evidence.forget_screenshots(environment.pk)
        workflow.forget_attachments(environment)
        environment.delete()
        audit.record("removed", actor_name=ACTOR, subject=environment.name)
    databases.drop_databases()
    shutil.rmtree(demo_directory(), ignore_errors=True)
    notes.note(notes.DEMO_LOADED, by=ACTOR)
    return bool(environments)


class DemoSites:
    """The two sites while they are served; their ports are kept, and moved when something else has taken them."""

    def __init__(self) -> None:
        databases.write_connections(demo_directory())
        certificates = ensure_certificates(demo_directory(), timezone.now())
        self._servers = [
            _serve_staging(),
            _serve_production(certificates),
        ]

    @property
    def urls(self) -> list[str]:
        """Where they are served."""
        return list(Endpoint.objects.filter(environment__slug__in=SLUGS).values_list("url", flat=True))

    def close(self) -> None:
        """Stops serving."""
        for server in self._servers:
            server.close()


def _stop_work(environment: Environment) -> None:
    """Cancels what is queued or running and waits for it; what a dead worker has left is failed by the reaper."""
    backups = Backup.objects.filter(environment=environment)
    until = time.monotonic() + STOP_SECONDS
    while True:
        jobs: list[Job] = [
            *backups.filter(state__in=ACTIVE_STATES),
            *Verification.objects.filter(backup__in=backups, state__in=ACTIVE_STATES),
            *Restore.objects.filter(backup__in=backups, state__in=ACTIVE_STATES),
        ]
        if not jobs:
            return
        for job in jobs:
            catalogue.request_cancel(job, actor_name=ACTOR)
        tasks.reap()
        if time.monotonic() > until:
            raise databases.DemoError(f"{jobs[0]} was asked to stop and has not yet: try again in a minute.")
        time.sleep(STEP_SECONDS)


def _serve_staging() -> SiteServer:
    server = _open_port(STAGING, lambda port: SiteServer(CARELESS, port))
    _set_endpoints(STAGING, [(Endpoint.Role.FRONTEND, f"http://127.0.0.1:{server.port}/", "")])
    return server


def _serve_production(certificates: Certificates) -> SiteServer:
    server = _open_port(PRODUCTION, lambda port: SiteServer(STRICT, port, certificates.site))
    origin = f"https://localhost:{server.port}/"
    _set_endpoints(PRODUCTION, [(Endpoint.Role.FRONTEND, origin, ""), (Endpoint.Role.API, f"{origin}api/", "/health")])
    return server


def _open_port(slug: str, serve: Callable[[int], SiteServer]) -> SiteServer:
    """Serves on the port that the environment's URL has, or on a free one when that is taken or there is none yet."""
    url = Endpoint.objects.filter(environment__slug=slug).values_list("url", flat=True).first()
    port = urlsplit(url).port if url else None
    try:
        return serve(port or 0)
    except OSError:
        return serve(0)


def _set_endpoints(slug: str, wanted: list[tuple[str, str, str]]) -> None:
    environment = Environment.objects.get(slug=slug)
    present = list(environment.endpoints.values_list("role", "url", "health_path"))
    if present == wanted:
        return
    with transaction.atomic():
        environment.endpoints.all().delete()
        for role, url, health_path in wanted:
            Endpoint.objects.create(environment=environment, role=role, url=url, health_path=health_path)
    claims.sync_schedules(timezone.now(), [environment])


def _require_free_slugs() -> None:
    taken = Environment.objects.filter(slug__in=SLUGS, is_demo=False).values_list("slug", flat=True)
    if taken:
        raise databases.DemoError(
            f"There is an environment of yours called {', '.join(taken)}: rename it before you load the demonstration."
        )


def _make_environment(slug: str, name: str, kind: str, ca_bundle: str) -> Environment:
    environment, was_made = Environment.objects.get_or_create(
        slug=slug, defaults={"name": name, "kind": kind, "is_demo": True, "tags": ["demo"]}
    )
    environment.ca_bundle = ca_bundle
    environment.save(update_fields=["ca_bundle"])
    workflow.start_checklist(environment)
    if was_made:
        audit.record("loaded", actor_name=ACTOR, environment=environment, subject=name)
    return environment


def _make_database(environment: Environment, connection_file: Path) -> None:
    # The demonstration's databases are on the portal's own server, so it has to choose to prove on it.
    database, _ = Database.objects.get_or_create(
        environment=environment, name="main", defaults={"dsn": f"file:{connection_file}", "prove_on_own_server": True}
    )
    now = timezone.now()
    BackupSchedule.objects.get_or_create(
        database=database,
        cron="30 2 * * *",
        time_zone=settings.TIME_ZONE,
        defaults={"next_run_at": schedules.next_run_at("30 2 * * *", settings.TIME_ZONE, now)},
    )


def _request_first_backup(environment: Environment) -> None:
    for database in environment.databases.filter(backups=None):
        try:
            tasks.enqueue(catalogue.request_backup(database, actor_name=ACTOR, trigger=Trigger.SCHEDULE))
        except RequestError:
            continue
