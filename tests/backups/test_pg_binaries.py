"""Client programs are found by the server's major, in real directories."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from backups import pg_binaries
from backups.errors import ErrorCode, JobError
from tests.conftest import Server


def make_client(directory: Path, version: str) -> Path:
    """Programs with the line that the real ones carry."""
    directory.mkdir(parents=True)
    for name in ("pg_dump", "pg_restore"):
        program = directory / name
        program.write_bytes(b"\x7fELF\0" + f"{name} (PostgreSQL) {version}\0".encode())
        program.chmod(0o755)
    return directory


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.PG_CLIENT_BIN = ""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(pg_binaries, "SYSTEM_ROOT", tmp_path / "system")
    monkeypatch.setattr(pg_binaries, "HOMEBREW_ROOTS", (tmp_path / "brew",))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_it_finds_the_client_of_this_machines_server(server: Server) -> None:
    with server.connect() as connection:
        major = connection.info.server_version // 10000
    client = pg_binaries.find_client(major)
    assert client.major == major
    assert client.version.startswith(f"{major}")
    assert client.pg_restore.is_file()


def test_it_takes_the_servers_major_not_the_newest(nothing_installed: None, tmp_path: Path) -> None:
    make_client(tmp_path / "system" / "15" / "bin", "15.4 (Debian)")
    make_client(tmp_path / "system" / "18" / "bin", "18beta1")
    assert pg_binaries.find_client(15).version == "15.4"
    assert pg_binaries.find_client(18).version == "18beta1"


def test_it_names_the_package_that_is_missing(nothing_installed: None, tmp_path: Path) -> None:
    make_client(tmp_path / "system" / "15" / "bin", "15.4")
    with pytest.raises(JobError, match="postgresql-client-17") as caught:
        pg_binaries.find_client(17)
    assert caught.value.code == ErrorCode.CLIENT_MISSING
    assert "client programs of 15" in str(caught.value)


def test_it_says_none_where_there_is_none(nothing_installed: None) -> None:
    with pytest.raises(JobError, match="client programs of none"):
        pg_binaries.find_client(15)


def test_it_prefers_the_setting(nothing_installed: None, tmp_path: Path, settings: Settings) -> None:
    make_client(tmp_path / "system" / "15" / "bin", "15.4")
    settings.PG_CLIENT_BIN = str(make_client(tmp_path / "mine", "15.9"))
    assert pg_binaries.find_client(15).version == "15.9"


def test_it_follows_a_lone_link_to_the_real_directory(
    nothing_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = make_client(tmp_path / "opt" / "pg" / "bin", "16.1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pg_dump").symlink_to(real / "pg_dump")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert pg_binaries.find_client(16).bin_dir == real


def test_it_passes_over_wrapper_scripts(
    nothing_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make_client(tmp_path / "wrapped", "15.4")
    (directory / "pg_dump").write_text("#!/usr/bin/perl\n# finds the right version\n")
    monkeypatch.setenv("PATH", str(directory))
    assert list(pg_binaries.list_clients()) == []
