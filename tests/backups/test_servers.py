"""Connection strings as they are typed; nothing of them is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from backups import servers
from backups.errors import ErrorCode, JobError
from backups.servers import find_maintenance, parse_server
from tests.conftest import Server

URL = "postgresql://app:s3cret@db.example:5433/shop?sslmode=require"


def test_it_reads_urls_and_keywords_alike() -> None:
    for text in (URL, "host=db.example port=5433 user=app password=s3cret dbname=shop sslmode=require"):
        server = parse_server(text)
        assert server.place == type(server.place)("db.example:5433", "app", "shop")
        assert server.parameters["sslmode"] == "require"
        assert server.secrets == ("s3cret",)


@pytest.mark.parametrize("text", ["", "mysql://app:s3cret@db/shop", "s3cret", "host=db password='s3cret"])
def test_it_refuses_anything_else_without_telling_it(text: str) -> None:
    with pytest.raises(JobError, match="not one that PostgreSQL understands") as caught:
        parse_server(text)
    assert "s3cret" not in str(caught.value)


def test_it_shows_no_secret_of_a_server() -> None:
    assert "s3cret" not in repr(parse_server(URL))


def test_it_notices_dead_peers_unless_told_otherwise() -> None:
    assert parse_server(URL).parameters["keepalives_idle"] == "30"
    assert parse_server(URL + "&keepalives_idle=7").parameters["keepalives_idle"] == "7"


def test_it_keeps_the_service_file_private_and_short_lived(settings: Settings, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    with parse_server(URL).service_file("preflight") as path:
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert "password=s3cret" in path.read_text()
        assert str(os.getpid()) in path.name
    assert list((tmp_path / "tmp").iterdir()) == []


def test_it_proves_on_the_portals_own_server_unless_another_is_given(settings: Settings) -> None:
    settings.PROOF_DATABASE_URL = ""
    assert servers.proof_server().parameters["dbname"] == settings.DATABASES["default"]["NAME"]
    settings.PROOF_DATABASE_URL = URL
    assert servers.proof_server().place.server == "db.example:5433"


def test_it_keeps_to_the_given_database_where_no_other_lets_it_in(server: Server) -> None:
    server.create_database("tenant")
    with server.connect() as other:
        other.execute("DROP ROLE IF EXISTS tenant")
        other.execute("CREATE ROLE tenant LOGIN PASSWORD 'rents'")
        other.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
    try:
        tenant = parse_server("postgresql://tenant:rents@" + server.url("tenant").rpartition("@")[2])
        assert find_maintenance(tenant, "test", or_own=True).place.database == "tenant"
        with pytest.raises(JobError) as refused:
            find_maintenance(tenant, "test")
        assert refused.value.code == ErrorCode.PERMISSION
        assert find_maintenance(parse_server(server.url("gone")), "test").place.database == "postgres"
    finally:
        with server.connect() as other:
            other.execute("GRANT CONNECT ON DATABASE postgres, template1 TO PUBLIC")
            other.execute("DROP ROLE tenant")
