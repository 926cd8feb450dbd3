"""A TLS site of its own processes, so that its CPU is not counted as a client's; ends with the block."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from tests.servers.certificates import Identity, make_certificate, make_root
from tests.servers.sockets import make_server_context

BODY = b"<!doctype html><title>Shop</title><p>Welcome.</p>"
_HEADERS = (
    b"Content-Type: text/html; charset=utf-8",
    b"Strict-Transport-Security: max-age=31536000",
    b"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
    b"X-Content-Type-Options: nosniff",
    b"X-Frame-Options: DENY",
    b"Referrer-Policy: no-referrer",
    b"Content-Length: %d" % len(BODY),
    b"Connection: close",
)
_PAGE = b"HTTP/1.1 200 OK\r\n" + b"\r\n".join(_HEADERS) + b"\r\n\r\n" + BODY
_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Site:
    """Where the site is and whom to trust for it; `plain_port` redirects to it when it has one."""

    host: str
    port: int
    ca_pem: str
    plain_port: int | None = None

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}/" if self.port != 443 else f"https://{self.host}/"


@contextlib.contextmanager
def serve_site(
    host: str = "127.0.0.1", port: int = 0, plain_port: int | None = None, processes: int = 2
) -> Iterator[Site]:
    """Serve a page over TLS in `processes`, each one connection at a time, and a redirect on `plain_port`, for a block.

    Raises PermissionError or another OSError when a port cannot be had.
    """
    root = make_root()
    identity = make_certificate("site", make_certificate("intermediate", root, is_ca=True), hosts=[host, "localhost"])
    with contextlib.ExitStack() as stack:
        secure = stack.enter_context(socket.create_server((host, port), backlog=512))
        plain = None if plain_port is None else stack.enter_context(socket.create_server((host, plain_port)))
        workers = [_start(_serve_tls, secure, identity) for _ in range(processes)]
        if plain is not None:
            workers.append(_start(_serve_redirects, plain, host))
        try:
            yield Site(host, secure.getsockname()[1], root.pem, plain_port)
        finally:
            for worker in workers:
                worker.terminate()
                worker.join()


def _start(target: object, *arguments: object) -> multiprocessing.process.BaseProcess:
    worker = _fork.Process(target=target, args=arguments, daemon=True)
    worker.start()
    return worker


def _serve_tls(listener: socket.socket, identity: Identity) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    context = make_server_context(identity, _narrow)
    while True:
        raw, _ = listener.accept()
        raw.settimeout(5)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as connection:
            if _read_head(connection):
                connection.sendall(_PAGE)


def _serve_redirects(listener: socket.socket, host: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines = f"HTTP/1.1 301 Moved\r\nLocation: https://{host}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    while True:
        connection, _ = listener.accept()
        connection.settimeout(5)
        with contextlib.suppress(OSError), connection:
            if _read_head(connection):
                connection.sendall(lines.encode())


def _read_head(connection: socket.socket) -> bool:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(4096)
        if not chunk:
            return False
        data += chunk
    return True


def _narrow(context: ssl.SSLContext) -> None:
    context.set_ciphers("ECDHE+AESGCM")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0
