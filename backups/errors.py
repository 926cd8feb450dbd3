"""Turns what servers, tools and disks complain about into one clear sentence; reads and writes nothing."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from enum import StrEnum

import psycopg

from readiness.probes.base import mask_secrets


class ErrorCode(StrEnum):
    """Why a job did not end well. Closed: a new reason is added here, nowhere else."""

    UNREACHABLE = "unreachable"
    AUTHENTICATION = "authentication"
    DATABASE_MISSING = "database_missing"
    BAD_CONNECTION = "bad_connection"
    CLIENT_MISSING = "client_missing"
    CONNECTION_LOST = "connection_lost"
    NO_SPACE = "no_space"
    LOCK_TIMEOUT = "lock_timeout"
    TABLE_DROPPED = "table_dropped"
    PERMISSION = "permission"
    BUSY = "busy"
    ARTIFACT_MISSING = "artifact_missing"
    ARTIFACT_DAMAGED = "artifact_damaged"
    WRONG_KEY = "wrong_key"
    NOT_SELECTABLE = "not_selectable"
    NAME_TAKEN = "name_taken"
    NO_CREATEDB = "no_createdb"
    NOT_PROVABLE = "not_provable"
    NOT_EQUAL = "not_equal"
    BAD_SOURCE = "bad_source"
    TOOL_FAILED = "tool_failed"
    STORE_FAILED = "store_failed"
    STORE_UNREACHABLE = "store_unreachable"
    ABANDONED = "abandoned"
    STOPPED = "stopped"
    INTERNAL = "internal"


COULD_NOT_TELL = frozenset(
    {
        ErrorCode.UNREACHABLE,
        ErrorCode.AUTHENTICATION,
        ErrorCode.DATABASE_MISSING,
        ErrorCode.BAD_CONNECTION,
        ErrorCode.NOT_PROVABLE,
        ErrorCode.WRONG_KEY,
        ErrorCode.STORE_UNREACHABLE,
    }
)

# What may be over by itself, so that trying again makes sense.
CAN_PASS = frozenset(
    {
        ErrorCode.UNREACHABLE,
        ErrorCode.CONNECTION_LOST,
        ErrorCode.LOCK_TIMEOUT,
        ErrorCode.TABLE_DROPPED,
        ErrorCode.BUSY,
        ErrorCode.STORE_FAILED,
        ErrorCode.STORE_UNREACHABLE,
        ErrorCode.ABANDONED,
        ErrorCode.STOPPED,
    }
)


class JobError(Exception):
    """A job cannot go on; the text is one sentence for people, without a secret."""

    def __init__(self, code: ErrorCode, sentence: str, said: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence[:500]
        # The first complaint of a server or a program in its own words, without a secret; may be empty.
        self.said = said


class StoreReadError(OSError):
    """Reading from a remote store failed; ``explained`` is the sentence."""

    def __init__(self, explained: JobError) -> None:
        super().__init__(explained.sentence)
        self.explained = explained


class RequestError(Exception):
    """What was asked for is refused; the text is one sentence for people."""


@dataclass(frozen=True)
class Place:
    """Where something happened, in words: ``server`` "db.example:5432", ``user``, ``database``."""

    server: str
    user: str
    database: str


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    code: ErrorCode
    sentence: str


def _rule(pattern: str, code: ErrorCode, sentence: str) -> _Rule:
    return _Rule(re.compile(pattern, re.IGNORECASE), code, sentence)


# The first that matches wins; groups of the pattern and the place fill the sentence.
_RULES = (
    _rule(
        r"password authentication failed|no password supplied|no pg_hba\.conf entry|authentication failed for"
        r"|role \"[^\"]*\" is not permitted to log in|FATAL:\s+role \"[^\"]*\" does not exist",
        ErrorCode.AUTHENTICATION,
        "The server {server} did not let {user} in: check user and password of the connection.",
    ),
    _rule(
        r"FATAL:\s+database \"(?P<name>[^\"]*)\" does not exist",
        ErrorCode.DATABASE_MISSING,
        "The server {server} has no database {name}: check the connection.",
    ),
    _rule(
        r"too many clients|too many connections|remaining connection slots",
        ErrorCode.UNREACHABLE,
        "The server {server} has no connection left: raise max_connections or close idle sessions.",
    ),
    _rule(
        r"is starting up|is shutting down|recovery mode",
        ErrorCode.UNREACHABLE,
        "The server {server} is starting or shutting down: try again in a moment.",
    ),
    _rule(
        r"connection refused|could not connect|no such file or directory.*socket|no route to host"
        r"|network is unreachable|is the server running",
        ErrorCode.UNREACHABLE,
        "The server {server} cannot be reached, nothing listens there: is it running, and is the address right?",
    ),
    _rule(
        r"could not translate host name|name or service not known|failed to resolve|nodename nor servname",
        ErrorCode.UNREACHABLE,
        "The server {server} cannot be reached, its name does not resolve: check the connection.",
    ),
    _rule(
        r"timeout expired|connection timed out|connection timeout",
        ErrorCode.UNREACHABLE,
        "The server {server} did not answer in time: check address, network and firewall.",
    ),
    _rule(
        r"SSL error|certificate verify failed|server does not support SSL|SSL off",
        ErrorCode.UNREACHABLE,
        "No encrypted connection to {server} could be made: check sslmode and the root certificate.",
    ),
    _rule(
        r"terminating connection|server closed the connection|connection to server was lost|SSL SYSCALL"
        r"|could not receive data|the connection is (lost|closed)|connection (not open|already closed)",
        ErrorCode.CONNECTION_LOST,
        "The connection to the server {server} broke in the middle: try again once it and the network are stable.",
    ),
    _rule(
        r"row-level security policy for table \"(?P<name>[^\"]*)\"",
        ErrorCode.PERMISSION,
        "{user} sees only some rows of table {name}, so a backup would be incomplete: give the role BYPASSRLS.",
    ),
    _rule(
        r"permission denied to create database",
        ErrorCode.NO_CREATEDB,
        "{user} may not create databases on {server}: run ALTER ROLE {user} CREATEDB there, or use another role.",
    ),
    _rule(
        r"permission denied to |must be superuser|must be owner of|must be able to SET ROLE|only superuser",
        ErrorCode.NOT_PROVABLE,
        "{user} may not make on {server} everything that this backup holds: use a role with more rights there.",
    ),
    _rule(
        r"permission denied for (?P<what>[a-z ]+?) (?P<name>\"?[^\s\"]+\"?)",
        ErrorCode.PERMISSION,
        "{user} may not read {what} {name} in {database}: grant it (pg_read_all_data covers all) and try again.",
    ),
    _rule(
        r"deadlock detected",
        ErrorCode.LOCK_TIMEOUT,
        "Another session locked tables of {database} in another order: try again.",
    ),
    _rule(
        r"lock timeout",
        ErrorCode.LOCK_TIMEOUT,
        "A table of {database} stayed locked by another session for too long: end that session and try again.",
    ),
    _rule(
        r"max_locks_per_transaction",
        ErrorCode.TOOL_FAILED,
        "The server {server} cannot lock all tables of {database} at once: raise max_locks_per_transaction there "
        "(every table and index takes one lock), restart it, and try again.",
    ),
    _rule(
        r"no space left on device|disk full|could not extend file|could not write to file.*space",
        ErrorCode.NO_SPACE,
        "The disk of the server {server} is full: free some space and try again.",
    ),
    _rule(
        r"extension \"(?P<name>[^\"]*)\" is not available|could not open extension control file.*/(?P<name2>[\w-]+)\.c",
        ErrorCode.NOT_PROVABLE,
        "The server {server} lacks the extension {name}: install it there.",
    ),
    _rule(
        r"ERROR:\s+role \"(?P<name>[^\"]*)\" does not exist",
        ErrorCode.NOT_PROVABLE,
        "The backup needs the role {name}, which {server} does not have: create it there (CREATE ROLE).",
    ),
    _rule(
        r"pg_restore: error: .*relation \"(?P<name>[^\"]*)\" does not exist",
        ErrorCode.TOOL_FAILED,
        "Something in the backup needs {name}, which the backup does not hold: let the schedule take it along, "
        "or leave out what needs it.",
    ),
    _rule(
        r"worker process died unexpectedly",
        ErrorCode.STOPPED,
        "A process of the restore into {database} was killed: try again.",
    ),
    _rule(
        r"relation .*does not exist|could not open relation",
        ErrorCode.TABLE_DROPPED,
        "A table of {database} was dropped while the backup began: try again.",
    ),
)


def explain(text: str, place: Place, program: str = "") -> JobError:
    """The sentence for a complaint of libpq, the server or one of PostgreSQL's programs."""
    for rule in _RULES:
        if found := rule.pattern.search(text):
            words = {key: value for key, value in found.groupdict().items() if value}
            if "name2" in words:
                words["name"] = words["name2"]
            words = {key: value.strip('"') for key, value in words.items()}
            return JobError(
                rule.code,
                rule.sentence.format(
                    **{"name": "?", **words},
                    server=place.server,
                    user=place.user or "the role",
                    database=place.database,
                ),
                _first_complaint(text),
            )
    said = _first_complaint(text)
    who = program or f"The server {place.server}"
    return JobError(ErrorCode.TOOL_FAILED, f"{who} failed on {place.database}: {said or 'it gave no reason'}.", said)


