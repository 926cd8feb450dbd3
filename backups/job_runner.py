"""Keeps a claimed job alive while it works: renews the lease, reports progress, heeds cancel, cleans up, says why."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from backups import catalogue
from backups.errors import ErrorCode, JobError
from backups.models import Job
from backups.pace import Pace
from backups.pg_commands import Command
from backups.process import Child

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
STOP_SECONDS = 3.0

T = TypeVar("T")
Notice = Callable[[str, int | None], None]


class CancelledError(Exception):
    """Somebody asked the job to stop."""


class JobRun:
    """One attempt at one job by this thread, which starts all children and does all writing to the catalogue."""

    def __init__(self, job: Job, notice: Notice | None, within: JobRun | None) -> None:
        self.job = job
        self._within = within
        self.phase = job.phase
        self.percent: int | None = None
        self.is_clean = True
        self.is_stopping = threading.Event()
        # Set by whoever notices, from any thread; the next beat raises it.
        self.trouble: JobError | None = None
        self._notice = notice
        self._noticed: tuple[str, int | None] | None = None
        self._stoppers: list[Callable[[], None]] = []
        self._lease_until = time.monotonic() + settings.BACKUP_LEASE_SECONDS
        self._next_beat = 0.0
        self._pace = Pace()

    @property
    def application_name(self) -> str:
        """What the job's sessions are called on every server."""
        return self.job.application_name

    def enter(self, phase: str, percent: int | None = None) -> None:
        """A new phase begins; also a point at which a cancel is heeded. Raises CancelledError or JobError."""
        self._pace = Pace()
        self.show(phase, percent)
        self._next_beat = 0.0
        self.beat()

    def show(self, phase: str, percent: int | None = None) -> None:
        """Say how far it is; harmless from any thread, written with the next beat."""
        self.phase, self.percent = phase, percent

    def see_bytes(self, count: int) -> None:
        """Say how many bytes have passed since the phase was entered; harmless from any thread."""
        self._pace.see_bytes(count)

    @contextmanager
    def child(self, command: Command, **options: Any) -> Iterator[Child]:
        """Start a program that ends with the block at the latest, or when the job is stopped."""
        child = Child(command, **options)
        try:
            catalogue.note_child(self.job, child.describe())
            with self.stopped_by(child.kill):
                yield child
        finally:
            child.end()

    @contextmanager
    def stopped_by(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call ``stop`` when the job has to stop while the block runs."""
        self._stoppers.append(stop)
        try:
            yield
        finally:
            self._stoppers.remove(stop)

    def wait_for(self, *works: Callable[[], Any]) -> list[Any]:
        """Run each in a thread of its own and return their results; the first failure stops the others and is raised.

        Works touch no catalogue. Raises CancelledError, JobError, or what a work raised.
        """
        threads = [_Work(work) for work in works]
        for thread in threads:
            thread.start()
        try:
            while (alive := [thread for thread in threads if thread.is_alive()]) and not _first_error(threads):
                alive[0].join(0.05)
                self.beat()
        except BaseException:
            self._stop(threads)
            raise
        if error := _first_error(threads):
            self._stop(threads)
            raise error
        return [thread.result for thread in threads]

    @contextmanager
    def opened(self, manager: AbstractContextManager[T]) -> Iterator[T]:
        """Enter a context whose beginning may take long; one that is entered too late for a stop is left at once."""
        is_wanted, lock = True, threading.Lock()

        def enter() -> T:
            value = manager.__enter__()
            with lock:
                if is_wanted:
                    return value
            manager.__exit__(None, None, None)
            raise CancelledError

        try:
            (value,) = self.wait_for(enter)
        except BaseException:
            with lock:
                is_wanted = False
            raise
        with ExitStack() as stack:
            stack.push(manager)
            yield value

    def finish(self, work: Callable[[], None]) -> None:
        """Run to its end what must be done whatever was asked meanwhile, such as cleaning up; the lease is kept."""
        thread = _Work(work)
        thread.start()
        while thread.is_alive():
            thread.join(BEAT_SECONDS)
            with suppress(CancelledError, JobError, OperationalError, InterfaceError):
                self.beat()
        if thread.error is not None:
            raise thread.error

    def persist(self, write: Callable[[], T]) -> T:
        """Write a result to the catalogue, trying again while the lease lasts: the database may be restarting."""
        while True:
            try:
                return write()
            except (OperationalError, InterfaceError):
                if time.monotonic() > self._lease_until:
                    raise
                connection.close()
                time.sleep(BEAT_SECONDS)

    def require_going_on(self) -> None:
        """For works that loop: raises OSError once the job is being stopped."""
        if self.is_stopping.is_set():
            raise OSError(errno.ECANCELED, "the job is being stopped")

    def beat(self) -> None:
        """Once a second: renew, report, heed a cancel. Raises CancelledError or JobError (lost lease)."""
        if self.trouble is not None:
            raise self.trouble
        now = time.monotonic()
        if now < self._next_beat:
            return
        self._next_beat = now + BEAT_SECONDS
        if self._within is not None:
            self._within.beat()
        if self._notice is not None and self._noticed != (self.phase, self.percent):
            self._noticed = (self.phase, self.percent)
            self._notice(self.phase, self.percent)
        try:
            renewal = catalogue.renew(self.job, self.phase, self.percent, self._pace.describe(now, self.percent))
        except (OperationalError, InterfaceError):
            # The portal's database may restart under a long dump; the lease says how long that may last.
            if time.monotonic() > self._lease_until:
                raise
            connection.close()
            return
        if not renewal.is_ours:
            raise catalogue.lost_lease()
        self._lease_until = time.monotonic() + settings.BACKUP_LEASE_SECONDS
        if renewal.is_cancelled:
            raise CancelledError

    def _stop(self, threads: list[_Work]) -> None:
        self.is_stopping.set()
        for stop in reversed(self._stoppers):
            stop()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            # It may still make what is about to be removed.
            self.is_clean = False


class _Work(threading.Thread):
    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True, name="backup work")
        self._work = work
        self.result: Any = None
        self.error: BaseException | None = None
        self.failed_at = 0.0

    def run(self) -> None:
        try:
            self.result = self._work()
        except BaseException as error:
            self.failed_at = time.monotonic()
            self.error = error


def _first_error(threads: list[_Work]) -> BaseException | None:
    """What failed first: the failure of one work often makes the others fail, and is the reason that counts."""
    failed = [thread for thread in threads if thread.error is not None]
    return min(failed, key=lambda thread: thread.failed_at).error if failed else None


@contextmanager
def running(job: Job, notice: Notice | None = None, within: JobRun | None = None) -> Iterator[JobRun]:
    """Run the block as the holder of ``job``; however the block ends, the row says how, and nothing else is raised.

    A job ``within`` another one keeps that one's lease too, and stops when that one is to stop.

    KeyboardInterrupt and SystemExit (a worker's time-out is one) are recorded and raised again.
    """
    run = JobRun(job, notice, within)
    try:
        yield run
    except CancelledError:
        _record(partial(catalogue.finish_cancelled, job))
    except JobError as error:
        _record(partial(catalogue.fail, job, error.code, error.sentence))
    except (OperationalError, InterfaceError):
        run.is_clean = False
        sentence = "The portal's own database was not reachable for too long: start the job again."
        _record(partial(catalogue.fail, job, ErrorCode.INTERNAL, sentence))
    except (KeyboardInterrupt, SystemExit) as error:
        reason = "was interrupted" if isinstance(error, KeyboardInterrupt) else "ran out of time or was shut down"
        sentence = f"The job {reason} while {run.phase or 'starting'}: start it again."
        _record(partial(catalogue.fail, job, ErrorCode.STOPPED, sentence))
        raise
    except Exception as error:
        # The one broad except: a defect of ours. The traceback goes to the log, the row gets a sentence.
        logger.exception("%s failed", job)
        sentence = f"The portal failed inside while {run.phase or 'starting'} ({type(error).__name__}): see its log."
        _record(partial(catalogue.fail, job, ErrorCode.INTERNAL, sentence))
    finally:
        if run.is_clean:
            _record(partial(catalogue.mark_swept, job))


def _record(write: Callable[[], object]) -> None:
    """A last word that cannot be written is the reaper's to say."""
    try:
        write()
    except (OperationalError, InterfaceError):
        logger.warning("The portal's database is not reachable; the reaper will end the job.")
        connection.close()
