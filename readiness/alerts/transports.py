"""Carries one message through one channel: mail, webhook or Apprise. Reads its secret, writes to the network."""

from __future__ import annotations

import json
import re
import smtplib
from collections.abc import Callable, Mapping
from email.utils import parseaddr
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.validators import validate_email

from portal.secrets import SecretError
from readiness.alerts.messages import Message
from readiness.models import Channel
from readiness.probes import http_client, net
from readiness.probes.addresses import AddressPolicy
from readiness.probes.base import ErrorReason

WEBHOOK_SECONDS = 10
_PERMANENT_STATUSES = {400, 401, 403, 404, 405, 410}
_PERMANENT_REASONS = {ErrorReason.ADDRESS_NOT_ALLOWED}
# Apprise can also show messages on the screen of this machine, write its logs, or run what a plug-in says.
_LOCAL_SCHEMAS = {"dbus", "gio", "glib", "gnome", "kde", "qt", "macosx", "windows", "syslog"}
_MENTION = re.compile(r"@(?=\w)|<(?=[!@#])")
_APPRISE_STATUS = re.compile(r"error=(\d{3})\b")


class TransportError(Exception):
    """The message did not get through. ``is_permanent``: trying again changes nothing. The text holds no secret."""

    def __init__(self, message: str, *, is_permanent: bool) -> None:
        super().__init__(message)
        self.is_permanent = is_permanent


def deliver(receiver: Channel | User, message: Message) -> None:
    """Sends ``message`` through a channel, or by mail to one person. Raises TransportError."""
    if isinstance(receiver, User):
        _send_mail(receiver.email, message)
        return
    try:
        address = receiver.read_address()
    except SecretError as error:
        raise TransportError(str(error), is_permanent=False) from None
    _CARRIERS[receiver.kind](address, message)


def explain_bad_address(kind: str, address: str) -> str:
    """Why ``address`` cannot be one of that kind, in one sentence that does not repeat it; empty when it can."""
    if kind == Channel.Kind.EMAIL:
        try:
            _split_addresses(address)
        except ValidationError:
            return "Give e-mail addresses, separated by commas."
    elif kind == Channel.Kind.WEBHOOK:
        try:
            http_client.split_http_url(address)
        except ValueError:
            return "Give the webhook's URL, https://host/path."
    else:
        try:
            if _load_apprise(address) is None:
                return "Apprise does not know this kind of URL."
        except TransportError as error:
            return str(error)
    return ""


def address_policy() -> AddressPolicy:
    """Which addresses messages may be sent to: the same as probes."""
    return AddressPolicy(allow_loopback=settings.PROBE_ALLOW_LOOPBACK, allow_private=settings.PROBE_ALLOW_PRIVATE)


def _split_addresses(text: str) -> list[str]:
    found = [parseaddr(part)[1] for part in text.split(",") if part.strip()]
    if not found:
        raise ValidationError("none")
    for one in found:
        validate_email(one)
    return found


def _send_mail(address: str, message: Message) -> None:
    try:
        receivers = _split_addresses(address)
    except ValidationError:
        raise TransportError("The e-mail addresses are not valid.", is_permanent=True) from None
    host = urlsplit(settings.SITE_URL).hostname or "preflight.invalid"
    mail = EmailMultiAlternatives(
        message.subject,
        message.text,
        to=receivers,
        # The same for every attempt: mail servers and readers recognise what they have already.
        headers={"Message-ID": f"<{message.key}@{host}>", "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(message.html, "text/html")
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        is_permanent = bool(codes) and all(500 <= code < 600 for code in codes)
        raise TransportError("The mail server refuses the receivers.", is_permanent=is_permanent) from None
    except smtplib.SMTPResponseException as error:
        raise TransportError(f"The mail server answered {error.smtp_code}.", is_permanent=False) from None
    except (OSError, smtplib.SMTPException) as error:
        raise TransportError(f"The mail server cannot be used ({type(error).__name__}).", is_permanent=False) from None


def _send_webhook(address: str, message: Message) -> None:
    door = net.Door(net.Deadline(WEBHOOK_SECONDS), address_policy())
    headers = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", message.key),
        ("User-Agent", "Preflight alerts"),
    ]
    content = json.dumps({"subject": message.subject, "text": message.text, **message.data}).encode()
    try:
        answer = http_client.send_request(
            address, door, method="POST", headers=headers, content=content, body_bytes=1024
        )
    except net.NetError as error:
        host = urlsplit(address).hostname or ""
        text = str(error) if host and address not in str(error) else "The webhook cannot be reached."
        raise TransportError(text, is_permanent=error.reason in _PERMANENT_REASONS) from None
    if not 200 <= answer.status < 300:
        is_permanent = answer.status in _PERMANENT_STATUSES or 300 <= answer.status < 400
        raise TransportError(f"The webhook answered {answer.status}.", is_permanent=is_permanent)


def import_apprise() -> Any:
    """The package, loaded when it is first needed: it takes a second and 40 MB. Raises TransportError without it."""
    try:
        return import_module("apprise")
    except ImportError:
        raise TransportError("The package apprise is not installed.", is_permanent=False) from None


def _load_apprise(address: str) -> Any:
    """Apprise's own object for one URL; None when it knows no such service, or one that this machine shall not use."""
    apprise = import_apprise()
    if address.partition(":")[0].lower() in _LOCAL_SCHEMAS:
        return None
    return apprise.Apprise.instantiate(address, suppress_exceptions=True)


def _send_apprise(address: str, message: Message) -> None:
    apprise = import_apprise()
    service = _load_apprise(address)
    if service is None:
        raise TransportError("Apprise does not know this kind of URL.", is_permanent=True)
    _refuse_forbidden_host(service)
    sender = apprise.Apprise()
    sender.add(service)
    kind = {"critical": "failure", "warning": "warning"}.get(message.severity, "info")
    with apprise.LogCapture(level=apprise.logging.WARNING) as log:
        is_sent = sender.notify(
            title=_address_nobody(message.subject),
            body=_address_nobody(message.text),
            notify_type=kind,
            body_format=apprise.NotifyFormat.TEXT,
        )
        heard = log.getvalue()
    if is_sent:
        return
    status = _APPRISE_STATUS.search(heard)
    code = int(status[1]) if status else None
    # What Apprise logs may hold the URL and with it the token: only the number is repeated.
    text = f"The service answered {code}." if code else "The service did not take the message."
    raise TransportError(text, is_permanent=code in _PERMANENT_STATUSES)


def _address_nobody(text: str) -> str:
    """``text`` whose @everyone and <!channel> call nobody: titles come from whoever can make an application fail."""
    return _MENTION.sub("\\g<0>\u200b", text)


def _refuse_forbidden_host(service: Any) -> None:
    """Services that anybody can host are reached only where probes may go too."""
    host = getattr(service, "host", None)
    if not isinstance(host, str) or not host:
        return
    try:
        net.resolve_route(host, 443, net.Door(net.Deadline(WEBHOOK_SECONDS), address_policy()))
    except net.NetError as error:
        raise TransportError(str(error), is_permanent=error.reason in _PERMANENT_REASONS) from None


_CARRIERS: Mapping[str, Callable[[str, Message], None]] = {
    Channel.Kind.EMAIL: _send_mail,
    Channel.Kind.WEBHOOK: _send_webhook,
    Channel.Kind.APPRISE: _send_apprise,
}