def explain_database_error(error: psycopg.Error, place: Place) -> JobError:
    """The sentence for an exception of psycopg; SQLSTATE first, because servers speak many languages."""
    text = str(error)
    by_state = {
        "28P01": "password authentication failed",
        "28000": "password authentication failed",
        "55P03": "lock timeout",
        "53100": "no space left on device",
        "53300": "too many connections",
        "57P03": "is starting up",
        "57P01": "terminating connection",
    }
    if error.sqlstate in by_state:
        return explain(by_state[str(error.sqlstate)], place)
    if error.sqlstate == "42501":
        return explain(
            text if "permission denied" in text or "row-level" in text else f"permission denied {text}", place
        )
    return explain(text, place)


def explain_store_error(error: OSError, where: str) -> JobError:
    """The sentence for a store that refuses."""
    if isinstance(error, StoreReadError):
        return error.explained
    return explain_disk_error(error, f"The backup store {where}")


def explain_disk_error(error: OSError, what: str) -> JobError:
    """The sentence for a disk that refuses; ``what`` begins it."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return JobError(ErrorCode.NO_SPACE, f"{what} is full: free some space and try again.")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return JobError(ErrorCode.STORE_FAILED, f"{what} cannot be written: check its owner and its mount.")
    return JobError(ErrorCode.STORE_FAILED, f"{what} failed: {error.strerror or type(error).__name__}.")


def _first_complaint(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = next((line for line in lines if re.search(r"\b(error|fatal|panic)\b", line, re.IGNORECASE)), "")
    said = said or (lines[-1] if lines else "")
    said = re.sub(r"^pg_\w+: (error|fatal): ", "", said)
    return mask_secrets(said).rstrip(".:")[:300]
