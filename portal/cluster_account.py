"""Runs PostgreSQL's own programs and writes the cluster's files as the account that owns the cluster."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from portal.cluster_home import ClusterError, ClusterHome
from portal.parent_death import die_with_parent
from portal.postgres_binaries import ServerBinaries

_LEVELS = ("FATAL:", "PANIC:", "error:")


def run_as_account(
    home: ClusterHome, binaries: ServerBinaries, program: str, arguments: list[str], output: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run one of the server's programs in a clean environment; `output` may be the descriptor of a log file.

    The program dies with us; the server that pg_ctl leaves behind is not its child, and with a descriptor it holds
    none of our pipes.

    Raises:
        ClusterError: the account may not execute the program.
    """
    account = home.account
    who: dict[str, Any] = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
    command = [str(binaries.program(program)), *arguments]
    environment = {"PATH": f"{binaries.bin_dir}:/usr/bin:/bin", "LC_ALL": "C", "HOME": str(home.path)}
    try:
        return subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE if output == subprocess.PIPE else subprocess.STDOUT,
            env=environment,
            cwd=home.path,
            umask=0o077,
            text=True,
            errors="replace",
            check=False,
            preexec_fn=die_with_parent,
            **who,
        )
    except PermissionError:
        name = account.name if account else "this account"
        raise ClusterError(
            f"The account {name} may not run {command[0]}: set PORTAL_PG_BIN to binaries that every account can reach."
        ) from None


def write_owned(home: ClusterHome, path: Path, text: str) -> None:
    """Replace a small file of the cluster in one step; it is 0600 and belongs to the account."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if home.account is not None:
            os.fchown(descriptor, home.account.uid, home.account.gid)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    part.rename(path)


def give_to_account(home: ClusterHome, path: Path) -> None:
    """Make a file or directory that we made the account's own."""
    if home.account is not None:
        os.chown(path, home.account.uid, home.account.gid, follow_symlinks=False)


def explain_output(output: str, place: Path, what: str) -> ClusterError:
    """One sentence from what the server's programs printed: their first complaint, else their last line."""
    if "No space left on device" in output:
        return ClusterError(f"The disk that holds {place} is full: free some space and start again.")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    complaints = [line.rpartition(level)[2].strip() for line in lines for level in _LEVELS if level in line]
    reason = (complaints[:1] or lines[-1:] or ["it said nothing"])[0]
    return ClusterError(f"{what}: {reason} (see {place}).")


@contextmanager
def os_errors_explained(place: Path) -> Iterator[None]:
    """Turn what the file system refuses into a ClusterError of one sentence."""
    try:
        yield
    except OSError as error:
        where = error.filename or place
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ClusterError(f"The disk that holds {where} is full: free some space and start again.") from None
        raise ClusterError(f"{where} cannot be used ({error.strerror}): check its owner and mode.") from None
