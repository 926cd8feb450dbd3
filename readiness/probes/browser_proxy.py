"""A proxy on loopback through which the browser must go: every connection it opens goes through `net` and its policy.

Chromium resolves nothing itself. What it asks for by name is resolved once, checked, and connected to at the address
that was checked. Runs in the browser's child process only, for one page, and only for who knows its password.
"""

import base64
import contextlib
import secrets
import select
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from readiness.probes import net
from readiness.probes.base import FailReason
from readiness.probes.browser_plan import MAX_ENTRIES, Refusal

MAX_HEAD_BYTES = 64 * 1024
MAX_PAGE_BYTES = 100 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_STATUS_OF_REFUSAL = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_STATUS_OF_STRANGER = (
    b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="probe"\r\n'
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


@dataclass
class CheckedProxy:
    """A running proxy: where it is, who may use it, what it refused."""

    door: net.Door
    port: int = 0
    user: str = "probe"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    refusals: list[Refusal] = field(default_factory=list)
    carried_bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note_refusal(self, refusal: Refusal) -> None:
        with self.lock:
            if refusal not in self.refusals and len(self.refusals) < MAX_ENTRIES:
                self.refusals.append(refusal)

    def count(self, number: int) -> bool:
        """Count bytes; False when the page has had its share."""
        with self.lock:
            self.carried_bytes += number
            return self.carried_bytes <= MAX_PAGE_BYTES

    def knows(self, head: bytes) -> bool:
        expected = b"Basic " + base64.b64encode(f"{self.user}:{self.password}".encode())
        given = _find_header(head, b"proxy-authorization")
        return secrets.compare_digest(given, expected)


@contextlib.contextmanager
def run_proxy(door: net.Door) -> Iterator[CheckedProxy]:
    """Serve on a free port of 127.0.0.1 until the block ends."""
    proxy = CheckedProxy(door)

    class _Request(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                _serve_connection(self.request, proxy)

    class _Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None:
            """A browser that goes away in mid-sentence is nothing to report."""

    with _Server(("127.0.0.1", 0), _Request) as server:
        proxy.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


def _serve_connection(client: Any, proxy: CheckedProxy) -> None:
    client.settimeout(proxy.door.deadline.remaining_seconds())
    head, rest = _read_head(client)
    if not head:
        return
    if not proxy.knows(head):
        client.sendall(_STATUS_OF_STRANGER)
        return
    method, target = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")[:2]
    is_tunnel = method == "CONNECT"
    host, port = _read_destination(target, is_tunnel=is_tunnel)
    try:
        connection = net.open_connection(host, port, proxy.door)
    except net.NetError as error:
        proxy.note_refusal(Refusal(host, port, str(error.reason), str(error)))
        if is_tunnel:  # as an answer to a plain request it would be taken for the site's own
            client.sendall(_STATUS_OF_REFUSAL)
        return
    try:
        if is_tunnel:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            connection.sock.sendall(_to_origin_form(head, target) + rest)
        _carry(client, connection.sock, proxy)
    finally:
        connection.close()


def _read_head(client: Any) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = client.recv(_CHUNK_BYTES)
        if not chunk or len(data) > MAX_HEAD_BYTES:
            return b"", b""
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _read_destination(target: str, *, is_tunnel: bool) -> tuple[str, int]:
    parts = urlsplit(f"//{target}" if is_tunnel else target)
    return parts.hostname or "", parts.port or (443 if is_tunnel else 80)


def _to_origin_form(head: bytes, target: str) -> bytes:
    """Return the head of a plain request as its server expects it: path only, nothing for proxies, one answer."""
    first, *lines = head.split(b"\r\n")
    parts = urlsplit(target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    words = first.split(b" ")
    kept = [line for line in lines if not line.lower().startswith((b"proxy-", b"connection:"))]
    upgrade = b"Connection: Upgrade" if _find_header(head, b"upgrade") else b"Connection: close"
    return b"\r\n".join([b" ".join([words[0], path.encode("latin-1"), words[-1]]), *kept, upgrade, b"", b""])


def _find_header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


def _carry(client: Any, server: Any, proxy: CheckedProxy) -> None:
    """Carry bytes both ways until one side ends, the time is up or the page has had its share."""
    client.settimeout(5.0)
    server.settimeout(5.0)
    other = {client: server, server: client}
    while not proxy.door.deadline.is_over():
        ready, _, _ = select.select([client, server], [], [], 1.0)
        for sock in ready:
            chunk = sock.recv(_CHUNK_BYTES)
            if not chunk:
                return
            if not proxy.count(len(chunk)):
                text = f"The page loads more than {MAX_PAGE_BYTES // 1024 // 1024} MB."
                proxy.note_refusal(Refusal("", 0, FailReason.TOO_LARGE, text))
                return
            other[sock].sendall(chunk)
