"""Runs one handler per connection on a free port of 127.0.0.1, plain or over TLS, for as long as a block lasts."""

import contextlib
import socket
import socketserver
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.certificates import Identity

Handler = Callable[[socket.socket], None]


@dataclass
class LocalServer:
    """A running server, and how many connections it took."""

    port: int
    scheme: str = "http"
    connections: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of every test."""


@contextlib.contextmanager
def serve(handler: Handler, scheme: str = "http") -> Iterator[LocalServer]:
    """Run `handler` for each connection until the block ends."""
    local = LocalServer(0, scheme)

    class _Request(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            local.connections.append(str(self.client_address))
            with contextlib.suppress(OSError):
                handler(self.request)

    with _Server(("127.0.0.1", 0), _Request) as server:
        local.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield local
        finally:
            server.shutdown()
            thread.join()


def make_server_context(
    identity: Identity, configure: Callable[[ssl.SSLContext], None] | None = None
) -> ssl.SSLContext:
    """Return a server context for `identity` that takes weak keys and old protocols too; `configure` narrows it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with tempfile.TemporaryDirectory() as folder:
        chain, key = Path(folder, "chain.pem"), Path(folder, "key.pem")
        chain.write_text(identity.chain_pem)
        key.write_text(identity.key_pem)
        context.load_cert_chain(chain, key)
    if configure is not None:
        configure(context)
    return context


@contextlib.contextmanager
def serve_tls(
    handler: Handler, identity: Identity, configure: Callable[[ssl.SSLContext], None] | None = None
) -> Iterator[LocalServer]:
    """Run `handler` over TLS with the certificate of `identity` until the block ends."""
    context = make_server_context(identity, configure)

    def handle(raw: socket.socket) -> None:
        raw.settimeout(10)
        with context.wrap_socket(raw, server_side=True) as wrapped:
            handler(wrapped)

    with serve(handle, "https") as server:
        yield server
