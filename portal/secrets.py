"""Secrets at rest and by reference; reads FIELD_ENCRYPTION_KEYS, the environment and files that references name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models
from django.db.models.query_utils import DeferredAttribute


class SecretError(Exception):
    """A secret cannot be read; the message is one sentence and never holds the secret."""


def encrypt(plain: str) -> str:
    """Fernet token of ``plain`` under the first of FIELD_ENCRYPTION_KEYS."""
    return _fernet(tuple(settings.FIELD_ENCRYPTION_KEYS)).encrypt(plain.encode()).decode()


def decrypt(token: str) -> str:
    """The text behind ``token``; any of FIELD_ENCRYPTION_KEYS may open it. Raises SecretError."""
    try:
        return _fernet(tuple(settings.FIELD_ENCRYPTION_KEYS)).decrypt(token.encode()).decode()
    except InvalidToken:
        raise SecretError(
            "A stored secret cannot be decrypted with FIELD_ENCRYPTION_KEYS; "
            "add the key it was written with to the end of that list."
        ) from None


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def resolve_reference(value: str) -> str:
    """The secret that ``env:NAME`` or ``file:PATH`` points to, or ``value`` itself. Raises SecretError."""
    if value.startswith("env:"):
        name = value.removeprefix("env:")
        if not os.environ.get(name):
            raise SecretError(f"The environment variable {name} is not set where the portal runs.")
        return os.environ[name].strip()
    if value.startswith("file:"):
        path = Path(value.removeprefix("file:"))
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SecretError(f"The file {path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise SecretError(f"The file {path} does not hold text.") from None
    return value


def is_reference(value: str) -> bool:
    """Whether ``value`` points to a secret kept elsewhere and may itself be shown."""
    return value.startswith(("env:", "file:"))


@dataclass(frozen=True)
class _Sealed:
    """A token as it came from the database, opened when somebody reads the attribute."""

    token: str


class _OpenedWhenRead(DeferredAttribute):
    """Decrypts on access: a row that no key opens can still be listed, changed and deleted."""

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        value = super().__get__(instance, cls)
        return decrypt(value.token) if isinstance(value, _Sealed) else value

    def __set__(self, instance: Any, value: Any) -> None:
        # Having it is what gives __get__ precedence over the instance's own dictionary.
        instance.__dict__[self.field.attname] = value


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Text that is a Fernet token in the database and plain text in Python; no lookups but isnull.

    Reading the attribute raises SecretError where none of FIELD_ENCRYPTION_KEYS opens it.
    """

    descriptor_class = _OpenedWhenRead

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return encrypt(prepared) if prepared else prepared

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> _Sealed | str | None:
        return _Sealed(value) if value else value
