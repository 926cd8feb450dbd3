"""Reads a typed database target (URI, libpq connection string, env:NAME, file:PATH); gives a connection string.

Pure but for the two references. No error text quotes the string it complains about: it may hold a password.
"""

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from readiness.probes.base import ErrorReason, TargetError

MAX_REFERENCE_BYTES = 16 * 1024
POSTGRES_SCHEMES = frozenset({"postgres", "postgresql"})
# Names that frameworks give to PostgreSQL in their URLs; libpq knows only its own two.
_OTHER_POSTGRES_SCHEMES = frozenset({"postgis", "pgsql", "psql", "timescale", "timescalegis"})
# What ORMs put into the URL for themselves (Prisma above all); libpq refuses parameters that it does not know.
_FOREIGN_PARAMETERS = frozenset(
    {"schema", "pgbouncer", "connection_limit", "pool_timeout", "socket_timeout", "statement_cache_size"}
    | {"sslaccept", "sslidentity", "prepared_statements", "prepared_statement_cache_size", "conn_max_age", "pool"}
)
_SCHEME = re.compile(r"(?P<name>[a-zA-Z][a-zA-Z0-9]*)(?:\+[a-zA-Z0-9_]+)?://")
_SQLITE_PATH = re.compile(r"sqlite3?:", re.IGNORECASE)


def read_dsn_reference(text: str) -> str:
    """Return the connection string that `text` is or refers to (env:NAME, file:PATH). Raises TargetError (bad_dsn)."""
    if text.startswith("env:"):
        name = text.removeprefix("env:")
        value = os.environ.get(name, "")
        if not value.strip():
            raise TargetError(f"The environment variable {name} is not set.", ErrorReason.BAD_DSN)
        return value.strip()
    if text.startswith("file:"):
        return _read_dsn_file(Path(text.removeprefix("file:")))
    return text.strip()


def _read_dsn_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            value = file.read(MAX_REFERENCE_BYTES).decode("utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise TargetError(f"The file {path} cannot be read: {why}.", ErrorReason.BAD_DSN) from None
    if not value:
        raise TargetError(f"The file {path} is empty.", ErrorReason.BAD_DSN)
    return value


def find_engine(dsn: str) -> str:
    """Return "postgresql", or the engine that the URL names instead: "sqlite", "mysql", "mongodb" ..."""
    if _SQLITE_PATH.match(dsn):
        return "sqlite"
    match = _SCHEME.match(dsn)
    scheme = match["name"].lower() if match else "postgresql"
    return "postgresql" if scheme in POSTGRES_SCHEMES | _OTHER_POSTGRES_SCHEMES else scheme


def parse_dsn(dsn: str) -> dict[str, str]:
    """Return libpq's parameters of a PostgreSQL URI or connection string. Raises TargetError (bad_dsn)."""
    try:
        parsed = conninfo_to_dict(_speak_libpq(dsn))
        if "@" in str(parsed.get("host") or "").lstrip("@"):
            raise ValueError("an unescaped @ in the password: what follows it would be shown as the host")
    except (psycopg.Error, ValueError):
        raise TargetError(
            "The connection string cannot be parsed; it should look like postgresql://user:password@host:5432/database "
            "with special characters of the password percent-encoded.",
            ErrorReason.BAD_DSN,
        ) from None
    return {name: str(value) for name, value in parsed.items() if value is not None}


def _speak_libpq(dsn: str) -> str:
    """Return `dsn` with its scheme and parameters reduced to those libpq knows."""
    match = _SCHEME.match(dsn)
    if match is None:
        if "=" not in dsn:
            raise ValueError("neither a URI nor a connection string")
        return dsn
    base, _, query = f"postgresql://{dsn[match.end() :]}".partition("?")
    kept = [(name, value) for name, value in parse_qsl(query) if name not in _FOREIGN_PARAMETERS]
    return f"{base}?{urlencode(kept)}" if kept else base


def describe_dsn(dsn: str) -> str:
    """Return user, host, port and database of `dsn`, never a password; "" when it cannot be parsed."""
    try:
        parts = parse_dsn(dsn)
    except TargetError:
        return ""
    user = f"{parts['user']}@" if "user" in parts else ""
    port = f":{parts['port']}" if "port" in parts else ""
    return f"{user}{parts.get('host') or parts.get('hostaddr') or 'localhost'}{port}/{parts.get('dbname', '')}"
