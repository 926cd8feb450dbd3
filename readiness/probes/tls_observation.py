"""Looks at TLS servers: handshakes, the chain as sent, the protocols offered. Reads the network, judges nothing."""

import contextlib
import ssl
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import urlsplit

from readiness.probes import net, net_tls
from readiness.probes.base import ErrorReason, FailReason, TargetEndpoint
from readiness.probes.build_once import build_once
from readiness.probes.http_client import DEFAULT_PORTS, ascii_host, exchange, send_request
from readiness.probes.tls_deep_report import DeepReport

PROTOCOLS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
POSTGRES_SCHEMES = frozenset({"postgres", "postgresql"})
_POSTGRES_PORT = 5432
_POSTGRES_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
_CERTIFICATE_REQUEST = 13  # TLS handshake message type
_ANSWER_SHARE, _ANSWER_SECONDS = 0.4, 3.0  # how long a server may take to answer, or refuse, after the handshake
_PLAIN_SHARE = 0.5  # of the time may go into asking in plain words
_TLS_PORT_ANSWER = 400  # what web servers say to plain HTTP on their TLS port
_REFUSALS = frozenset({FailReason.CLOSED, FailReason.HANDSHAKE_REFUSED})


@dataclass(frozen=True, slots=True)
class Handshake:
    """What one handshake showed. `verify_code` is OpenSSL's, 0 for a trusted chain, None when it was not verified.

    `chain` is as sent; `trusted_path` is the one OpenSSL took from the leaf to a root, empty when it found none.
    """

    chain: tuple[bytes, ...] = ()
    protocol: str | None = None
    cipher: str | None = None
    cipher_bits: int | None = None
    verify_code: int | None = None
    asked_for_client_certificate: bool = False
    refused_without_client_certificate: bool = False
    hsts: str | None = None
    answered_http: bool = False
    trusted_path: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsObservation:
    """One endpoint: its handshake, or why there was none; the protocols it offers, None when time ran out."""

    endpoint: TargetEndpoint
    host: str
    port: int
    handshake: Handshake | None = None
    failure: str | None = None
    failure_text: str = ""
    protocols: tuple[str, ...] | None = None
    protocols_asked_at: datetime | None = None  # when they were tried, if that was earlier than the handshake
    deep: DeepReport | None = None


@dataclass(frozen=True, slots=True)
class KnownProtocols:
    """What an endpoint was found to offer, and when (aware)."""

    names: tuple[str, ...]
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to shake hands: host, port, and whether PostgreSQL must be asked for TLS first."""

    host: str
    port: int
    is_postgres: bool
    door: net.Door = field(repr=False)


def observe_tls(endpoint: TargetEndpoint, door: net.Door, known: KnownProtocols | None = None) -> TlsObservation:
    """Shake hands with `endpoint` until trust, chain and protocols are known, or the deadline is over.

    The protocols `known` are not tried again, unless the handshake agreed on another one.
    """
    parts = urlsplit(endpoint.url)
    is_postgres = parts.scheme in POSTGRES_SCHEMES
    host = ascii_host(parts.hostname or "")
    port = parts.port or (_POSTGRES_PORT if is_postgres else DEFAULT_PORTS[parts.scheme])
    place = _Place(host, port, is_postgres, door)
    not_tls = TlsObservation(
        endpoint,
        host,
        port,
        failure=FailReason.NOT_TLS,
        failure_text=f"{host} speaks plain HTTP on port {port}, not TLS.",
    )
    # Asked first in its own words: many plain servers wait for the end of a line that a handshake never sends.
    if parts.scheme == "http" and _speaks_plain_http(place):
        return not_tls
    try:
        handshake = _look(place)
    except net.NetError as error:
        if error.reason == FailReason.CLOSED and not is_postgres and _speaks_plain_http(place):
            return not_tls
        return TlsObservation(endpoint, host, port, failure=error.reason, failure_text=str(error))
    if known is not None and handshake.protocol in known.names:
        return TlsObservation(endpoint, host, port, handshake, protocols=known.names, protocols_asked_at=known.asked_at)
    return TlsObservation(endpoint, host, port, handshake, protocols=_list_protocols(place, handshake))


def _look(place: _Place) -> Handshake:
    """Return the first handshake with the chain verified, or a second one without when the chain is refused."""
    try:
        return replace(_shake_and_ask(place, _look_context(place.door.ca_pem, verify=True)), verify_code=0)
    except net_tls.CertificateError as error:
        return replace(_shake_and_ask(place, _look_context("", verify=False)), verify_code=error.verify_code)


def _shake_and_ask(place: _Place, context: ssl.SSLContext) -> Handshake:
    """Shake hands and ask for / so that a late refusal shows. Raises NetError unless the certificate was seen."""
    connection = _connect(place)
    try:
        try:
            net_tls.start_tls(connection, context, place.host, place.door.deadline)
        except net.NetError as error:
            seen = _describe(connection.sock)
            # Up to TLS 1.2 a server that wants a certificate breaks the handshake off after it has shown its own.
            if error.reason in _REFUSALS and seen.asked_for_client_certificate and seen.chain:
                return replace(seen, refused_without_client_certificate=True)
            raise
        return _ask(_describe(connection.sock), connection, place)
    finally:
        connection.close()


def _connect(place: _Place) -> net.Connection:
    connection = net.open_connection(place.host, place.port, place.door)
    if place.is_postgres:
        try:
            _start_postgres_tls(connection, place)
        except net.NetError:
            connection.close()
            raise
    return connection


def _start_postgres_tls(connection: net.Connection, place: _Place) -> None:
    net.send_all(connection, _POSTGRES_SSL_REQUEST, place.door.deadline)
    answer = net.ByteReader(connection, place.door.deadline, limit_bytes=1).read(1)
    if answer == b"N":
        raise net.NetError(FailReason.NOT_TLS, f"The PostgreSQL server {place.host} does not offer TLS.")
    if answer != b"S":
        reason = FailReason.BAD_RESPONSE if answer else FailReason.CLOSED
        raise net.NetError(reason, f"{place.host} does not answer as a PostgreSQL server.")


def _ask(seen: Handshake, connection: net.Connection, place: _Place) -> Handshake:
    if place.is_postgres:
        return seen
    with contextlib.suppress(net.DeadlineError):
        seconds = min(_ANSWER_SECONDS, place.door.deadline.remaining_seconds() * _ANSWER_SHARE)
        host = f"[{place.host}]" if ":" in place.host else place.host
        try:
            answer = exchange(f"https://{host}:{place.port}/", connection, net.Deadline(seconds), body_bytes=0)
        except net.DeadlineError:
            raise
        except net.NetError as error:
            # In TLS 1.3 the refusal comes after the handshake, as an alert or a reset.
            refused = seen.asked_for_client_certificate and error.reason in _REFUSALS
            return replace(seen, refused_without_client_certificate=refused)
        return replace(seen, hsts=answer.header("Strict-Transport-Security"), answered_http=True)
    return seen


def _describe(sock: object) -> Handshake:
    if not isinstance(sock, ssl.SSLSocket):
        return Handshake()
    cipher = sock.cipher()
    return Handshake(
        chain=_read_chain(sock, "get_unverified_chain"),
        trusted_path=_read_chain(sock, "get_verified_chain") if sock.context.verify_mode is ssl.CERT_REQUIRED else (),
        protocol=sock.version(),
        cipher=cipher[0] if cipher else None,
        cipher_bits=cipher[2] if cipher else None,
        asked_for_client_certificate=bool(getattr(sock, "preflight_asked", False)),
    )


def _read_chain(sock: ssl.SSLSocket, name: str) -> tuple[bytes, ...]:
    """Return the certificates, DER, of the chain `name` of a socket: get_unverified_chain or get_verified_chain.

    Both are public from Python 3.13 on, on the inner object before.
    """
    if hasattr(sock, name):
        return tuple(getattr(sock, name)() or ())
    inner = getattr(sock, "_sslobj", None)
    chain = (getattr(inner, name)() if inner is not None else None) or ()
    return tuple(ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain)


@build_once(keep=64)
def _look_context(ca_pem: str, *, verify: bool) -> ssl.SSLContext:
    """Return a context that takes every protocol and suite, verifies the chain if asked, and never the host name.

    It notes on its sockets whether the server asked for a client certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.options |= net_tls.OP_LEGACY_SERVER_CONNECT
    context.set_ciphers(net_tls.PERMISSIVE_CIPHERS)
    if verify:
        net_tls.load_roots(context, ca_pem)
    else:
        context.verify_mode = ssl.CERT_NONE
    _watch_messages(context)
    return context


