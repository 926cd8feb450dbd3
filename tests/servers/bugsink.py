"""A real Bugsink on a free port, from BUGSINK_BIN, PATH or what `make test` installs; its files live in one folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from portal.bootstrap import BUGSINK_VENV_DIR

_MAKE_PROJECT = """
from projects.models import Project
project = Project.objects.create(name="Shop API")
print("MADE", project.id, project.dsn)
"""


@dataclass(frozen=True)
class Bugsink:
    """A running server with one project."""

    url: str
    token: str
    project_id: str
    dsn: str


def find_programs() -> Path | None:
    """The folder of bugsink-manage, if this machine has it."""
    places = (os.environ.get("BUGSINK_BIN"), os.environ.get("PATH"), str(BUGSINK_VENV_DIR / "bin"))
    found = next((program for place in places if place and (program := shutil.which("bugsink-manage", path=place))), "")
    return Path(found).parent if found else None


@contextlib.contextmanager
def serve_bugsink(programs: Path, folder: Path) -> Iterator[Bugsink]:
    """Set Bugsink up in ``folder`` and serve it until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Its settings are a file in the working directory; ours must not be seen.
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}

    def run(program: str, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [str(programs / program), *arguments],
            cwd=folder,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout

    run("bugsink-create-conf", "--template=local", f"--port={port}", "--host=127.0.0.1")
    run("bugsink-manage", "migrate")
    run("bugsink-manage", "migrate", "--database=snappea")
    token = run("bugsink-manage", "create_auth_token").split()[-1]
    made = next(line for line in run("bugsink-manage", "shell", stdin=_MAKE_PROJECT).splitlines() if "MADE" in line)
    _, project_id, dsn = made[made.index("MADE") :].split()
    server = subprocess.Popen(
        [str(programs / "bugsink-manage"), "runserver", "--noreload", f"127.0.0.1:{port}"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/accounts/login/", server)
        yield Bugsink(url, token, project_id, dsn)
    finally:
        server.terminate()
        server.wait(20)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, "Bugsink ended by itself"
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=2).close()
            return
        time.sleep(0.1)
    raise AssertionError("Bugsink does not answer")
