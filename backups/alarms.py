"""Mails every administrator at once about what somebody did alone; reads accounts, writes mails."""

from __future__ import annotations

import logging

from django.contrib.auth import get_user_model
from django.core.mail import send_mail

from backups.models import Restore
from readiness.models import Environment

logger = logging.getLogger(__name__)


def tell_of_broken_glass(restore: Restore, environment: Environment | None) -> int:
    """Mail every administrator that a restore goes on without a second operator; how many were told."""
    name = environment.name if environment else restore.backup.environment_name
    who = restore.requested_by_name or "Somebody"
    text = (
        f"{who} restores {restore} in {name} without the approval of a second operator.\n\n"
        f"Reason: {restore.reason}\n\nThe audit trail has it as restore {restore.pk}.\n"
    )
    told = 0
    for address in _list_administrators():
        try:
            told += send_mail(f"Glass broken: {name} is being restored", text, None, [address])
        except OSError:
            # The restore must not wait for a mail server; the audit trail has it.
            logger.exception("An administrator could not be told of restore %s", restore.pk)
    if not told:
        logger.warning("No administrator could be told of restore %s: none has an address.", restore.pk)
    return told


def _list_administrators() -> list[str]:
    backend = "django.contrib.auth.backends.ModelBackend"
    people = get_user_model()._default_manager.with_perm("portal.manage_people", backend=backend)
    return sorted({person.email for person in people if person.email})
