"""Answers HTTP requests with chosen statuses, headers and bodies, path by path, for the local servers."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.servers.certificates import Identity
from tests.servers.sockets import Handler, LocalServer, serve, serve_tls

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """One answer; Content-Type is HTML unless `headers` name another, Content-Length is added."""

    status: int = 200
    headers: Headers = ()
    body: bytes = b"<!doctype html><title>ok</title><p>ok</p>"
    delay_seconds: float = 0.0


@dataclass
class Request:
    """What a client asked."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)


Site = Answer | Mapping[str, Answer] | Callable[[Request], Answer]


def read_request(sock: socket.socket) -> Request | None:
    """Read the head of a request; None when the client goes away before it is complete."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(4096)
        if not chunk:
            return None
        data += chunk
    first, *lines = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, path, *_ = [*first.split(" "), "", ""]
    pairs = (line.partition(":") for line in lines)
    return Request(method, path, {name.strip().lower(): value.strip() for name, _, value in pairs})


def write_answer(sock: socket.socket, answer: Answer, *, without_body: bool = False) -> None:
    """Send `answer` and leave the connection to be closed."""
    names = {name.lower() for name, _ in answer.headers}
    lines = [f"HTTP/1.1 {answer.status} Status", *(f"{name}: {value}" for name, value in answer.headers)]
    if "content-type" not in names:
        lines.append("Content-Type: text/html; charset=utf-8")
    lines += [f"Content-Length: {len(answer.body)}", "Connection: close", "", ""]
    sock.sendall("\r\n".join(lines).encode("utf-8") + (b"" if without_body else answer.body))


def make_web_handler(site: Site, seen: list[Request] | None = None) -> Handler:
    """Return a handler that answers from `site`: one answer, answers by path (404 else), or a function."""

    def handle(sock: socket.socket) -> None:
        request = read_request(sock)
        if request is None:
            return
        if seen is not None:
            seen.append(request)
        answer = choose_answer(site, request)
        write_answer(sock, answer, without_body=request.method == "HEAD")
        with contextlib.suppress(OSError, ValueError):
            if isinstance(sock, ssl.SSLSocket):
                sock.unwrap()

    return handle


def choose_answer(site: Site, request: Request) -> Answer:
    if isinstance(site, Answer):
        return site
    if callable(site):
        return site(request)
    return site.get(request.path, Answer(404, body=b"not found"))


@contextlib.contextmanager
def serve_site(site: Site, seen: list[Request] | None = None) -> Iterator[LocalServer]:
    """Serve `site` over plain HTTP until the block ends."""
    with serve(make_web_handler(site, seen)) as server:
        yield server


@contextlib.contextmanager
def serve_https_site(
    site: Site,
    identity: Identity,
    configure: Callable[[ssl.SSLContext], None] | None = None,
    seen: list[Request] | None = None,
) -> Iterator[LocalServer]:
    """Serve `site` over TLS with the certificate of `identity` until the block ends."""
    with serve_tls(make_web_handler(site, seen), identity, configure) as server:
        yield server
