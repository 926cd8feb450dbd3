"""Reads the age keys that backups are encrypted to and opened with; writes only what portal.keys makes at first use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyrage
from django.conf import settings

from backups.errors import ErrorCode, JobError
from portal import keys


def recipient_names() -> list[str]:
    """The public keys in use: AGE_RECIPIENTS, else the portal's own. Raises JobError."""
    try:
        return list(settings.AGE_RECIPIENTS) or [keys.age_recipient(Path(settings.VAR_DIR))]
    except keys.KeyFileError as error:
        raise JobError(ErrorCode.WRONG_KEY, str(error)) from None


def load_recipients() -> list[Any]:
    """The same as pyrage wants them. Raises JobError."""
    recipients = []
    for name in recipient_names():
        try:
            recipients.append(
                pyrage.ssh.Recipient.from_str(name)
                if name.startswith("ssh-")
                else pyrage.x25519.Recipient.from_str(name)
            )
        except (pyrage.RecipientError, ValueError):
            raise JobError(
                ErrorCode.WRONG_KEY,
                f"AGE_RECIPIENTS holds {name[:12]!r}..., which is not an age public key: it begins with age1.",
            ) from None
    return recipients


def load_identities() -> list[Any]:
    """The private keys of AGE_IDENTITY_FILE, else the portal's own. Raises JobError, without any part of a key."""
    path = Path(settings.AGE_IDENTITY_FILE) if settings.AGE_IDENTITY_FILE else None
    try:
        path = path or keys.age_identity_path(Path(settings.VAR_DIR))
        text = path.read_text(encoding="ascii", errors="replace")
    except keys.KeyFileError as error:
        raise JobError(ErrorCode.WRONG_KEY, str(error)) from None
    except OSError as error:
        raise JobError(
            ErrorCode.WRONG_KEY, f"The age identity {path} cannot be read ({error.strerror}): put the file back."
        ) from None
    try:
        identities = [
            pyrage.x25519.Identity.from_str(line.strip())
            for line in text.splitlines()
            if line.strip().startswith("AGE-SECRET-KEY-")
        ]
    except (pyrage.IdentityError, ValueError):
        identities = []
    if not identities:
        raise JobError(ErrorCode.WRONG_KEY, f"The file {path} holds no age identity: put the original file back.")
    return identities
