"""Local receivers of messages: a webhook that remembers its posts, and a real SMTP server."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from importlib import import_module
from typing import Any

from tests.servers.sockets import LocalServer, serve
from tests.servers.web import Answer, write_answer


@dataclass
class Posts:
    """What a webhook was sent: headers (lower case) and JSON, in order; ``answers`` are used up first."""

    received: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    always: int = 204


@contextlib.contextmanager
def serve_webhook(posts: Posts) -> Iterator[LocalServer]:
    """Take posts until the block ends."""

    def handle(sock: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = sock.recv(65_536)
            if not chunk:
                return
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        pairs = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        while len(body) < int(headers.get("content-length", "0")):
            body += sock.recv(65_536)
        posts.received.append((headers, json.loads(body) if body else None))
        write_answer(sock, Answer(posts.answers.pop(0) if posts.answers else posts.always, body=b""))

    with serve(handle) as server:
        yield server


class Mailbox:
    """An SMTP handler that keeps what it was sent; refuses receivers at refused.example for good."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.endswith("@refused.example"):
            return "550 no such receiver"
        if address.endswith("@busy.example"):
            return "451 later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 OK"


@contextlib.contextmanager
def serve_smtp(mailbox: Mailbox) -> Iterator[int]:
    """Run a real SMTP server until the block ends; gives its port."""
    controller_module = import_module("aiosmtpd.controller")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    controller = controller_module.Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()
