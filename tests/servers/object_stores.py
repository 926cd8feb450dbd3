"""Servers that speak S3, Google Cloud Storage and SFTP, each in a process of its own on loopback for one block."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class ObjectServer:
    """Where it listens, and whom it lets in; the process can be stopped to see what that does."""

    endpoint: str
    port: int
    access_key: str
    secret_key: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def moto_server(directory: Path) -> Iterator[ObjectServer]:
    """moto: multipart, versions and object lock; lets anybody in."""
    yield from _serve(
        lambda port: [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)],
        directory,
        {},
    )


@contextmanager
def nanio_server(directory: Path) -> Iterator[ObjectServer]:
    """nanio: keeps objects as files and refuses wrong keys."""
    key, secret = secrets.token_hex(8), secrets.token_hex(20)
    data = directory / "nanio"
    data.mkdir()
    yield from _serve(
        lambda port: [
            *(str(Path(sys.executable).with_name("nanio")), "serve", "--host", "127.0.0.1", "--port", str(port)),
            *("--data-dir", str(data), "--no-access-log", "--log-level", "error"),
        ],
        directory,
        {"NANIO_ACCESS_KEY": key, "NANIO_SECRET_KEY": secret},
        (key, secret),
    )


@contextmanager
def gcs_server(directory: Path) -> Iterator[ObjectServer]:
    """gcp-storage-emulator with one bucket, "preflight"; lets anybody in."""
    yield from _serve(
        lambda port: [
            *(str(Path(sys.executable).with_name("gcp-storage-emulator")), "start", "--host", "127.0.0.1"),
            *("--port", str(port), "--in-memory", "--default-bucket", "preflight"),
        ],
        directory,
        {},
    )


@contextmanager
def sftp_server(directory: Path) -> Iterator[ObjectServer]:
    """asyncssh's SFTP server over a directory ``files``, with its key in ``known_hosts``; lets in user "backup"."""
    password = secrets.token_hex(8)
    (directory / "files").mkdir()
    yield from _serve(
        lambda port: [sys.executable, "-m", "tests.servers.sftp", str(port), str(directory)],
        directory,
        {"SFTP_TEST_PASSWORD": password},
        ("backup", password),
    )


def _serve(
    build: object, directory: Path, environment: dict[str, str], keys: tuple[str, str] = ("test", "test")
) -> Iterator[ObjectServer]:
    port = _free_port()
    assert callable(build)
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            build(port),
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd=PROJECT,
        )
        try:
            _wait_until_open(port, process, directory / "server.log")
            yield ObjectServer(f"http://127.0.0.1:{port}", port, *keys, process)
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
            continue
        return
    raise AssertionError(f"The server did not begin to listen: {log.read_text()[-2000:]}")
