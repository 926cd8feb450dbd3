"""How every command of ours ends: 0 fine, 1 bad news, 2 usage, 3 could not tell; writes one sentence to stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError

BAD_NEWS, USAGE, COULD_NOT_TELL = 1, 2, 3


def refuse(command: BaseCommand, sentence: str, status: int) -> NoReturn:
    """Says ``sentence`` on stderr and ends the command with ``status``."""
    command.stderr.write(sentence)
    raise SystemExit(status)


@contextmanager
def database_errors_explained(command: BaseCommand) -> Iterator[None]:
    """Inside, a portal database that does not answer or is not set up ends the command with one sentence."""
    try:
        yield
    except (OperationalError, InterfaceError):
        refuse(
            command, "The portal's own database cannot be reached: start it with make db or make run.", COULD_NOT_TELL
        )
    except ProgrammingError:
        refuse(command, "The portal's own database is not set up: run make setup.", COULD_NOT_TELL)
    except DatabaseError as error:
        refuse(
            command,
            f"The portal's own database has refused what was to be stored ({type(error).__name__}); nothing of it was.",
            COULD_NOT_TELL,
        )
