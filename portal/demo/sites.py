"""Serves the demonstration's two sites on loopback: one careless over plain HTTP, one strict over TLS."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOST = "127.0.0.1"
READ_SECONDS = 10

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title></head><body><h1>{title}</h1><p>Work orders, assets and failure reports of four plants.</p>
<p>This site belongs to Preflight's demonstration.</p></body></html>
"""


@dataclass(frozen=True)
class Site:
    """What a demonstration site answers: a title, and headers for every page."""

    title: str
    headers: tuple[tuple[str, str], ...]
    software: str


CARELESS = Site(
    "maintAIn staging",
    headers=(
        ("X-Powered-By", "Express"),
        ("Access-Control-Allow-Origin", "*"),
        ("Set-Cookie", "sessionid=demo; Path=/"),
    ),
    software="Express/4.16.0 Node/14.2.0",
)
STRICT = Site(
    "maintAIn production",
    headers=(
        ("Strict-Transport-Security", "max-age=31536000; includeSubDomains; preload"),
        (
            "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
            "connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; "
            "upgrade-insecure-requests",
        ),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Set-Cookie", "__Host-sessionid=demo; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=86400"),
    ),
    software="maintAIn",
)


class SiteServer:
    """One site on one port, in a thread of its own; port 0 chooses a free one."""

    def __init__(self, site: Site, port: int, certificate: Path | None = None) -> None:
        self._server = _Server((HOST, port), _make_handler(site), certificate)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name=site.title, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops serving and frees the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], certificate: Path | None
    ) -> None:
        super().__init__(address, handler)
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
            self._context.load_cert_chain(certificate)

    def finish_request(self, request: object, client_address: object) -> None:
        """The handshake belongs in the connection's own thread: a silent client must not stop the others."""
        connection = request
        if self._context is not None:
            request.settimeout(READ_SECONDS)  # type: ignore[attr-defined]
            try:
                connection = self._context.wrap_socket(request, server_side=True)  # type: ignore[arg-type]
            except (OSError, ssl.SSLError):
                return
        self.RequestHandlerClass(connection, client_address, self)  # type: ignore[arg-type]
        if connection is not request:
            connection.close()  # type: ignore[attr-defined]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is no news here."""


def _make_handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = READ_SECONDS
        server_version = site.software
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path in {"/api/", "/api/health"}:
                self._answer(200, "application/json", b'{"status": "ok"}')
            elif path == "/robots.txt":
                self._answer(200, "text/plain", b"User-agent: *\nDisallow: /\n")
            elif path == "/":
                self._answer(200, "text/html; charset=utf-8", _PAGE.format(title=site.title).encode())
            else:
                self._answer(404, "text/plain", b"There is nothing here.\n")

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_OPTIONS(self) -> None:
            self._answer(204, "text/plain", b"")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            for name, value in site.headers:
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
            """Nobody reads the demonstration's access log."""

    return Handler
