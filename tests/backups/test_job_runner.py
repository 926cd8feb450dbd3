"""A job that runs: it renews, heeds a cancel, stops its works, waits out a restart of the portal's database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import OperationalError

from backups import catalogue, job_runner
from backups.errors import ErrorCode, JobError
from backups.job_runner import running
from backups.models import Backup, State
from readiness.models import Database


@pytest.fixture
def job(database: Database) -> Backup:
    claimed = catalogue.claim(Backup, catalogue.request_backup(database).pk)
    assert claimed is not None
    return claimed


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_runner, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(job_runner, "STOP_SECONDS", 0.2)


def ended(job: Backup) -> Backup:
    job.refresh_from_db()
    return job


def test_it_gives_the_results_of_all_works(job: Backup) -> None:
    with running(job) as run:
        assert run.wait_for(lambda: 1, lambda: "two") == [1, "two"]


def test_it_stops_the_other_works_when_one_fails(job: Backup) -> None:
    stopped = threading.Event()

    def fail() -> None:
        raise JobError(ErrorCode.LOCK_TIMEOUT, "A table is locked.")

    with running(job) as run, run.stopped_by(stopped.set):
        run.wait_for(lambda: stopped.wait(20), fail)
    assert stopped.is_set()
    assert (ended(job).state, job.error, job.error_code) == (State.FAILED, "A table is locked.", "lock_timeout")
    assert job.is_swept


def test_it_gives_the_failure_that_came_first_as_the_reason(job: Backup) -> None:
    first_failed = threading.Event()

    def follow() -> None:
        first_failed.wait(20)
        time.sleep(0.1)
        raise JobError(ErrorCode.TOOL_FAILED, "The snapshot is gone.")

    def lead() -> None:
        first_failed.set()
        raise JobError(ErrorCode.PERMISSION, "The role may not read.")

    with running(job) as run:
        run.wait_for(follow, lead)
    assert ended(job).error == "The role may not read."


def test_it_renews_and_reports_while_it_waits(job: Backup) -> None:
    before = job.lease_expires_at
    heard: list[tuple[str, int | None]] = []
    with running(job, lambda phase, percent: heard.append((phase, percent))) as run:
        run.show("dumping", 40)
        run.wait_for(lambda: time.sleep(0.2))
        ended(job)
    assert before is not None
    assert job.lease_expires_at is not None
    assert job.lease_expires_at > before
    assert (job.phase, job.percent) == ("dumping", 40)
    assert heard == [("dumping", 40)]


def test_it_heeds_a_cancel(job: Backup) -> None:
    stopped = threading.Event()
    with running(job) as run, run.stopped_by(stopped.set):
        catalogue.request_cancel(job)
        run.wait_for(lambda: stopped.wait(20))
    assert ended(job).status == "cancelled"


def test_it_stops_when_the_job_was_given_up(job: Backup) -> None:
    with running(job) as run:
        Backup.objects.update(state=State.FAILED, error="The reaper was here.")
        run.enter("dumping")
        pytest.fail("it went on")
    assert ended(job).error == "The reaper was here."


def test_it_leaves_the_sweeping_to_the_reaper_when_a_work_does_not_stop(job: Backup) -> None:
    never = threading.Event()
    with running(job) as run:
        catalogue.request_cancel(job)
        run.wait_for(lambda: never.wait(20))
    never.set()
    assert (ended(job).status, job.is_swept) == ("cancelled", False)


def test_it_leaves_what_was_opened_too_late(job: Backup) -> None:
    left, entered = threading.Event(), threading.Event()

    @contextmanager
    def slow() -> Iterator[None]:
        entered.wait(20)
        try:
            yield
        finally:
            left.set()

    with running(job) as run:
        catalogue.request_cancel(job)
        with run.opened(slow()):
            pytest.fail("it was cancelled before")
    assert not left.is_set()
    entered.set()
    assert left.wait(20)


def test_it_leaves_what_was_opened_in_time(job: Backup) -> None:
    steps: list[str] = []

    @contextmanager
    def noted() -> Iterator[str]:
        steps.append("in")
        try:
            yield "value"
        finally:
            steps.append("out")

    with running(job) as run, run.opened(noted()) as value:
        steps.append(value)
        raise JobError(ErrorCode.TOOL_FAILED, "It failed.")
    assert steps == ["in", "value", "out"]
    assert ended(job).error == "It failed."


def test_it_cleans_up_to_the_end_though_it_is_cancelled(job: Backup) -> None:
    done: list[bool] = []

    def clean_up() -> None:
        time.sleep(0.2)
        done.append(True)

    with running(job) as run:
        catalogue.request_cancel(job)
        run.finish(clean_up)
    assert done == [True]


@pytest.mark.django_db(transaction=True)
def test_it_waits_out_a_restart_of_the_portals_database(job: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = catalogue.renew, iter([True] * 3)

    def renew(*arguments: object) -> catalogue.Renewal:
        if next(failures, False):
            raise OperationalError("server closed the connection")
        return real(*arguments)  # type: ignore[arg-type]

    def keep() -> str:
        time.sleep(0.3)
        return "kept"

    monkeypatch.setattr(catalogue, "renew", renew)
    with running(job) as run:
        assert run.wait_for(keep) == ["kept"]
    attempts = iter([OperationalError("gone"), None])

    def write() -> str:
        if error := next(attempts):
            raise error
        return "written"

    assert run.persist(write) == "written"


def test_it_records_a_time_out_of_the_queue_and_passes_it_on(job: Backup) -> None:
    with pytest.raises(SystemExit), running(job) as run:
        run.phase = "dumping"
        raise SystemExit
    assert (ended(job).state, job.error_code) == (State.FAILED, ErrorCode.STOPPED)
    assert "ran out of time or was shut down while dumping" in job.error