@build_once(keep=8)
def _pinned_context(protocol: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.options |= net_tls.OP_LEGACY_SERVER_CONNECT
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = PROTOCOLS[protocol]
    context.minimum_version = PROTOCOLS[protocol]
    context.set_ciphers(net_tls.PERMISSIVE_CIPHERS)
    return context


def _watch_messages(context: ssl.SSLContext) -> None:
    """Note a CertificateRequest on the socket that got it: no public interface tells that there was one."""

    def note(sock: object, direction: str, version: int, content_type: int, message: int, data: bytes) -> None:
        if direction == "read" and content_type == 22 and message == _CERTIFICATE_REQUEST:
            with contextlib.suppress(AttributeError):
                sock.preflight_asked = True  # type: ignore[attr-defined]

    with contextlib.suppress(AttributeError):
        context._msg_callback = note  # type: ignore[attr-defined]


def _list_protocols(place: _Place, handshake: Handshake) -> tuple[str, ...] | None:
    """Return the protocols that the server offers, oldest first; None when time ran out before all were tried."""
    offered = []
    for protocol in PROTOCOLS:
        if protocol == handshake.protocol:
            offered.append(protocol)
            continue
        try:
            if _offers(place, protocol):
                offered.append(protocol)
        except net.NetError:
            return None
    return tuple(offered)


def _offers(place: _Place, protocol: str) -> bool:
    """Say whether a handshake of just this protocol gets as far as the certificate. Raises NetError if unknown."""
    connection = _connect(place)
    try:
        net_tls.start_tls(connection, _pinned_context(protocol), place.host, place.door.deadline)
        return True
    except net.NetError as error:
        if isinstance(error.reason, ErrorReason):
            raise
        return bool(_describe(connection.sock).chain)
    finally:
        connection.close()


def _speaks_plain_http(place: _Place) -> bool:
    host = f"[{place.host}]" if ":" in place.host else place.host
    try:
        seconds = place.door.deadline.remaining_seconds() * _PLAIN_SHARE
        door = replace(place.door, deadline=net.Deadline(seconds))
        answer = send_request(f"http://{host}:{place.port}/", door, method="HEAD", body_bytes=0)
    except net.NetError as error:
        return error.reason == FailReason.TOO_LARGE  # more headers than we take, but HTTP
    return answer.status != _TLS_PORT_ANSWER
