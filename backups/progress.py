"""How far a dump or restore is: reads the tools' own words and pg_stat_progress_copy; writes nothing."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from backups.errors import JobError
from backups.names import name_table
from backups.servers import Server

_DUMPING = re.compile(r'^pg_dump: dumping contents of table "(?P<table>.+)"$')
_RESTORING = re.compile(r'^pg_restore: processing data for table "(?P<table>.+)"$')
_CREATING = re.compile(r'^pg_restore: creating (?P<what>[A-Z][A-Z ]+) "(?P<name>.+)"$')
_SQL = Path(__file__).with_name("sql") / "copying.sql"

Show = Callable[[str, int | None], None]


class DumpProgress:
    """Percent of rows: finished tables count whole, the current one by the tuples that were copied."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._counts: Mapping[str, int] = {}
        self._finished_rows = 0
        self._current = ""

    def learn_counts(self, counts: Mapping[str, int]) -> None:
        """Now the whole is known."""
        self._counts = counts

    def hear(self, line: str) -> None:
        """One line of pg_dump's stderr."""
        if found := _DUMPING.match(line):
            self._finished_rows += self._counts.get(self._current, 0)
            self._current = found["table"]
            self.see_tuples(self._current, 0)
        elif line.startswith("pg_dump: reading") and not self._current:
            self._show("reading the schema", None)

    def see_tuples(self, table: str, tuples: int) -> None:
        """The server says how many tuples of the table it has copied."""
        total = sum(self._counts.values())
        percent = None
        if total and table == self._current:
            percent = min(99, 100 * (self._finished_rows + min(tuples, self._counts.get(table, 0))) // total)
        self._show(f"dumping {self._current}", percent)


class RestoreProgress:
    """Percent of the artifact's bytes; what is built after the data has no percent, only a name."""

    def __init__(self, show: Show, total_bytes: int) -> None:
        self._show = show
        self._total_bytes = max(1, total_bytes)
        self._phase = "restoring"
        self._percent = 0

    def hear(self, line: str) -> None:
        """One line of pg_restore's stderr."""
        if found := _RESTORING.match(line):
            self._phase = f"restoring {found['table']}"
        elif found := _CREATING.match(line):
            self._phase = f"creating {found['what'].lower()} {found['name']}"
        self._show(self._phase, self._percent)

    def see_bytes(self, count: int) -> None:
        """So many bytes of the artifact have been read."""
        self._percent = min(95, 95 * count // self._total_bytes)
        self._show(self._phase, self._percent)


class RestoredRows:
    """Percent of the rows that several jobs have restored, by what the server says it has copied."""

    def __init__(self, show: Show, counts: Mapping[str, int]) -> None:
        self._show = show
        self._total = max(1, sum(counts.values()))
        self._counts = counts
        self._seen: dict[str, int] = {}
        self._phase = "restoring"

    def hear(self, line: str) -> None:
        """One line of pg_restore's stderr."""
        if found := _RESTORING.match(line):
            self._phase = f"restoring {found['table']}"
        elif found := _CREATING.match(line):
            self._phase = f"creating {found['what'].lower()} {found['name']}"
        self._tell()

    def see_tuples(self, table: str, tuples: int) -> None:
        """The server has copied so many rows into the table."""
        self._seen[table] = max(self._seen.get(table, 0), min(tuples, self._counts.get(table, 0)))
        self._tell()

    def _tell(self) -> None:
        self._show(self._phase, min(95, 95 * sum(self._seen.values()) // self._total))


@contextmanager
def watch_copies(server: Server, application_name: str, see_tuples: Callable[[str, int], None]) -> Iterator[None]:
    """Ask the server once a second, on a connection of its own, which tables are being copied and how far they are.

    Progress is a courtesy: where a connection more is refused, or the server is too old to know, there is none.
    """
    stop = threading.Event()

    def watch() -> None:
        query = _SQL.read_bytes()
        try:
            with server.connect(f"{application_name} progress"[:63]) as connection:
                while not stop.wait(1.0):
                    for schema, table, tuples in connection.execute(query, [application_name]).fetchall():
                        see_tuples(name_table(schema, table), int(tuples))
        except (JobError, psycopg.Error):
            return

    watcher = threading.Thread(target=watch, name="backup progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join(3)
