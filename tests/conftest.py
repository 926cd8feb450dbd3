"""Fixtures for every room: a real server, people in each role, the product's own processes on the test database."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from psycopg import sql
from psycopg.conninfo import make_conninfo

from portal import roles
from portal.people import set_role
from tests.cluster import CLUSTER
from tests.servers.receiver import Mailbox, serve_smtp

PASSWORD = "correct horse battery staple"
PROJECT = Path(__file__).resolve().parent.parent


@dataclass
class Server:
    """The private cluster as a test sees it: its superuser, and databases that vanish with the test."""

    made: list[str] = field(default_factory=list)

    def dsn(self, dbname: str = "postgres", *, host: str | None = None) -> str:
        """A libpq connection string of the superuser, through the socket unless ``host`` says otherwise."""
        info = CLUSTER.connection(dbname)
        return make_conninfo(
            "", host=host or info.host, port=info.port, user=info.user, password=info.password, dbname=dbname
        )

    def url(self, dbname: str) -> str:
        """The same as a URL over 127.0.0.1, as people type it."""
        info = CLUSTER.connection(dbname)
        return f"postgresql://{info.user}:{quote(info.password)}@127.0.0.1:{info.port}/{dbname}"

    def connect(self, dbname: str = "postgres", **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(dbname), autocommit=True, **options)

    def create_database(self, name: str, *statements: str) -> str:
        """Makes a database, runs ``statements`` in it and returns its connection string."""
        self.drop_database(name)
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        self.made.append(name)
        with self.connect(name) as connection:
            for statement in statements:
                connection.execute(statement)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def has_database(self, name: str) -> bool:
        with self.connect() as connection:
            return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


@pytest.fixture
def server() -> Iterator[Server]:
    """A real PostgreSQL server; databases made through it are dropped afterwards."""
    server = Server()
    yield server
    for name in server.made:
        server.drop_database(name)


@pytest.fixture(scope="session", autouse=True)
def _static_files() -> None:
    """Pages name their static files by hash, so the files must have been collected."""
    call_command("collectstatic", interactive=False, verbosity=0)


MakeUser = Callable[[str, str | None], User]
SignIn = Callable[[User], Client]


@pytest.fixture
def make_user(db: None) -> MakeUser:
    def make(username: str, role: str | None) -> User:
        user = User.objects.create_user(username, f"{username}@example.org", PASSWORD)
        if role is not None:
            set_role(user, role)
        return user

    return make


@pytest.fixture
def sam(make_user: MakeUser) -> User:
    """Sam, a stakeholder, who may look."""
    return make_user("sam", roles.STAKEHOLDER)


@pytest.fixture
def lea(make_user: MakeUser) -> User:
    """Lea, a team lead, who ticks."""
    return make_user("lea", roles.TEAM_LEAD)


@pytest.fixture
def otto(make_user: MakeUser) -> User:
    """Otto, an operator, who probes, backs up and restores."""
    return make_user("otto", roles.OPERATOR)


@pytest.fixture
def ada(make_user: MakeUser) -> User:
    """Ada, an administrator."""
    return make_user("ada", roles.ADMINISTRATOR)


@pytest.fixture
def charlie(make_user: MakeUser) -> User:
    """Charlie, an outsider: an account that nobody gave a role."""
    return make_user("charlie", None)


@pytest.fixture
def sign_in() -> Callable[[User], Client]:
    """A browser-like client in which that person is signed in."""

    def make(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Mailbox]:
    """What the portal mails, taken by a real SMTP server."""
    box = Mailbox()
    with serve_smtp(box) as port:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        yield box


@pytest.fixture
def process_env(transactional_db: None) -> dict[str, str]:
    """The environment for a process of the product that works on the test database."""
    database = settings.DATABASES["default"]
    url = (
        f"postgresql://{database['USER']}:{quote(database['PASSWORD'])}@127.0.0.1:{database['PORT']}/{database['NAME']}"
    )
    return {**os.environ, "DATABASE_URL": url, "LOCAL_MODE": "1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def manage() -> list[str]:
    """The start of a command line of the product."""
    return [sys.executable, str(PROJECT / "manage.py")]
