"""Makes, starts and stops the private PostgreSQL cluster; reads and writes its directory, its password and its log.

No Django here: the settings import this module and ask it for the connection without starting anything.
"""

import fcntl
import logging
import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from portal import cluster_config, keys, processes
from portal.cluster_account import explain_output, give_to_account, os_errors_explained, run_as_account, write_owned
from portal.cluster_creation import USER, is_made_with, make_data_dir
from portal.cluster_home import ClusterError, ClusterHome, ensure_home, locate_home, reachable_binaries
from portal.postgres_binaries import BinariesError, ServerBinaries, find_server_binaries

__all__ = ["Cluster", "ClusterError", "ConnectionInfo"]

DATABASE = "preflight"
START_SECONDS = 60
STOP_SECONDS = 60
PORT_ATTEMPTS = 3
LOG_LIMIT_BYTES = 10_000_000
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConnectionInfo:
    """How to connect to the private cluster: `host` is the directory of its Unix socket."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    dbname: str

    def as_kwargs(self) -> dict[str, Any]:
        """The parameters of `psycopg.connect`."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": self.dbname,
        }


@dataclass(frozen=True)
class Cluster:
    """One private cluster; every method looks at the disk, so that processes agree without talking."""

    var_dir: Path

    @classmethod
    def locate(cls, var_dir: Path) -> "Cluster":
        """The cluster of a var directory, whether it exists or not."""
        return cls(Path(os.path.realpath(var_dir)))

    @property
    def home(self) -> ClusterHome:
        """The directory and the account, which may come into being with `create`."""
        return locate_home(self.var_dir)

    @property
    def data_dir(self) -> Path:
        return self.home.path / "data"

    @property
    def log_path(self) -> Path:
        return self.var_dir / "log" / "postgres.log"

    @property
    def password_path(self) -> Path:
        return keys.keys_dir(self.var_dir) / keys.POSTGRES_PASSWORD

    @property
    def exists(self) -> bool:
        return (self.data_dir / "PG_VERSION").is_file()

    @property
    def major(self) -> int:
        """The major version that made the cluster. Raises ClusterError when it cannot be read."""
        path = self.data_dir / "PG_VERSION"
        try:
            return int(path.read_text().strip())
        except (OSError, ValueError):
            raise ClusterError(
                f"{path} cannot be read: put the cluster's directory back or run `make reset`."
            ) from None

    def connection(self, dbname: str = DATABASE) -> ConnectionInfo:
        """How to connect; before the cluster exists a placeholder that nothing answers. Raises KeyFileError."""
        address = cluster_config.read_address(self.data_dir, self.home.path)
        password = keys.read_existing(self.password_path) or ""
        return ConnectionInfo(str(address.socket_dir), address.port, USER, password, dbname)

    def server_binaries(self) -> ServerBinaries:
        """Binaries of the cluster's own major, or of any before it exists. Raises ClusterError."""
        try:
            return reachable_binaries(find_server_binaries(self.major if self.exists else None), self.home)
        except BinariesError as error:
            raise ClusterError(str(error)) from None

    def server_pid(self) -> int | None:
        """The pid of our running server, None when it does not run; never another process that got its number."""
        pid = cluster_config.read_server_pid(self.data_dir)
        if pid is None or not processes.is_alive(pid):
            return None
        return pid if str(self.data_dir) in processes.read_command_line(pid) else None

    def is_running(self) -> bool:
        return self.server_pid() is not None

    def create(self) -> None:
        """Make the cluster where there is none: into a directory of its own that is renamed when it is whole.

        Raises:
            ClusterError: no binaries, no space, no account, or initdb's own last word.
        """
        with self._exclusive(), os_errors_explained(self.home.path):
            if self.exists and self._is_orphan():
                self._set_aside()
            if not self.exists:
                ensure_home(self.home)
                password = keys.read_or_create(self.password_path, lambda: secrets.token_urlsafe(32))
                make_data_dir(self.home, self.server_binaries(), self._socket_dir(), password)

    def start(self) -> ConnectionInfo:
        """Start the server, or adopt it when it runs already, and make the portal's database.

        Returns when it answers. The server has a session and a log file of its own and outlives this process.

        Raises:
            ClusterError: see `create`; also when the keys in var/keys are not the ones the cluster was made with.
        """
        with self._exclusive(), os_errors_explained(self.home.path):
            self._check_password()
            if not self.is_running():
                self._remove_stale_pid_file()
                self._start_server()
            connection = self.connection()
            self.ensure_database(connection.dbname)
            return connection

    def ensure_running(self) -> ConnectionInfo:
        """Create the cluster when there is none, then start it. Raises ClusterError."""
        self.create()
        return self.start()

    def stop(self) -> bool:
        """Stop the server fast: sessions end, data is written. False when it did not run. Raises ClusterError."""
        pid = self.server_pid()
        if pid is None:
            return False
        for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 10)):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return True
            except PermissionError:
                raise ClusterError(
                    f"The database server (pid {pid}) belongs to another account: stop it there."
                ) from None
            if _wait_for(lambda: not processes.is_alive(pid), seconds):
                return True
        raise ClusterError(f"The database server (pid {pid}) did not stop: see {self.log_path}.")

    def remove(self) -> None:
        """Stop the server and delete the cluster with everything in it; keys and logs stay. Raises ClusterError."""
        self.stop()
        with self._exclusive(), os_errors_explained(self.home.path):
            cluster_config.remove_short_socket_dir(self.data_dir)
            if self.home.path.exists():
                shutil.rmtree(self.home.path)

    def ensure_database(self, name: str) -> None:
        """Make the database, with pg_stat_statements in it, unless it exists. Raises ClusterError."""
        import psycopg
        from psycopg import sql

        try:
            with psycopg.connect(
                **self.connection("postgres").as_kwargs(), autocommit=True, connect_timeout=10
            ) as server:
                if server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                    return
                server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            with psycopg.connect(**self.connection(name).as_kwargs(), autocommit=True, connect_timeout=10) as database:
                database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        except psycopg.errors.DuplicateDatabase:
            return
        except psycopg.Error as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ClusterError(f"The database {name!r} could not be made ({reason}): see {self.log_path}.") from None

    def _start_server(self) -> None:
        binaries = self.server_binaries()
        port = cluster_config.read_address(self.data_dir, self.home.path).port
        for _ in range(PORT_ATTEMPTS):
            port = cluster_config.choose_port(port)
            address = cluster_config.Address(self._socket_dir(), port)
            write_owned(self.home, self.data_dir / cluster_config.FILE_NAME, cluster_config.render(address))
            log = self._launch(binaries)
            if log is None:
                return
            if "could not bind" not in log and "Address already in use" not in log:
                break
            port = 0
        raise explain_output(log or "", self.log_path, "The database server did not start")

    def _launch(self, binaries: ServerBinaries) -> str | None:
        """Run pg_ctl until the server answers; the new part of the log when it does not.

        We open the log, so that it may lie where the account cannot go. After a server was killed its children may
        live for a moment and hold its shared memory: then try again.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            with self._open_log() as log:
                started_at = os.fstat(log).st_size
                options = ["start", "-D", str(self.data_dir), "-w", "-t", str(START_SECONDS), "-s"]
                done = run_as_account(self.home, binaries, "pg_ctl", options, output=log)
            if done.returncode == 0:
                return None
            with self.log_path.open("rb") as file:
                file.seek(started_at)
                text = file.read().decode(errors="replace")
            if "shared memory block" not in text or time.monotonic() > deadline:
                return text
            time.sleep(1)

    def _socket_dir(self) -> Path:
        """An existing private directory for the socket, short enough for the kernel."""
        known = cluster_config.read_address(self.data_dir, self.home.path).socket_dir
        directory = cluster_config.prepare_socket_dir(known, self.home.path)
        give_to_account(self.home, directory)
        return directory

    def _remove_stale_pid_file(self) -> None:
        """PostgreSQL trusts any process with the recorded number, a zombie too; we know that it is not our server."""
        if cluster_config.read_server_pid(self.data_dir) is not None:
            (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
            for leftover in self._socket_dir().glob(".s.PGSQL.*"):
                leftover.unlink(missing_ok=True)

    def _check_password(self) -> None:
        if not self.exists:
            raise ClusterError(f"There is no database in {self.home.path} yet: run `make run` or `make setup`.")
        password = keys.read_existing(self.password_path)
        if password is None or not is_made_with(self.data_dir, password):
            raise ClusterError(
                f"The database in {self.home.path} was made with keys that are not in {self.password_path.parent}: "
                "put that directory back from a copy, or run `make reset` to start over."
            )

    def _is_orphan(self) -> bool:
        """A deleted clone leaves its cluster under /var/lib/preflight; the next clone there has no password for it."""
        return self.home.is_outside and keys.read_existing(self.password_path) is None

    def _set_aside(self) -> None:
        self.stop()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        aside = self.home.path.with_name(f"{self.home.path.name}.orphan-{stamp}")
        self.home.path.rename(aside)
        logger.warning("A database of a deleted clone was moved to %s; delete it when nobody needs it.", aside)

    @contextmanager
    def _open_log(self) -> Iterator[int]:
        self.log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_LIMIT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        descriptor = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One process at a time makes or starts the cluster; the kernel lets go when that process dies."""
        path = self.var_dir / "run" / "postgres.lock"
        with os_errors_explained(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()
