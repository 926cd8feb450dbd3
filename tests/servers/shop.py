"""A small application over TLS for scenarios: sign-in with CSRF, bearer API, records, uploads, notices, chat."""

import contextlib
import hashlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qs

from tests.servers.certificates import Identity, make_certificate, make_root
from tests.servers.sockets import LocalServer, serve, serve_tls

HOST = "shop.preflight.test"
EMAIL, PASSWORD = "probe@example.org", 'p&ss "w/rd" ü'
ROOT = make_root()
IDENTITY: Identity = make_certificate(HOST, ROOT, hosts=[HOST, "127.0.0.1"])
SESSION_FLAGS = "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=86400"


@dataclass
class Shop:
    """The application's state, and the switches that break it."""

    session_flags: str = SESSION_FLAGS
    writers: int = 100
    """How many may write at the same time; others are answered 500, as by a database that is locked."""
    notification_delay_seconds: float = 0.15
    reply: str = "pong"
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    """Path -> status, headers, body: answered instead of the application."""

    sessions: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    records: dict[int, str] = field(default_factory=dict)
    uploads: dict[int, bytes] = field(default_factory=dict)
    notifications: list[tuple[float, str]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    writing: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextlib.contextmanager
def serve_shop(shop: Shop, *, tls: bool = True) -> Iterator[LocalServer]:
    """Run the application until the block ends."""

    class Bound(_Handler):
        pass

    Bound.shop = shop

    def handle(sock: socket.socket) -> None:
        Bound(sock, ("127.0.0.1", 0), None)  # type: ignore[arg-type]

    with serve_tls(handle, IDENTITY) if tls else serve(handle) as server:
        yield server


class _Handler(BaseHTTPRequestHandler):
    shop: ClassVar[Shop]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nobody reads it."""

    def do_GET(self) -> None:
        self._dispatch()

    do_POST = do_DELETE = do_GET  # noqa: N815

    def _dispatch(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.shop.requests.append(f"{self.command} {self.path}")
        self.shop.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.path in self.shop.answers:
            self._answer(*self.shop.answers[self.path])
            return
        path, _, number = self.path.partition("?")[0].removeprefix("/api").strip("/").partition("/")
        name = f"{self.command.lower()}_{path}"
        handler = getattr(self, name, None)
        if handler is None:
            self._answer(404, {}, b"not found")
        elif not self.path.startswith("/api/") or path == "token":
            handler()
        elif self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.shop.tokens:
            self._answer_json(401, {"error": "Sign in first."})
        else:
            handler(*([int(number)] if number else []))

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            for line in value.split("\n"):
                self.send_header(name, line)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer_html(self, status: int, html: str, headers: dict[str, str] | None = None) -> None:
        self._answer(status, {"Content-Type": "text/html; charset=utf-8", **(headers or {})}, html.encode())

    def _answer_json(self, status: int, document: Any) -> None:
        self._answer(status, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _cookie(self, name: str) -> str:
        morsel = SimpleCookie(self.headers.get("Cookie", "")).get(name)
        return morsel.value if morsel else ""

    def _form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    def _passes_csrf(self) -> bool:
        token = self._form().get("csrfmiddlewaretoken")
        is_own = self.headers.get("Host", "-") in self.headers.get("Origin", "")
        return bool(token) and token == self._cookie("csrftoken") and is_own

    def get_login(self) -> None:
        token = self._cookie("csrftoken") or secrets.token_urlsafe(24)
        form = f"""<form method="post"><input name="csrfmiddlewaretoken" type="hidden" value='{token}'></form>"""
        self._answer_html(200, form, {"Set-Cookie": f"csrftoken={token}; Path=/; Secure; SameSite=Lax"})

    def post_login(self) -> None:
        form = self._form()
        if not self._passes_csrf():
            self._answer_html(403, f"CSRF verification failed for {form}")
        elif (form.get("email"), form.get("password")) != (EMAIL, PASSWORD):
            self._answer_html(200, "<form>Wrong e-mail address or password</form>")
        else:
            session = secrets.token_urlsafe(24)
            self.shop.sessions.add(session)
            cookie = f"session={session}; {self.shop.session_flags}"
            self._answer(302, {"Location": "/dashboard", "Set-Cookie": cookie})

    def get_dashboard(self) -> None:
        if self._cookie("session") in self.shop.sessions:
            self._answer_html(200, f"<p>Signed in as {EMAIL}</p>")
        else:
            self._answer(302, {"Location": "/login?next=/dashboard"})

    def post_logout(self) -> None:
        if not self._passes_csrf():
            self._answer_html(403, "CSRF verification failed")
            return
        self.shop.sessions.discard(self._cookie("session"))
        self._answer(302, {"Location": "/login", "Set-Cookie": "session=; Path=/; Max-Age=0"})

    def post_token(self) -> None:
        asked = json.loads(self.body)
        if (asked.get("email"), asked.get("password")) != (EMAIL, PASSWORD):
            self._answer_json(401, {"error": f"No user {asked.get('email')} with password {asked.get('password')}"})
            return
        token = secrets.token_urlsafe(24)
        self.shop.tokens.add(token)
        self._answer_json(200, {"access_token": token, "token_type": "bearer"})

    def post_records(self) -> None:
        with self.shop.lock:
            self.shop.writing += 1
            is_locked = self.shop.writing > self.shop.writers
        try:
            time.sleep(0.05)
            if is_locked:
                self._answer_json(500, {"error": "database is locked"})
                return
            with self.shop.lock:
                number = len(self.shop.records) + 1
                title = self.shop.records[number] = json.loads(self.body)["title"]
                ready_at = time.monotonic() + self.shop.notification_delay_seconds
                self.shop.notifications.append((ready_at, f"{title} was created"))
            self._answer_json(201, {"id": number, "title": title})
        finally:
            with self.shop.lock:
                self.shop.writing -= 1

    def get_records(self, number: int) -> None:
        title = self.shop.records.get(number, "")
        self._answer_json(200 if title else 404, {"id": number, "title": title})

    def delete_records(self, number: int) -> None:
        self._answer(204 if self.shop.records.get(number) else 404, {})
        self.shop.records[number] = ""

    def post_uploads(self) -> None:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(head + self.body).get_payload()
        found = {part.get_param("name", header="content-disposition"): part for part in parts}  # type: ignore[union-attr]
        content = found["file"].get_payload(decode=True)  # type: ignore[union-attr]
        assert isinstance(content, bytes)
        number = len(self.shop.uploads) + 1
        self.shop.uploads[number] = content
        digest = hashlib.sha256(content).hexdigest()
        self._answer_json(
            201, {"id": number, "size": len(content), "sha256": digest, "fields": sorted(map(str, found))}
        )

    def get_uploads(self, number: int) -> None:
        self._answer(200, {"Content-Type": "application/octet-stream"}, self.shop.uploads[number])

    def delete_uploads(self, number: int) -> None:
        del self.shop.uploads[number]
        self._answer(204, {})

    def get_notifications(self) -> None:
        now = time.monotonic()
        items = [{"text": text} for ready_at, text in self.shop.notifications if ready_at <= now]
        self._answer_json(200, {"items": items})

    def post_chat(self) -> None:
        self._answer_json(200, {"reply": self.shop.reply})
