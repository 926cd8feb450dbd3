"""Trust and handshakes: the TLS contexts of the probes, and what a handshake over a `net` connection may end in."""

import ssl
import time

from readiness.probes.base import ErrorReason, FailReason
from readiness.probes.build_once import build_once
from readiness.probes.net import Connection, Deadline, DeadlineError, NetError

_NOT_TLS_SIGNS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH")
# Everything a server may still speak, good suites first; never suites without encryption or authentication.
PERMISSIVE_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ALL:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=0"
OP_LEGACY_SERVER_CONNECT = 0x4  # ssl names it from Python 3.12 on


class CertificateError(NetError):
    """The server's certificate did not pass verification; `verify_code` is OpenSSL's."""

    def __init__(self, message: str, verify_code: int) -> None:
        super().__init__(FailReason.CERTIFICATE, message)
        self.verify_code = verify_code


@build_once(keep=64)
def tls_context(ca_pem: str, *, verify: bool = True) -> ssl.SSLContext:
    """Return a client context kept per CA (loading the system roots costs 29 ms). Raises NetError (bad_ca).

    The roots of `ca_pem` are added to the system's: a private root must not make public sites fail. An unverified
    context also takes ciphers and protocols that a client should refuse, so that a server can be looked at.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.options |= OP_LEGACY_SERVER_CONNECT
        context.set_ciphers(PERMISSIVE_CIPHERS)
        return context
    load_roots(context, ca_pem)
    return context


def load_roots(context: ssl.SSLContext, ca_pem: str) -> None:
    """Trust the system's roots and those of `ca_pem` beside them. Raises NetError (bad_ca)."""
    context.load_default_certs()
    if ca_pem:
        try:
            context.load_verify_locations(cadata=ca_pem)
        except (ssl.SSLError, ValueError) as error:
            raise NetError(ErrorReason.BAD_CA, "The CA bundle holds no certificate that can be read.") from error


def start_tls(connection: Connection, context: ssl.SSLContext, host: str, deadline: Deadline) -> None:
    """Shake hands over `connection` with the name `host`, replacing its socket by the wrapped one.

    Raises NetError (certificate as CertificateError, not_tls, closed, handshake_refused) or DeadlineError.
    """
    started = time.perf_counter()
    raw = connection.sock
    try:
        raw.settimeout(deadline.remaining_seconds("TLS handshake"))
        name = host.rstrip(".")  # a certificate and SNI never carry the final dot of an absolute name
        wrapped = context.wrap_socket(raw, server_hostname=name, do_handshake_on_connect=False)
        connection.sock = wrapped
        wrapped.do_handshake()  # its timeout counts for the whole handshake, not for each read
    except (OSError, ValueError) as error:
        raise _explain_tls_error(error, host, deadline) from error
    connection.tls_ms = (time.perf_counter() - started) * 1000


def _explain_tls_error(error: OSError | ValueError, host: str, deadline: Deadline) -> NetError:
    if isinstance(error, TimeoutError) or deadline.is_over():
        return DeadlineError("TLS handshake")
    if isinstance(error, ssl.SSLCertVerificationError):
        return CertificateError(f"The certificate of {host} is not valid: {error.verify_message}.", error.verify_code)
    text = str(error)
    if isinstance(error, ssl.SSLError):
        if any(
            sign in text for sign in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH")
        ):
            return NetError(FailReason.NOT_TLS, f"{host} does not speak TLS on this port.")
        if isinstance(error, ssl.SSLEOFError) or "EOF" in text:
            return NetError(FailReason.CLOSED, f"{host} closed the connection during the TLS handshake.")
        return NetError(
            FailReason.HANDSHAKE_REFUSED, f"The TLS handshake with {host} failed: {error.reason or 'no reason'}."
        )
    if isinstance(error, ConnectionError):
        return NetError(FailReason.CLOSED, f"{host} closed the connection during the TLS handshake.")
    return NetError(FailReason.HANDSHAKE_REFUSED, f"The TLS handshake with {host} failed.")
