"""Copies the files of a backup into further stores and reads them back; which copy to read; writes stores.

Rows are written through catalogue. A copy that fails does not fail its backup: it is shown and tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, TypeVar, cast

from backups import catalogue, job_runner, pipeline, storage, store_records, stores
from backups.errors import ErrorCode, JobError, explain_store_error
from backups.models import ACTIVE_STATES, Backup, BackupCopy, State
from backups.store_config import LOCAL
from backups.stores import DirectoryStore, Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

COPY_BYTES = 1024 * 1024
TRY_ANOTHER = frozenset(
    {ErrorCode.ARTIFACT_MISSING, ErrorCode.ARTIFACT_DAMAGED, ErrorCode.STORE_FAILED, ErrorCode.STORE_UNREACHABLE}
)


def copy(
    copy_id: int, notice: job_runner.Notice | None = None, within: job_runner.JobRun | None = None
) -> BackupCopy | None:
    """Do the queued copy and return it as it ended; None when it was not queued any more."""
    job = catalogue.claim(BackupCopy, copy_id)
    if job is None:
        return None
    with job_runner.running(job, notice, within) as run:
        run.is_clean = False
        _copy(run, job)
        run.is_clean = True
    sweep_spool()
    done = BackupCopy.objects.select_related("backup").get(pk=copy_id)
    if done.state == State.FAILED:
        store_records.note_error(done.store, done.error)
    elif done.state == State.DONE:
        store_records.note_usable(done.store)
    return done


def _copy(run: job_runner.JobRun, job: BackupCopy) -> None:
    backup = job.backup
    catalogue.require_done(backup)
    target = stores.open_store(job.store)
    send(run, backup, _lay_out(run, backup, job.store), target)
    run.persist(lambda: catalogue.finish_copy(job))


def send(run: job_runner.JobRun, backup: Backup, source: DirectoryStore, target: Store) -> None:
    """Write artifact and globals, read both back, then write the manifest: only a whole copy has one. Raises JobError.

    ``source`` has all three.
    """
    for name, sha256 in _files_of(backup):
        run.enter(f"copying to {target.name}", 0)
        _attempt(run, partial(_put, run, source.path(name), name, target))
        run.enter(f"reading back from {target.name}", 0)
        found = _attempt(run, partial(read_whole, run, target, name, source.path(name).stat().st_size))
        if found != sha256:
            _attempt(run, partial(target.delete, name))
            raise JobError(
                ErrorCode.STORE_FAILED,
                f"The backup store {target.name} does not give back what was written to {target.address(name)}: "
                "it was deleted there, and the copy is tried again.",
            )
    manifest = backup.artifact + storage.MANIFEST
    run.enter(f"writing the manifest to {target.name}", 99)
    _attempt(run, partial(_put, run, source.path(manifest), manifest, target))
    _attempt(run, partial(storage.check_manifest, backup.artifact, backup.manifest_sha256, target.name))


def read_whole(run: job_runner.JobRun, store: Store, name: str, size: int) -> str:
    """The sha256 of all of the file, for a thread. Raises JobError."""

    def see_bytes(count: int) -> None:
        run.require_going_on()
        run.see_bytes(count)
        run.show(run.phase, min(99, 100 * count // max(1, size)))

    with store.open(name) as file:
        try:
            return pipeline.hash_stream(file, see_bytes)[1]
        except OSError as error:
            raise explain_store_error(error, store.address(name)) from None


def look_at_all(run: job_runner.JobRun, backup: Backup) -> dict[str, str]:
    """Have the backup read from its first whole copy, as `choose_copy` does, and read all the others as well.

    What is wrong with which store's copy. Raises JobError when none is whole; a single copy is left to the reader.
    """
    copies = good_copies(backup)
    if len(copies) < 2:
        choose_copy(run, backup)
        _require_globals(run, backup)
        return {}
    problems: dict[str, JobError] = {}
    for each in copies:
        run.enter(f"checking the copy in {each.store}", 0)
        try:
            require_written(run, backup, each)
        except JobError as error:
            problems[each.store] = error
    whole = [each.store for each in copies if each.store not in problems]
    if not whole:
        raise _worst(list(problems.values()))
    backup.reads_from = whole[0]
    return {name: error.sentence for name, error in problems.items()}


def _require_globals(run: job_runner.JobRun, backup: Backup) -> None:
    """Raises JobError unless the roles beside the artifact, where there are any, are what was written."""
    if not backup.globals:
        return
    name, store = str(backup.globals["artifact"]), stores.open_store(backup.reads_from or LOCAL)
    run.enter("reading the roles", 0)
    found = _attempt(run, partial(read_whole, run, store, name, int(backup.globals["bytes"])))
    if found != backup.globals["sha256"]:
        raise JobError(
            ErrorCode.ARTIFACT_DAMAGED,
            f"The roles beside the artifact, {store.address(name)}, are damaged: put the file back from a copy.",
        )


def _worst(problems: list[JobError]) -> JobError:
    """What to say of a backup that no copy gave: damage only where every copy is known to be damaged or gone."""
    lost = {ErrorCode.ARTIFACT_MISSING, ErrorCode.ARTIFACT_DAMAGED}
    return next((error for error in problems if error.code not in lost), problems[0])


def choose_copy(run: job_runner.JobRun, backup: Backup) -> None:
    """Have the backup read from a copy that is whole: where there are several, the first whose sha256 is right.

    A copy that is damaged or gone is noted, one that cannot be reached is passed over. Raises JobError when none is
    left.
    """
    copies = good_copies(backup)
    if len(copies) < 2:
        backup.reads_from = copies[0].store if copies else ""
        return
    problems = []
    for each in copies:
        run.enter(f"checking the copy in {each.store}", 0)
        try:
            require_written(run, backup, each)
        except JobError as error:
            problems.append(error)
            continue
        backup.reads_from = each.store
        return
    raise _worst(problems)


def _attempt(run: job_runner.JobRun, work: Callable[[], T]) -> T:
    """Run the work in a thread, as a step that may fail: its JobError is raised and does not stop the job.

    There may be another store or copy to try.
    """

    def guarded() -> tuple[T | None, JobError | None]:
        try:
            return work(), None
        except JobError as error:
            return None, error

    ((result, error),) = run.wait_for(guarded)
    if error is not None:
        raise error
    return cast("T", result)


def require_there(run: job_runner.JobRun, backup: Backup) -> None:
    """Raises JobError unless the manifest is the one that was written and the artifact can be opened."""

    def look() -> None:
        storage.check_manifest(backup.artifact, backup.manifest_sha256, backup.reads_from)
        storage.open_artifact(backup.artifact, backup.reads_from).close()

    _attempt(run, look)


def require_written(run: job_runner.JobRun, backup: Backup, each: BackupCopy) -> None:
    """Read all files of one copy and note what is found. Raises JobError unless all of it is what was written."""
    try:
        store = stores.open_store(each.store)
        _attempt(run, partial(storage.check_manifest, backup.artifact, backup.manifest_sha256, each.store))
        for name, sha256 in _files_of(backup):
            found = _attempt(run, partial(read_whole, run, store, name, backup.bytes or 0))
            if found != sha256:
                raise JobError(
                    ErrorCode.ARTIFACT_DAMAGED, f"{store.address(name)} is damaged: its sha256 is not what was written."
                )
    except JobError as error:
        if error.code in {ErrorCode.ARTIFACT_MISSING, ErrorCode.ARTIFACT_DAMAGED}:
            catalogue.note_copy_damaged(each, error.sentence)
        logger.warning("The copy of %s in %s is passed over: %s", backup, each.store, error.sentence)
        raise
    catalogue.note_copy_read(each)


def good_copies(backup: Backup) -> list[BackupCopy]:
    """Where the backup can be read, the nearest first, as far as is known; all of them when none is good."""
    copies = {each.store: each for each in backup.copies.filter(state=State.DONE)}
    ordered = [copies[name] for name in stores.order_stores(list(copies))]
    return [each for each in ordered if each.is_good] or ordered


def find_readable(backup: Backup) -> str:
    """The store of the first copy that is good and whose store answers, for a download. Raises JobError."""
    first: JobError | None = None
    for each in good_copies(backup):
        try:
            if stores.open_store(each.store).has(backup.artifact):
                return each.store
        except JobError as error:
            first = first or error
    if first is not None:
        raise first
    return ""


def sweep_spool() -> int:
    """Remove what waited for remote stores and does not any more; how many files."""
    spool = stores.spool()
    if not spool.directory.is_dir():
        return 0
    swept = 0
    for path in spool.directory.rglob("*"):
        name = str(path.relative_to(spool.directory))
        artifact = name.removesuffix(stores.PART).removesuffix(storage.MANIFEST)
        if artifact.endswith(storage.GLOBALS_ENDING):
            artifact = artifact.removesuffix(storage.GLOBALS_ENDING) + storage.ENDING
        if path.is_file() and not _is_waiting(artifact):
            path.unlink(missing_ok=True)
            swept += 1
    return swept


def _is_waiting(artifact: str) -> bool:
    waiting = Backup.objects.filter(artifact=artifact)
    return waiting.filter(state__in=ACTIVE_STATES).exists() or waiting.filter(copies__state__in=ACTIVE_STATES).exists()


def _files_of(backup: Backup) -> list[tuple[str, str]]:
    """(name, sha256) of the files that the manifest describes."""
    files = [(backup.artifact, backup.sha256)]
    if backup.globals:
        files.append((str(backup.globals["artifact"]), str(backup.globals["sha256"])))
    return files


def _lay_out(run: job_runner.JobRun, backup: Backup, but_not: str) -> DirectoryStore:
    """A directory of this machine with the backup's files, whole: one they are in, else the spool. Raises JobError."""
    names = [name for name, _ in _files_of(backup)] + [backup.artifact + storage.MANIFEST]
    spool = stores.spool()
    if all(spool.has(name) for name in names):
        return spool
    first: JobError | None = None
    for each in good_copies(backup):
        if each.store == but_not:
            continue
        try:
            store = stores.open_store(each.store)
            if isinstance(store, DirectoryStore):
                run.enter(f"checking the copy in {each.store}", 0)
                require_written(run, backup, each)
                return store
            for name in names:
                run.enter(f"fetching from {each.store}", 0)
                _attempt(run, partial(_fetch, run, store, name, spool))
            _require_fetched(run, backup, spool, each)
            return spool
        except JobError as error:
            if error.code not in TRY_ANOTHER:
                raise
            first = first or error
    raise first or JobError(
        ErrorCode.ARTIFACT_MISSING, f"There is no other copy of backup {backup.pk} to copy from: take a new backup."
    )


