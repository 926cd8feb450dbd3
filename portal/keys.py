"""Reads the portal's own keys from 0600 files under <var>/keys and writes each of them once, at first use."""

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyrage
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

DJANGO_SECRET = "django_secret"  # noqa: S105  the name of a file, not a secret
FIELD_KEYS = "field_encryption_keys"
AGE_IDENTITY = "age.txt"
SNAPSHOT_KEY = "snapshot_ed25519.pem"
POSTGRES_PASSWORD = "postgres_password"  # noqa: S105  the name of a file, not a secret

LONGEST_FILE_BYTES = 65_536


class KeyFileError(Exception):
    """A key file cannot be read, made or trusted; the text is one sentence without any part of the key."""


def keys_dir(var_dir: Path) -> Path:
    """The directory that holds every key file of this portal."""
    return var_dir / "keys"


def read_or_create(path: Path, make: Callable[[], str]) -> str:
    """Return the text of the key file at `path`, made by `make()` when there is none yet.

    Processes that race get the same key: one of them makes it under a lock, the others read it. A file that others may
    read is narrowed to 0600 when it is ours.

    Raises:
        KeyFileError: the file is unreadable, empty, not a plain file, or cannot be written.
    """
    try:
        if not path.exists():
            _ensure_private_dir(path.parent)
            with _locked(path.parent):
                if not path.exists():
                    _write_new(path, make())
        return _read_private(path)
    except OSError as error:
        raise _explain(path, error) from None


def read_existing(path: Path) -> str | None:
    """Return the text of the key file, or None where there is none; never makes one. Raises KeyFileError."""
    try:
        return _read_private(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _explain(path, error) from None


def django_secret(var_dir: Path) -> str:
    """Django's SECRET_KEY: 67 URL-safe characters, 400 bits. Raises KeyFileError."""
    return read_or_create(keys_dir(var_dir) / DJANGO_SECRET, lambda: secrets.token_urlsafe(50))


def field_encryption_keys(var_dir: Path) -> list[str]:
    """Fernet keys for encrypted fields, one a line in the file: the first encrypts, all of them decrypt.

    Raises:
        KeyFileError: see `read_or_create`, or a line is not a Fernet key.
    """
    path = keys_dir(var_dir) / FIELD_KEYS
    text = read_or_create(path, lambda: Fernet.generate_key().decode())
    keys = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for number, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError:
            raise KeyFileError(f"Key {number} in {path} is not a Fernet key: put the original file back.") from None
    if not keys:
        raise KeyFileError(f"The key file {path} holds no key: put the original file back.")
    return keys


def age_identity_path(var_dir: Path) -> Path:
    """The age identity as a file that `age --decrypt --identity` reads; made at first use. Raises KeyFileError."""
    path = keys_dir(var_dir) / AGE_IDENTITY
    read_or_create(path, _make_age_identity)
    return path


def age_recipient(var_dir: Path) -> str:
    """The public age key (`age1...`) that backups are encrypted to, worked out from the identity itself.

    Raises:
        KeyFileError: see `read_or_create`, or the file holds no age identity.
    """
    path = age_identity_path(var_dir)
    for line in _read_private(path).splitlines():
        if line.startswith("AGE-SECRET-KEY-"):
            try:
                return str(pyrage.x25519.Identity.from_str(line.strip()).to_public())
            except (pyrage.IdentityError, ValueError):
                break
    raise KeyFileError(f"The key file {path} holds no age identity: put the original file back.")


def snapshot_signing_key(var_dir: Path) -> Ed25519PrivateKey:
    """The key that snapshots of decisions are signed with, an unencrypted PKCS #8 PEM; made at first use.

    Raises:
        KeyFileError: see `read_or_create`, or the file holds no Ed25519 key.
    """
    path = keys_dir(var_dir) / SNAPSHOT_KEY
    return _load_signing_key(read_or_create(path, _make_signing_key), path)


def existing_snapshot_public_key(var_dir: Path) -> Ed25519PublicKey | None:
    """The public half of the portal's own key, or None while there is none; never makes one. Raises KeyFileError."""
    path = keys_dir(var_dir) / SNAPSHOT_KEY
    text = read_existing(path)
    return None if text is None else _load_signing_key(text, path).public_key()


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The Ed25519 public key in a PEM file of anybody's. Raises KeyFileError."""
    try:
        with path.open("rb") as file:
            key = load_pem_public_key(file.read(LONGEST_FILE_BYTES))
    except OSError as error:
        raise KeyFileError(f"The file {path} cannot be read: {error.strerror}.") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"The file {path} holds no Ed25519 public key in PEM.")
    return key


def public_key_pem(key: Ed25519PublicKey) -> str:
    """The key as a PEM file that openssl reads."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _make_signing_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _load_signing_key(text: str, path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"The key file {path} holds no Ed25519 key: put the original file back.")
    return key


def _explain(path: Path, error: OSError) -> KeyFileError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return KeyFileError(f"The disk that holds {path} is full: free some space and start again.")
    reason = error.strerror or type(error).__name__
    return KeyFileError(f"The key file {path} cannot be used ({reason}): check its owner and mode.")


def _make_age_identity() -> str:
    identity = pyrage.x25519.Identity.generate()
    created_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"# created: {created_at}\n# public key: {identity.to_public()}\n{identity}"


def _ensure_private_dir(directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; the kernel lets go of it when the process dies."""
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_new(path: Path, text: str) -> None:
    """Write through a `.part` file that is synced and renamed, so that no reader ever sees half a key."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # left by a process that was killed; we hold the lock
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text.rstrip("\n") + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read_private(path: Path) -> str:
    """Read a key through one descriptor, narrowing a mode that is too open."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"The key file {path} is not a plain file: put the original file back.")
        if status.st_mode & 0o077:
            _narrow(descriptor, status, path)
        text = os.read(descriptor, LONGEST_FILE_BYTES).decode("ascii", errors="replace").strip()
    finally:
        os.close(descriptor)
    if not text:
        raise KeyFileError(f"The key file {path} is empty: put the original file back, or remove it to get a new key.")
    return text


def _narrow(descriptor: int, status: os.stat_result, path: Path) -> None:
    try:
        os.fchmod(descriptor, 0o600)
    except PermissionError:
        raise KeyFileError(
            f"The key file {path} has mode {stat.S_IMODE(status.st_mode):04o} and belongs to another account: "
            "run `chmod 600` on it as its owner."
        ) from None
