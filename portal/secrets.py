"""Secrets at rest and by reference; reads FIELD_ENCRYPTION_KEYS, the environment and files that references name."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


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


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Text that is a Fernet token in the database and plain text in Python; no lookups but isnull."""

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return encrypt(prepared) if prepared else prepared

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return decrypt(value) if value else value
