"""Reads and writes what the private cluster is told at its start: port, socket directory and the fixed settings."""

import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "preflight.conf"
LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 30_000)  # below the range that kernels hand out for outgoing connections
PLACEHOLDER_PORT = 20_000
LONGEST_SOCKET_PATH_BYTES = 100  # kernels allow 104 (macOS) or 108 (Linux) with the closing zero
PLAIN_PATH = re.compile(r"[\w./+@~-]+")
SHORT_DIR_PREFIX = "preflight-"
SHORT_DIR_ROOT = Path("/tmp")  # noqa: S108  a 0700 directory with a random name is made in it
SETTINGS = """\
# Written by Preflight at each start of the server.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{socket_dir}'
unix_socket_permissions = 0700
max_connections = 150
password_encryption = 'scram-sha-256'
shared_preload_libraries = 'pg_stat_statements'
cluster_name = 'preflight'
logging_collector = off
log_destination = 'stderr'
log_line_prefix = '%m [%p] %q%u@%d '
# A statement that fails may hold a password, so statements stay out of the log.
log_min_error_statement = panic
"""


@dataclass(frozen=True)
class Address:
    """Where the server listens: the directory of its Unix socket, and the port of socket and loopback alike."""

    socket_dir: Path
    port: int


def render(address: Address) -> str:
    """The text of the configuration file."""
    return SETTINGS.format(port=address.port, socket_dir=address.socket_dir)


def read_address(data_dir: Path, home: Path) -> Address:
    """The address of the last start, which is the present one while the server runs; a placeholder before the first."""
    try:
        text = (data_dir / FILE_NAME).read_text(encoding="utf-8")
    except OSError:
        text = ""
    port = re.search(r"^port = (\d+)$", text, re.MULTILINE)
    directory = re.search(r"^unix_socket_directories = '(.*)'$", text, re.MULTILINE)
    return Address(
        Path(directory[1]) if directory else home / "run",
        int(port[1]) if port else PLACEHOLDER_PORT,
    )


def read_server_pid(data_dir: Path) -> int | None:
    """The pid in postmaster.pid, whether such a process lives or not."""
    try:
        first = (data_dir / "postmaster.pid").read_text(errors="replace").split("\n", 1)[0]
    except OSError:
        return None
    return int(first) if first.strip().isdigit() else None


def choose_port(last: int) -> int:
    """The last port when it is free, else a random free one of PORTS, else any that the kernel gives."""
    if last and last != PLACEHOLDER_PORT and _is_free(last):
        return last
    for _ in range(50):
        port = PORTS[secrets.randbelow(len(PORTS))]
        if _is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def prepare_socket_dir(known: Path, home: Path) -> Path:
    """Make the socket's directory: <home>/run, or a private one in /tmp where that path does not do for a socket.

    It may be too long for the kernel, or hold a comma or a quote, which separate hosts and settings.
    """
    normal = home / "run"
    is_short = len(os.fsencode(normal / ".s.PGSQL.65535.lock")) <= LONGEST_SOCKET_PATH_BYTES
    if is_short and PLAIN_PATH.fullmatch(str(normal)):
        normal.mkdir(mode=0o700, exist_ok=True)
        return normal
    if _is_short_dir(known) and _is_private(known, home):
        return known
    return Path(tempfile.mkdtemp(prefix=SHORT_DIR_PREFIX, dir=SHORT_DIR_ROOT))


def remove_short_socket_dir(data_dir: Path) -> None:
    """Delete the short directory of a cluster that is going away, if it has one."""
    directory = read_address(data_dir, data_dir.parent).socket_dir
    if _is_short_dir(directory) and _is_private(directory, data_dir.parent):
        shutil.rmtree(directory, ignore_errors=True)


def _is_short_dir(directory: Path) -> bool:
    return directory.parent == SHORT_DIR_ROOT and directory.name.startswith(SHORT_DIR_PREFIX)


def _is_private(directory: Path, home: Path) -> bool:
    """Whether it is a real directory that only the owner of `home` can enter: /tmp belongs to everyone."""
    try:
        status, owner = directory.lstat(), home.stat().st_uid
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == owner and not status.st_mode & 0o077


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
