"""Reads what libpq says about a failed connection; gives a closed reason, one sentence and a fix. Pure."""

import psycopg

from readiness.probes.base import ErrorReason, FailReason, TargetError
from readiness.probes.dsn import parse_dsn

# libpq reports a refused connection as text only, so the text decides; the first line that matches wins.
_SIGNS: tuple[tuple[tuple[str, ...], ErrorReason | FailReason, str, str], ...] = (
    (
        (
            "password authentication failed",
            "no password supplied",
            "scram",
            "authentication failed",
            "authentifizierung",
        ),
        ErrorReason.AUTHENTICATION_FAILED,
        "The server does not accept the user name and password.",
        "Check the user and the password in the connection string.",
    ),
    (
        ("no pg_hba.conf entry", "pg_hba.conf rejects"),
        ErrorReason.AUTHENTICATION_FAILED,
        "The server does not let this user in from this address.",
        "Add an entry to pg_hba.conf, or allow this address in the provider's access list.",
    ),
    (
        ("permission denied",),
        ErrorReason.PERMISSION_DENIED,
        "The role may not do what the probe needs.",
        "GRANT pg_monitor TO the role, and CONNECT on the database.",
    ),
    (
        ('role "',),
        ErrorReason.AUTHENTICATION_FAILED,
        "The server does not know the user.",
        "Check the user in the connection string.",
    ),
    (
        ('database "',),
        ErrorReason.DATABASE_NOT_FOUND,
        "The server has no database of this name.",
        "Check the name at the end of the connection string, or create the database.",
    ),
    (
        ("too many clients", "remaining connection slots", "too many connections"),
        ErrorReason.TOO_MANY_CONNECTIONS,
        "The server has no connection left.",
        "Put a pooler (PgBouncer) in front, or find out which application holds the connections.",
    ),
    (
        ("starting up", "shutting down", "recovery mode", "not accepting connections", "not yet accepting"),
        ErrorReason.SERVER_STARTING,
        "The server is starting, stopping or in recovery and takes no connections.",
        "Wait; if it stays so, look into the server's log.",
    ),
    (
        ("does not support ssl", "ssl was required"),
        ErrorReason.TLS_REQUIRED,
        "The connection string demands TLS, and the server does not offer it.",
        "Set ssl = on on the server.",
    ),
    (
        ("certificate verify failed", "server certificate for", "root certificate file"),
        FailReason.CERTIFICATE,
        "The server's certificate could not be verified.",
        "Name the right CA in sslrootcert, or renew the certificate.",
    ),
    (
        ("connection refused",),
        ErrorReason.REFUSED,
        "The server refuses connections: nothing listens there.",
        "Check the host and the port, and that the server runs.",
    ),
    (
        ("timeout expired", "statement timeout", "timed out", "lock timeout"),
        ErrorReason.TIMEOUT,
        "The server did not answer in time.",
        "Check its load, and that no firewall drops the connection.",
    ),
    (
        ("no route to host", "network is unreachable", "no such file or directory"),
        ErrorReason.UNREACHABLE,
        "The server cannot be reached from here.",
        "Check the host, the port and the network in between.",
    ),
    (
        ("server closed the connection", "invalid response", "received invalid", "lost synchronization", "unexpected"),
        FailReason.BAD_RESPONSE,
        "What answers there does not behave like a PostgreSQL server.",
        "Check the host and the port.",
    ),
)


# What libpq says before it asks anybody.
_SIGNS_OF_A_BAD_DSN = ("connection is bad: invalid ", "definition of service ", "could not parse ")


def explain_connect_error(error: psycopg.Error, dsn: str, *, timed_out: bool) -> tuple[str, str, str]:
    """Return (reason, sentence, fix) for a failed connection or query. No text contains anything secret of `dsn`."""
    if timed_out:
        return ErrorReason.TIMEOUT, "The server did not answer in time.", "Check its load and the network in between."
    text = str(error).lower()
    for signs, reason, sentence, fix in _SIGNS:
        if any(sign in text for sign in signs):
            return reason, sentence, fix
    first_line = _remove_secrets(str(error).strip().partition("\n")[0], dsn)
    if any(sign in text for sign in _SIGNS_OF_A_BAD_DSN):
        cause = first_line.removeprefix("connection is bad: ")
        return ErrorReason.BAD_DSN, f"The connection string cannot be used: {cause}.", "Correct the connection string."
    return FailReason.BAD_RESPONSE, f"The connection failed: {first_line}", "Check the connection string."


def _remove_secrets(text: str, dsn: str) -> str:
    try:
        parameters = parse_dsn(dsn)
    except TargetError:
        return "no reason that can be shown"
    for name in ("password", "sslpassword"):
        if parameters.get(name):
            text = text.replace(parameters[name], "***")
    return text
