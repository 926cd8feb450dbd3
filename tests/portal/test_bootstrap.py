"""The bootstrap under a bare Python: what it says when something is missing, and what it does not do twice."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from portal import bootstrap

PROJECT = Path(bootstrap.__file__).resolve().parent.parent


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the bootstrap itself needs of a clone."""
    (tmp_path / "portal").mkdir()
    for name in ("__init__.py", "bootstrap.py", "cluster_home.py", "postgres_binaries.py"):
        shutil.copy(PROJECT / "portal" / name, tmp_path / "portal" / name)
    (tmp_path / "requirements.txt").write_text("")
    shutil.copy(PROJECT / "requirements-embedded.txt", tmp_path)
    return tmp_path


def run_bootstrap(clone: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key not in ("PORTAL_VAR", "PORTAL_PG_SEARCH")}
    return subprocess.run(
        [sys.executable, str(clone / "portal" / "bootstrap.py"), *arguments],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_makes_the_environment_once_and_again_when_the_pins_changed(clone: Path) -> None:
    first = run_bootstrap(clone, DATABASE_URL="postgresql://elsewhere/db")
    second = run_bootstrap(clone, DATABASE_URL="postgresql://elsewhere/db")
    (clone / "requirements.txt").write_text("# changed\n")
    third = run_bootstrap(clone, DATABASE_URL="postgresql://elsewhere/db")

    assert (first.returncode, second.returncode, third.returncode) == (0, 0, 0), first.stderr
    assert "Making .venv" in first.stderr
    assert "Installing requirements.txt" in first.stderr
    assert second.stderr == ""
    assert third.stderr == "Installing requirements.txt ...\n"
    assert (clone / ".venv" / "bin" / "python").exists()


def test_it_refuses_a_pin_without_a_hash_in_one_sentence(clone: Path) -> None:
    (clone / "requirements.txt").write_text("asgiref==3.8.0\n")

    done = run_bootstrap(clone, DATABASE_URL="postgresql://elsewhere/db")

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Installing requirements.txt failed: ")
    assert "Traceback" not in done.stderr


def test_it_names_the_package_when_the_venv_module_is_missing(clone: Path, tmp_path: Path) -> None:
    without = tmp_path / "without"
    without.mkdir()
    (without / "ensurepip.py").write_text("raise ImportError\n")

    done = run_bootstrap(clone, PYTHONPATH=str(without))

    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert done.returncode == 2
    assert done.stderr == (
        f"Python's venv module is missing: install it (apt install python{version}-venv) and start again.\n"
    )


@pytest.mark.parametrize("text", ["DATABASE_URL=postgresql://a/b\n", "# x\nexport DATABASE_URL_FILE=/x\n"])
def test_it_needs_no_server_where_a_dotenv_file_names_a_database(
    clone: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "BASE_DIR", clone)
    monkeypatch.setenv("PORTAL_PG_SEARCH", "homebrew")
    monkeypatch.delenv("PORTAL_PG_BIN", raising=False)
    monkeypatch.setenv("PORTAL_VAR", str(clone / "var"))
    assert bootstrap.needs_embedded_binaries()

    (clone / ".env").write_text(text)

    assert not bootstrap.needs_embedded_binaries()


def test_it_takes_the_wheel_only_for_a_cluster_of_its_major(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "BASE_DIR", clone)
    monkeypatch.setattr("portal.cluster_home.SYSTEM_HOME", clone / "system")
    monkeypatch.setenv("PORTAL_PG_SEARCH", "homebrew")
    monkeypatch.delenv("PORTAL_PG_BIN", raising=False)
    monkeypatch.setenv("PORTAL_VAR", str(clone / "var"))
    from portal.cluster_home import locate_home

    data = locate_home(clone / "var").path / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text(f"{bootstrap.embedded_major()}\n")
    assert bootstrap.needs_embedded_binaries()

    (data / "PG_VERSION").write_text("15\n")
    assert not bootstrap.needs_embedded_binaries()


def test_it_goes_on_without_bugsink_and_says_so(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "BASE_DIR", clone)
    monkeypatch.setattr(bootstrap, "BUGSINK_VENV_DIR", clone / ".venv-bugsink")
    (clone / "requirements-bugsink.txt").write_text("bugsink==2.6.1\n")

    bootstrap.ensure_bugsink()

    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("Making .venv-bugsink with ")
    assert said[-1].startswith("The tests against a real Bugsink will be skipped. Installing requirements-bugsink.txt")
    assert bootstrap.read_stamp(clone / ".venv-bugsink") == {}
