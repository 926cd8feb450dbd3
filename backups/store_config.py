"""Reads BACKUP_STORES, a small TOML text, into Django storage backends; pure, so that the settings can use it.

Secrets stay references (``env:NAME``, ``file:PATH``) until a store is opened.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCAL = "local"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,38}")


class StoreConfigError(ValueError):
    """A store cannot be what was written; the text is one sentence without a secret."""


@dataclass(frozen=True)
class StoreKind:
    """What a kind of store may be told. ``secrets`` must be references; values are text unless listed otherwise."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()

    @property
    def known(self) -> frozenset[str]:
        return frozenset({*self.required, *self.optional, *self.secrets, *self.numbers})


KINDS = {
    "directory": StoreKind(required=("path",)),
    "s3": StoreKind(
        required=("bucket",),
        optional=("prefix", "endpoint", "region", "addressing", "ca_file", "lock_mode"),
        secrets=("access_key", "secret_key"),
        numbers=("lock_days",),
    ),
    "gcs": StoreKind(required=("bucket",), optional=("prefix", "project"), secrets=("credentials",)),
    "azure": StoreKind(
        required=("container",), optional=("prefix", "account"), secrets=("account_key", "connection_string")
    ),
    "sftp": StoreKind(
        required=("host", "user", "path", "known_hosts"),
        optional=("key_file",),
        secrets=("password",),
        numbers=("port",),
    ),
}
LOCK_MODES = ("GOVERNANCE", "COMPLIANCE")


@dataclass(frozen=True)
class StoreConfig:
    """One store as it was written: its name, kind and options; it holds references, no secret."""

    name: str
    kind: str
    options: dict[str, Any]

    @property
    def alias(self) -> str:
        """Its key in STORAGES."""
        return alias_of(self.name)

    @property
    def address(self) -> str:
        """Where it is, for people."""
        prefix = str(self.options.get("prefix", "")).strip("/")
        match self.kind:
            case "directory":
                return str(self.options["path"])
            case "sftp":
                return f"sftp://{self.options['host']}/{str(self.options['path']).strip('/')}"
            case "azure":
                return "/".join(part for part in (f"azure://{self.options['container']}", prefix) if part)
            case _:
                scheme = "gs" if self.kind == "gcs" else "s3"
                return "/".join(part for part in (f"{scheme}://{self.options['bucket']}", prefix) if part)

    def as_storage(self) -> dict[str, Any]:
        """Its entry in STORAGES."""
        if self.kind == "directory":
            return directory_storage(Path(self.options["path"]))
        return {"BACKEND": f"backups.store_kinds.{self.kind}.build", "OPTIONS": dict(self.options)}


def alias_of(name: str) -> str:
    """The key in STORAGES of the store of that name."""
    return "backups" if name == LOCAL else f"backups_{name}"


def directory_storage(path: Path) -> dict[str, Any]:
    """The entry in STORAGES of a private directory."""
    return {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": path, "file_permissions_mode": 0o600, "directory_permissions_mode": 0o700},
    }


def read_stores(text: str, local: Path) -> dict[str, StoreConfig]:
    """Every store by its name, the directory ``local`` first. Raises StoreConfigError."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StoreConfigError(f"BACKUP_STORES is not TOML: {error}.") from None
    stores = {LOCAL: StoreConfig(LOCAL, "directory", {"path": str(local)})}
    for name, table in tables.items():
        if not _NAME.fullmatch(name) or name == LOCAL:
            raise StoreConfigError(
                f"BACKUP_STORES names a store {name[:40]!r}: use small letters, digits, - and _, and not {LOCAL}."
            )
        stores[name] = _read_store(name, table)
    return stores


def _read_store(name: str, table: Any) -> StoreConfig:
    if not isinstance(table, dict):
        raise StoreConfigError(
            f"BACKUP_STORES: {name} is a single value; give a table, [{name}] with kind = ... in it."
        )
    options = dict(table)
    kind_name = options.pop("kind", None)
    kind = KINDS.get(kind_name) if isinstance(kind_name, str) else None
    if kind is None:
        raise StoreConfigError(f"BACKUP_STORES: the store {name} needs a kind: {', '.join(KINDS)}.")
    if unknown := sorted(options.keys() - kind.known):
        raise StoreConfigError(
            f"BACKUP_STORES: the store {name} has {unknown[0]}, which {kind_name} does not know; "
            f"it knows {', '.join(sorted(kind.known))}."
        )
    if missing := [key for key in kind.required if not options.get(key)]:
        raise StoreConfigError(f"BACKUP_STORES: the store {name} lacks {missing[0]}.")
    for key, value in options.items():
        if key in kind.numbers:
            if not isinstance(value, int) or value < 1:
                raise StoreConfigError(f"BACKUP_STORES: {key} of the store {name} is no number above 0.")
        elif not isinstance(value, str):
            raise StoreConfigError(f"BACKUP_STORES: {key} of the store {name} is no text.")
        elif key in kind.secrets and not value.startswith(("env:", "file:")):
            raise StoreConfigError(
                f"BACKUP_STORES: {key} of the store {name} is a secret: refer to it with env:NAME or file:PATH."
            )
    if options.get("lock_mode", LOCK_MODES[0]) not in LOCK_MODES:
        raise StoreConfigError(f"BACKUP_STORES: lock_mode of the store {name} is {' or '.join(LOCK_MODES)}.")
    if "lock_mode" in options and "lock_days" not in options:
        raise StoreConfigError(f"BACKUP_STORES: the store {name} has a lock_mode and needs lock_days.")
    return StoreConfig(name, str(kind_name), options)
