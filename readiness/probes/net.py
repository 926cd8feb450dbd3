"""The only door out: resolves a name, checks the address, connects to that address, within one deadline.

Reads DNS and sockets, writes bytes to sockets. Everything here raises `NetError` with a closed reason, or
`DeadlineError` when the time of the target is up.
"""

import contextlib
import errno
import io
import ipaddress
import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from readiness.probes.addresses import AddressPolicy, explain_refusal
from readiness.probes.base import ConnectTo, ErrorReason, FailReason, Target

_TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only
_UNREACHABLE_ERRNOS = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


class NetError(Exception):
    """A target could not be reached, or broke off; `reason` is a code, the text one sentence."""

    def __init__(self, reason: ErrorReason | FailReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class DeadlineError(NetError):
    """The time of the target is up."""

    def __init__(self, what: str = "answer") -> None:
        super().__init__(ErrorReason.TIMEOUT, f"The time was up before the {what} was complete.")


class Deadline:
    """A point in monotonic time that every wait of one target is measured against."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def remaining_seconds(self, what: str = "answer") -> float:
        """Return the seconds left, always above 0; raises DeadlineError when there are none."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise DeadlineError(what)
        return left

    def is_over(self) -> bool:
        return time.monotonic() >= self._ends_at


@dataclass(frozen=True, slots=True)
class Door:
    """How one target may be reached: its deadline, its address policy, its overrides and its roots."""

    deadline: Deadline
    policy: AddressPolicy
    connect_to: Sequence[ConnectTo] = ()
    ca_pem: str = ""

    @classmethod
    def for_target(cls, target: Target) -> "Door":
        return cls(Deadline(target.timeout_seconds), target.address_policy, target.connect_to, target.ca_pem)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a host and port lead: addresses that were checked, and the port to use on them."""

    addresses: tuple[str, ...]
    port: int


@dataclass(slots=True)
class Connection:
    """A connected stream and what it took to get there (milliseconds)."""

    sock: socket.socket
    address: str
    dns_ms: float
    connect_ms: float
    tls_ms: float | None = None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()


def resolve_route(host: str, port: int, door: Door) -> Route:
    """Resolve `host` once, after the overrides of the door, and keep the addresses that the policy allows.

    An address or name given by an override is the operator's own hand and is allowed whatever the policy says.
    Raises NetError (host_not_found, resolver_failed, address_not_allowed) or DeadlineError.
    """
    chosen_by_hand = False
    for override in door.connect_to:
        if override.host.lower() in ("", host.lower()) and override.port in (None, port):
            chosen_by_hand = bool(override.to_host)
            host, port = override.to_host or host, override.to_port or port
            break
    addresses = _resolve_name(host, door.deadline)
    if chosen_by_hand:
        return Route(addresses, port)
    refusals = {address: explain_refusal(address, door.policy) for address in addresses}
    allowed = tuple(address for address, refusal in refusals.items() if refusal is None)
    if not allowed:
        address, refusal = next(iter(refusals.items()))
        raise NetError(
            ErrorReason.ADDRESS_NOT_ALLOWED,
            f"{host} leads to {address}, which the address policy does not allow: {refusal}.",
        )
    return Route(allowed, port)


def _resolve_name(host: str, deadline: Deadline) -> tuple[str, ...]:
    with contextlib.suppress(ValueError):
        return (str(ipaddress.ip_address(host)),)
    # getaddrinfo has no timeout of its own, so it runs in a thread that is left behind when the time is up.
    answers: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answers.put(error)
        else:
            answers.put([str(entry[4][0]) for entry in found])

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.remaining_seconds("name resolution"))
    except queue.Empty:
        raise DeadlineError("name resolution") from None
    if isinstance(answer, UnicodeError):
        raise NetError(ErrorReason.HOST_NOT_FOUND, f"{host} is not a valid host name.")
    if isinstance(answer, OSError):
        if answer.errno in _NO_SUCH_NAME:
            raise NetError(ErrorReason.HOST_NOT_FOUND, f"There is no host named {host}.")
        raise NetError(ErrorReason.RESOLVER_FAILED, f"The resolver could not answer for {host}: {answer.strerror}.")
    return tuple(dict.fromkeys(answer))


def open_connection(host: str, port: int, door: Door) -> Connection:
    """Connect over TCP to a checked address of `host`; the first that answers wins.

    Raises NetError (as resolve_route; refused, unreachable) or DeadlineError. The caller closes.
    """
    started = time.perf_counter()
    route = resolve_route(host, port, door)
    resolved = time.perf_counter()
    failure: NetError | None = None
    for position, address in enumerate(route.addresses):
        share = door.deadline.remaining_seconds("connection") / (len(route.addresses) - position)
        try:
            sock = _connect_address(address, route.port, share)
        except OSError as error:
            failure = failure or _explain_connect_error(error, host, port)
            continue
        connected = time.perf_counter()
        return Connection(sock, address, (resolved - started) * 1000, (connected - resolved) * 1000)
    raise failure or NetError(ErrorReason.UNREACHABLE, f"{host} has no address to connect to.")


def _connect_address(address: str, port: int, timeout_seconds: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _explain_connect_error(error: OSError, host: str, port: int) -> NetError:
    if isinstance(error, TimeoutError):
        return NetError(ErrorReason.TIMEOUT, f"{host}:{port} did not accept the connection in time.")
    if isinstance(error, ConnectionRefusedError):
        return NetError(ErrorReason.REFUSED, f"{host}:{port} refuses connections: nothing listens there.")
    if error.errno in _UNREACHABLE_ERRNOS:
        return NetError(ErrorReason.UNREACHABLE, f"{host}:{port} cannot be reached from here: {error.strerror}.")
    return NetError(
        ErrorReason.UNREACHABLE, f"{host}:{port} could not be connected to: {error.strerror or 'no reason'}."
    )


def send_all(connection: Connection, data: bytes, deadline: Deadline) -> None:
    """Send `data`. Raises NetError (closed) or DeadlineError."""
    try:
        connection.sock.settimeout(deadline.remaining_seconds("request"))
        connection.sock.sendall(data)
        # A TLS server that has just sent its tickets may wait for their acknowledgement, which the kernel delays 40 ms.
        if _TCP_QUICKACK is not None:
            connection.sock.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)
    except TimeoutError:
        raise DeadlineError("request") from None
    except OSError as error:
        raise NetError(FailReason.CLOSED, "The server closed the connection while the request was sent.") from error


class ByteReader(io.RawIOBase):
    """The bytes a connection sends, each wait measured against the deadline, at most `limit_bytes` in all.

    The limit protects against a header section without end; `limit_bytes` may be raised before a body is read.
    Raises NetError (closed, too_large) or DeadlineError. End of stream reads as b"".
    """

    def __init__(self, connection: Connection, deadline: Deadline, limit_bytes: int) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = deadline
        self.limit_bytes = limit_bytes
        self.received_bytes = 0
        self.first_byte_at: float | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        sock = self._connection.sock
        try:
            sock.settimeout(self._deadline.remaining_seconds())
            count = sock.recv_into(buffer)
        except TimeoutError:
            raise DeadlineError from None
        except ssl.SSLEOFError:
            return 0  # many servers end a body without TLS's own goodbye
        except ssl.SSLError as error:
            if "ALERT" in (error.reason or ""):
                text = f"The server refused to go on after the TLS handshake: {error.reason}."
                raise NetError(FailReason.HANDSHAKE_REFUSED, text) from error
            raise NetError(FailReason.CLOSED, "The server broke the TLS connection off.") from error
        except OSError as error:
            raise NetError(FailReason.CLOSED, "The server reset the connection.") from error
        if count and self.first_byte_at is None:
            self.first_byte_at = time.perf_counter()
        self.received_bytes += count
        if self.received_bytes > self.limit_bytes:
            raise NetError(FailReason.TOO_LARGE, f"The server sent more than {self.limit_bytes} bytes.")
        return count


@contextlib.contextmanager
def cut_off_at(deadline: Deadline, file_descriptor: int) -> Iterator[None]:
    """Shut the socket behind `file_descriptor` down when the deadline passes inside the block.

    For libraries that read a socket themselves (libpq): their wait ends with a broken connection.
    """
    twin = socket.socket(fileno=os.dup(file_descriptor))

    def cut() -> None:
        with contextlib.suppress(OSError):
            twin.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline.remaining_seconds()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        twin.close()
