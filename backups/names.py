"""Decides which names a restore may give a database, and how the portal's own scratch databases are called; pure."""

from __future__ import annotations

import re
import secrets

from backups.errors import RequestError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$.-]{0,62}")
_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,62}")
_KEPT_SCHEMAS = frozenset({"public", "information_schema"})
_TABLE = re.compile(r'("(?:[^"]|"")*"|[^".]+)\.("(?:[^"]|"")*"|[^".]+)')
_RESERVED = frozenset({"postgres", "template0", "template1"})
SCRATCH_PREFIX = "preflight_"


def check_restore_name(name: str) -> None:
    """Raises RequestError unless a restore may make a database of this name."""
    if not _NAME.fullmatch(name):
        raise RequestError(
            "The new database needs a name of at most 63 letters, digits, and _ $ . -, beginning with a letter or _."
        )
    if name.lower() in _RESERVED or name.lower().startswith(SCRATCH_PREFIX):
        raise RequestError(f"The name {name} is kept for PostgreSQL or the portal itself: choose another.")


def name_table(schema: str, table: str) -> str:
    """ "schema.table", quoted as SQL would where a dot or a quote in a name would make that ambiguous."""
    return ".".join('"' + part.replace('"', '""') + '"' if set(part) & {".", '"'} else part for part in (schema, table))


def split_table(name: str) -> tuple[str, str]:
    """The schema and the table that `name_table` made a name of. Raises ValueError for any other text."""
    found = _TABLE.fullmatch(name)
    if found is None:
        raise ValueError(name)
    schema, table = ((part[1:-1].replace('""', '"') if part.startswith('"') else part) for part in found.groups())
    return schema, table


def check_side_schema(name: str) -> None:
    """Raises RequestError unless a restore may make a schema of this name."""
    if not _SCHEMA.fullmatch(name) or name in _KEPT_SCHEMAS or name.startswith("pg_"):
        raise RequestError(
            "The new schema needs a name of at most 63 small letters, digits and _, beginning with a letter, "
            "and not one of PostgreSQL's own."
        )


def name_proof_database(verification_id: int) -> str:
    """The scratch database of one proof; no other ever has its name."""
    return f"{SCRATCH_PREFIX}proof_{verification_id}_{secrets.token_hex(4)}"


def name_import_database(backup_id: int) -> str:
    """The scratch database that a dump from elsewhere is restored into."""
    return f"{SCRATCH_PREFIX}import_{backup_id}_{secrets.token_hex(4)}"


def name_restoring_database(restore_id: int) -> str:
    """What a restore is called until it is whole."""
    return f"{SCRATCH_PREFIX}restoring_{restore_id}_{secrets.token_hex(4)}"


def name_foreign_owner(target: str, restore_id: int) -> str:
    """The role that owns what a dump from elsewhere became."""
    return f"{target[:40]}_owner_{restore_id}"


def name_kept_database(restore_id: int) -> str:
    """What the database before is called after a restore took its name."""
    return f"{SCRATCH_PREFIX}kept_{restore_id}_{secrets.token_hex(4)}"


def is_kept(name: str) -> bool:
    """Whether the portal keeps the database only for a while and may drop it then."""
    return bool(re.fullmatch(rf"{SCRATCH_PREFIX}kept_\d+_[0-9a-f]{{8}}", name))


def is_scratch(name: str) -> bool:
    """Whether the portal made the database for itself and may drop it."""
    return bool(re.fullmatch(rf"{SCRATCH_PREFIX}(proof|restoring|import)_\d+_[0-9a-f]{{8}}", name))
