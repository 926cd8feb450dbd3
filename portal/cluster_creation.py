"""Makes the data directory of the private cluster with initdb; writes it, and what ties it to its password."""

import hashlib
import hmac
import os
import secrets
import shutil
from pathlib import Path

from portal import cluster_config
from portal.cluster_account import explain_output, give_to_account, run_as_account, write_owned
from portal.cluster_home import ClusterHome
from portal.postgres_binaries import ServerBinaries

USER = "preflight"
FINGERPRINT_FILE = "preflight.fingerprint"
LOCALES = ("C.UTF-8", "C")  # the second where the system lacks the first


def make_data_dir(home: ClusterHome, binaries: ServerBinaries, socket_dir: Path, password: str) -> None:
    """Make <home>/data: initdb works in a directory of its own, which is renamed once it is whole.

    Raises:
        ClusterError: initdb's first complaint, or that the disk is full.
    """
    _remove_half_made(home)
    part = home.path / f"data.part-{secrets.token_hex(4)}"
    password_file = home.path / f"{part.name}.pw"
    part.mkdir(mode=0o700)
    give_to_account(home, part)
    try:
        write_owned(home, password_file, password + "\n")
        _run_initdb(home, binaries, part, password_file)
    finally:
        password_file.unlink(missing_ok=True)
    address = cluster_config.Address(socket_dir, cluster_config.PLACEHOLDER_PORT)
    write_owned(home, part / cluster_config.FILE_NAME, cluster_config.render(address))
    write_owned(home, part / FINGERPRINT_FILE, _fingerprint(password) + "\n")
    with (part / "postgresql.conf").open("a", encoding="utf-8") as config:
        config.write(f"\ninclude = '{cluster_config.FILE_NAME}'\n")
        config.flush()
        os.fsync(config.fileno())
    part.rename(home.path / "data")


def is_made_with(data_dir: Path, password: str) -> bool:
    """Whether the cluster was made with this password, told without asking it."""
    try:
        expected = (data_dir / FINGERPRINT_FILE).read_text().strip()
    except FileNotFoundError:
        return False
    return hmac.compare_digest(_fingerprint(password), expected)


def _run_initdb(home: ClusterHome, binaries: ServerBinaries, part: Path, password_file: Path) -> None:
    fixed = ["-D", str(part), "-U", USER, f"--pwfile={password_file}", "--encoding=UTF8", "--data-checksums"]
    fixed += ["--auth-local=scram-sha-256", "--auth-host=scram-sha-256"]
    output = ""
    for locale in LOCALES:
        done = run_as_account(home, binaries, "initdb", [*fixed, f"--locale={locale}"])
        if done.returncode == 0:
            return
        output = done.stderr + done.stdout
        if "locale" not in done.stderr:
            break
    shutil.rmtree(part, ignore_errors=True)
    raise explain_output(output, home.path, "The database could not be made")


def _remove_half_made(home: ClusterHome) -> None:
    """What a killed `make_data_dir` left: directories, and the file that told initdb the password."""
    for leftover in home.path.glob("*data.part-*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _fingerprint(password: str) -> str:
    """The password is 256 random bits, so its hash gives nothing away."""
    return hashlib.sha256(password.encode()).hexdigest()
