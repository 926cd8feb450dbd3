"""Speaks HTTP/1.1 through `net`: one request, one capped answer. Reads and writes one connection at a time.

http.client parses; this module decides where to connect, how long to wait and how much to take.
"""

import contextlib
import http.client
import io
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from readiness.probes import net, net_tls
from readiness.probes.base import FailReason

MAX_HEADER_BYTES = 128 * 1024
MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_REDIRECTS = 10
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
DEFAULT_PORTS = {"http": 80, "https": 443}
USER_AGENT = "Mozilla/5.0 (compatible; Preflight readiness probe)"
_OWN_HEADERS = (("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Accept-Encoding", "gzip, deflate"))
_CHUNK_BYTES = 64 * 1024
_URL_SAFE = "!$%&'()*+,-./:;=?@_~[]|"


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of each phase of one request on a connection of its own; `tls` is None over plain HTTP."""

    dns: float
    connect: float
    tls: float | None
    first_byte: float

    @property
    def total(self) -> float:
        return self.dns + self.connect + (self.tls or 0.0) + self.first_byte

    def as_json_object(self) -> dict[str, float | None]:
        phases = {"dns": self.dns, "connect": self.connect, "tls": self.tls, "first_byte": self.first_byte}
        rounded = {name: None if value is None else round(value, 2) for name, value in phases.items()}
        return {**rounded, "total": round(self.total, 2)}


@dataclass(frozen=True, slots=True)
class Response:
    """One answer: header names as sent, values trimmed and read as latin-1, in order; the body after decompression."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    body_truncated: bool
    latency: Latency
    verified: bool

    def header_values(self, name: str) -> list[str]:
        """Return every value of the header `name`, in order."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    def header(self, name: str) -> str | None:
        """Return the first value of the header `name`."""
        return next(iter(self.header_values(name)), None)


class _SocketFacade:
    """What http.client wants of a socket: makefile."""

    def __init__(self, reader: io.BufferedReader) -> None:
        self._reader = reader

    def makefile(self, *args: Any, **kwargs: Any) -> io.BufferedReader:
        return self._reader


def split_http_url(url: str) -> SplitResult:
    """Split an http(s) URL. Raises ValueError with one sentence when it is none, or names no valid host and port."""
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError(f"{parts.scheme or 'nothing'} is not a scheme that can be requested.")
    if not parts.hostname:
        raise ValueError("The URL names no host.")
    if parts.port == 0:
        raise ValueError("Port 0 cannot be connected to.")
    return parts


def port_of(parts: SplitResult) -> int:
    """Return the port of a split URL, the scheme's own where none is given."""
    return parts.port or DEFAULT_PORTS[parts.scheme]


def ascii_host(host: str) -> str:
    """Return `host` as it travels in DNS, SNI and Host: international names in their ASCII form."""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError("The host name is not valid.") from error


def send_request(
    url: str,
    door: net.Door,
    *,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    content: bytes | None = None,
    body_bytes: int = MAX_BODY_BYTES,
    verify: bool = True,
) -> Response:
    """Send one request on a connection of its own and return the answer; redirects are not followed.

    `headers` replace the client's own of the same name; `content` is the request's body, sent with its length.
    `body_bytes` caps what is kept of the body after decompression; a longer body is cut, and says so.
    Raises NetError (see there; bad_redirect when `url` cannot be requested) or DeadlineError.
    """
    try:
        parts = split_http_url(url)
        host, port = ascii_host(parts.hostname or ""), port_of(parts)
    except ValueError as error:
        raise net.NetError(FailReason.BAD_REDIRECT, f"An address cannot be requested: {error}") from error
    connection = net.open_connection(host, port, door)
    try:
        if parts.scheme == "https":
            context = net_tls.tls_context(door.ca_pem if verify else "", verify=verify)
            net_tls.start_tls(connection, context, host, door.deadline)
        return exchange(
            url,
            connection,
            door.deadline,
            method=method,
            headers=headers,
            content=content,
            body_bytes=body_bytes,
            verified=verify,
        )
    finally:
        connection.close()


def exchange(
    url: str,
    connection: net.Connection,
    deadline: net.Deadline,
    *,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    content: bytes | None = None,
    body_bytes: int = MAX_BODY_BYTES,
    verified: bool = True,
) -> Response:
    """Send one request for `url` over an open connection and return the answer. Raises NetError or DeadlineError."""
    parts = split_http_url(url)
    if content is not None:
        headers = [*headers, ("Content-Length", str(len(content)))]
    head = _compose_request(method, parts, ascii_host(parts.hostname or ""), headers)
    net.send_all(connection, head + (content or b""), deadline)
    return _read_response(url, method, connection, deadline, body_bytes, verified)


