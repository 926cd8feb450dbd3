"""Sends invitations by mail where mail is set up; writes nothing."""

from __future__ import annotations

import logging

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.template.loader import render_to_string

logger = logging.getLogger(__name__)

# Printing a link that sets a password into a log would give it to whoever reads logs.
UNSENDING_BACKENDS = {
    "django.core.mail.backends.console.EmailBackend",
    "django.core.mail.backends.dummy.EmailBackend",
}


def send_invitation(person: User, url: str) -> bool:
    """Mails ``url`` to ``person``; False when mail is not set up or was refused, and the link must be passed on."""
    if settings.EMAIL_BACKEND in UNSENDING_BACKENDS:
        return False
    text = render_to_string("portal/invitation.txt", {"person": person, "url": url})
    try:
        return send_mail("Your account on Preflight", text, None, [person.email]) == 1
    except OSError as error:
        logger.warning("The invitation for %s was not mailed: %s.", person.username, type(error).__name__)
        return False
