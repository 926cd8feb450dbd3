"""Starts the whole portal on one machine (`make run`); reads the environment and the Procfile, writes <var>.

One process from here on: the cluster, the migrations, the first administrator, the demonstration, then honcho.
"""

import errno
import hashlib
import http.client
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections

from portal import run_state
from portal.cluster_watch import ClusterWatch
from portal.demo import load as demo
from portal.embedded_postgres import Cluster
from portal.local_processes import LocalManager, add_processes, read_procfile
from portal.notes import DEMO_LOADED, is_noted
from portal.roles import ADMINISTRATOR

ADMIN_NAME = "admin"
READY_SECONDS = 90
Say = Callable[[str], None]


@dataclass(frozen=True)
class Address:
    """Where the portal listens."""

    bind: str
    port: int

    @property
    def reached_at(self) -> str:
        """The host a browser on this machine uses."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.bind, self.bind)  # noqa: S104

    @property
    def url(self) -> str:
        return f"http://{_bracketed(self.reached_at)}:{self.port}/"


def run_portal(say: Say) -> int:
    """Prepare and serve until Ctrl-C, SIGTERM or the end of a process; the exit status.

    Raises:
        RunError, ClusterError, KeyFileError: one sentence each; what was started is stopped again.
    """
    var_dir: Path = settings.VAR_DIR
    address = Address(settings.BIND.strip("[]"), settings.PORT)
    record = run_state.claim_run(var_dir, address.url)
    _let_stop_signals_interrupt()
    try:
        check_port(address)
        try:
            prepare_portal(say)
            return _serve(record, address, say)
        finally:
            _ignore_stop_signals()
            _stop_cluster()
    finally:
        run_state.release_run(var_dir, record)


def prepare_portal(say: Say) -> None:
    """Everything a start needs, each part skipped when there is nothing to do; leaves the cluster running."""
    start_database()
    call_command("migrate", verbosity=0, interactive=False)
    call_command("createcachetable", verbosity=0)
    call_command("setup_schedules", stdout=_Silence())
    collect_static()
    password = create_first_administrator()
    if password is not None:
        say(f"Sign in as {ADMIN_NAME} with the password {password} (shown once; `make password` sets a new one).")
    load_demo()


def start_database() -> None:
    """Start the private cluster and point this process to it, or check that DATABASE_URL answers.

    Raises:
        RunError, ClusterError: the database cannot be used.
    """
    if not settings.DATABASE_URL:
        cluster = Cluster.locate(settings.VAR_DIR)
        if not cluster.exists:
            show_progress(f"Making the database in {cluster.home.path} ...")
        info = cluster.ensure_running()
        connections.close_all()
        settings.DATABASES["default"].update(HOST=info.host, PORT=str(info.port), PASSWORD=info.password)
    try:
        connection.ensure_connection()
    except OperationalError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise run_state.RunError(f"The database cannot be reached: {lines[0]}.") from None


def create_first_administrator() -> str | None:
    """Make the account `admin` while nobody administers the portal; its password, else None."""
    if User.objects.filter(is_active=True, is_superuser=True).exists():
        return None
    return set_admin_password()


def set_admin_password() -> str:
    """Give `admin` a new password, making the account when it is missing; the password, known to nobody else."""
    password = "-".join(secrets.token_hex(3) for _ in range(4))
    user, _ = User.objects.get_or_create(username=ADMIN_NAME)
    user.is_active = user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save()
    user.groups.add(Group.objects.get_or_create(name=ADMINISTRATOR)[0])
    return password


def collect_static() -> None:
    """Run collectstatic when a static file was added, changed or removed since the last time."""
    stamp = settings.VAR_DIR / "run" / "static.sha256"
    digest = fingerprint_static()
    root = Path(settings.STATIC_ROOT)
    if (root / "staticfiles.json").is_file() and stamp.is_file() and stamp.read_text().strip() == digest:
        return
    call_command("collectstatic", verbosity=0, interactive=False, clear=False)
    stamp.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp.write_text(digest + "\n")


def fingerprint_static() -> str:
    """sha256 over name, size and modification time of every static file that the finders see."""
    from django.contrib.staticfiles.finders import get_finders

    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in sorted(finder.list([]), key=lambda found: str(found[0])):
            status = Path(storage.path(name)).stat()
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def load_demo() -> None:
    """Load the demonstration once per database, unless DEMO=0; a portal that cannot have one starts without it."""
    if os.environ.get("DEMO") == "0" or is_noted(DEMO_LOADED):
        return
    show_progress("Loading the demonstration (DEMO=0 leaves it out) ...")
    try:
        call_command("demo", stdout=_Silence())
    except CommandError as error:
        show_progress(str(error))


def check_port(address: Address) -> None:
    """Raises RunError when the address cannot be listened on."""
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            address.bind, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except OverflowError:
        raise run_state.RunError(f"PORT={address.port} is not a port: choose one from 1024 to 65535.") from None
    except OSError as error:
        what = (
            "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        )
        raise run_state.RunError(
            f"Port {address.port} on {address.bind} {what}: choose another (make run PORT={address.port + 1})."
        ) from None


def _serve(record: run_state.RunRecord, address: Address, say: Say) -> int:
    watch = _ReadyWatch(record, address, say)
    cluster_watch = ClusterWatch(Cluster.locate(settings.VAR_DIR), show_progress)

    def start_watching(manager: LocalManager) -> None:
        watch.start(manager)
        if not settings.DATABASE_URL:
            cluster_watch.start()

    manager = LocalManager(settings.VAR_DIR / "log", start_watching)
    commands = read_procfile(settings.BASE_DIR / "Procfile")
    if demo.is_loaded():
        commands["demo"] = "python manage.py demo --serve"
    connections.close_all()
    add_processes(manager, commands, _child_environment(record, address), settings.BASE_DIR)
    manager.loop()
    watch.stop()
    cluster_watch.stop()
    run_state.end_processes(run_state.find_processes(record.run_id), run_state.GRACE_SECONDS)
    if watch.has_failed:
        log = settings.VAR_DIR / "log" / "web.log"
        raise run_state.RunError(f"The portal did not answer at {address.url} within {READY_SECONDS} s: see {log}.")
    if manager.ended_first:
        name, code = manager.ended_first
        log = settings.VAR_DIR / "log" / f"{name}.log"
        raise run_state.RunError(f"The portal stopped because its process {name} ended (status {code}): see {log}.")
    return 0


class _ReadyWatch:
    """Waits in a thread until the portal answers, then prints the one line; asks honcho to stop when it never does."""

    def __init__(self, record: run_state.RunRecord, address: Address, say: Say) -> None:
        self.has_failed = False
        self._record, self._address, self._say = record, address, say
        self._over = threading.Event()

    def start(self, manager: LocalManager) -> None:
        threading.Thread(target=self._wait, args=[manager], daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def _wait(self, manager: LocalManager) -> None:
        deadline = time.monotonic() + READY_SECONDS
        is_recorded = False
        while not self._over.wait(0.1):
            if not is_recorded and manager.are_all_started:
                run_state.record_children(settings.VAR_DIR, self._record, manager.child_pids())
                is_recorded = True
            if is_recorded and answers(self._address):
                self._say(f"Preflight is ready: {self._address.url} (Ctrl-C stops it)")
                return
            if time.monotonic() > deadline:
                self.has_failed = True
                manager.terminate()
                return


def answers(address: Address) -> bool:
    """Whether /healthz answers; a refused host name still means that the portal is up."""
    client = http.client.HTTPConnection(address.reached_at, address.port, timeout=2)
    try:
        client.request("GET", "/healthz")
        return client.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()


def _child_environment(record: run_state.RunRecord, address: Address) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "BIND": _bracketed(address.bind),
        "PORT": str(address.port),
        "PYTHONUNBUFFERED": "1",
        run_state.RUN_ID_VARIABLE: record.run_id,
    }


def show_progress(text: str) -> None:
    """Say what takes a while on stderr; stdout holds the results."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _stop_cluster() -> None:
    if not settings.DATABASE_URL:
        connections.close_all()
        Cluster.locate(settings.VAR_DIR).stop()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _let_stop_signals_interrupt() -> None:
    """Until honcho takes over, SIGTERM and SIGHUP end the preparation as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def _ignore_stop_signals() -> None:
    """A second Ctrl-C must not interrupt the stopping of the cluster."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


class _Silence:
    """A stream for commands whose words nobody needs here."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return