def _fetch(run: job_runner.JobRun, store: Store, name: str, spool: DirectoryStore) -> None:
    with store.open(name) as source, spool.new_file(name) as new:
        count = 0
        try:
            while data := source.read(COPY_BYTES):
                run.require_going_on()
                new.file.write(data)
                count += len(data)
                run.see_bytes(count)
        except OSError as error:
            raise explain_store_error(error, store.address(name)) from None
        new.seal()


def _require_fetched(run: job_runner.JobRun, backup: Backup, spool: DirectoryStore, each: BackupCopy) -> None:
    """Raises JobError, and notes it, unless what was fetched is what was written."""
    for name, sha256 in _files_of(backup):
        found = _attempt(run, partial(read_whole, run, spool, name, spool.path(name).stat().st_size))
        if found != sha256:
            sentence = f"{stores.open_store(each.store).address(name)} is damaged: its sha256 is not what was written."
            catalogue.note_copy_damaged(each, sentence)
            spool.delete(name)
            raise JobError(ErrorCode.ARTIFACT_DAMAGED, sentence)


def _put(run: job_runner.JobRun, path: Path, name: str, target: Store) -> None:
    try:
        with path.open("rb") as file:
            target.put(name, _Watched(file, path.stat().st_size, run))  # type: ignore[arg-type]
    except OSError as error:
        raise explain_store_error(error, target.address(name)) from None


class _Watched:
    """A file whose reading is shown as the job's progress, and ends with an OSError when the job is to stop."""

    def __init__(self, file: IO[bytes], size: int, run: job_runner.JobRun) -> None:
        self._file, self.size, self._run = file, size, run

    def read(self, size: int = -1) -> bytes:
        self._run.require_going_on()
        data = self._file.read(size)
        at = self._file.tell()
        self._run.see_bytes(at)
        self._run.show(self._run.phase, min(99, 100 * at // max(1, self.size)))
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    @property
    def closed(self) -> bool:
        return self._file.closed

    def close(self) -> None:
        return