def _compose_request(method: str, parts: SplitResult, host: str, headers: Sequence[tuple[str, str]]) -> bytes:
    shown_host = f"[{host}]" if ":" in host else host
    if parts.port and parts.port != DEFAULT_PORTS[parts.scheme]:
        shown_host = f"{shown_host}:{parts.port}"
    path = quote(parts.path or "/", safe=_URL_SAFE) + (f"?{quote(parts.query, safe=_URL_SAFE)}" if parts.query else "")
    lines = [f"{method} {path} HTTP/1.1", f"Host: {shown_host}", "Connection: close"]
    replaced = {name.lower() for name, _ in headers}
    lines += [f"{name}: {value}" for name, value in _OWN_HEADERS if name.lower() not in replaced]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _read_response(
    url: str, method: str, connection: net.Connection, deadline: net.Deadline, body_bytes: int, verified: bool
) -> Response:
    sent_at = time.perf_counter()
    raw = net.ByteReader(connection, deadline, MAX_HEADER_BYTES)
    answer = http.client.HTTPResponse(_SocketFacade(io.BufferedReader(raw, 16 * 1024)), method=method)  # type: ignore[arg-type]
    try:
        answer.begin()
    except (http.client.RemoteDisconnected, ConnectionError) as error:
        raise net.NetError(FailReason.CLOSED, "The server closed the connection without an answer.") from error
    except http.client.LineTooLong as error:
        raise net.NetError(FailReason.TOO_LARGE, "The server sent a header line without end.") from error
    except (http.client.HTTPException, ValueError) as error:
        reason = FailReason.TOO_LARGE if "more than" in str(error) else FailReason.BAD_RESPONSE
        text = "more headers than any site needs" if reason is FailReason.TOO_LARGE else "an answer that is not HTTP"
        raise net.NetError(reason, f"The server sent {text}.") from error
    first_byte = (raw.first_byte_at or time.perf_counter()) - sent_at
    raw.limit_bytes = raw.received_bytes + 4 * MAX_BODY_BYTES
    headers = tuple((name, str(value).strip(" \t")) for name, value in answer.headers.items())
    body, truncated = _read_body(answer, body_bytes) if body_bytes else (b"", False)
    return Response(
        url=url,
        status=answer.status,
        headers=headers,
        body=body,
        body_truncated=truncated,
        latency=Latency(connection.dns_ms, connection.connect_ms, connection.tls_ms, first_byte * 1000),
        verified=verified,
    )


def _read_body(answer: http.client.HTTPResponse, limit_bytes: int) -> tuple[bytes, bool]:
    """Read up to `limit_bytes` after decompression; a body that breaks off is kept as far as it came."""
    encoding = (answer.headers.get("Content-Encoding") or "").strip().lower()
    unpack = None
    kept = bytearray()
    while len(kept) <= limit_bytes:
        try:
            chunk = answer.read1(_CHUNK_BYTES)
        except (http.client.HTTPException, ValueError):
            break
        if not chunk:
            break
        if unpack is None and encoding in ("gzip", "x-gzip", "deflate"):
            unpack = _open_unpacker(encoding, chunk)
        while chunk and len(kept) <= limit_bytes:
            if unpack is None:
                kept += chunk
                break
            try:
                kept += unpack.decompress(chunk, limit_bytes + 1 - len(kept))
            except zlib.error:
                return bytes(kept), True
            chunk = unpack.unconsumed_tail
    return bytes(kept[:limit_bytes]), len(kept) > limit_bytes


def _open_unpacker(encoding: str, start: bytes) -> Any:
    """Return what unpacks a body that begins with `start`; some servers send deflate without its zlib frame."""
    is_bare = encoding == "deflate" and start[0] & 0x0F != zlib.DEFLATED
    return zlib.decompressobj(wbits=-zlib.MAX_WBITS if is_bare else zlib.MAX_WBITS | 32)


def redirect_location(response: Response) -> str | None:
    """Return the absolute URL that a redirecting answer points at; None when it is no redirect."""
    location = response.header("Location")
    if response.status not in REDIRECT_STATUSES or not location:
        return None
    with contextlib.suppress(ValueError):
        return urljoin(response.url, location)
    return location


def follow_redirects(url: str, door: net.Door, *, body_bytes: int = MAX_BODY_BYTES) -> list[Response]:
    """Request `url` and what it redirects to, at most 10 times, each hop resolved and checked anew.

    Returns the answers in order. Raises NetError (too_many_redirects, or as send_request) or DeadlineError.
    """
    answers: list[Response] = []
    next_url: str | None = url
    while next_url is not None:
        if len(answers) > MAX_REDIRECTS:
            raise net.NetError(FailReason.TOO_MANY_REDIRECTS, f"{url} redirects more than {MAX_REDIRECTS} times.")
        answer = send_request(next_url, door, body_bytes=body_bytes)
        answers.append(answer)
        next_url = redirect_location(answer)
    return answers
