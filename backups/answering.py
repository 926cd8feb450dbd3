"""Notices that a server has gone silent under a job: a network that swallows everything ends no connection."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from backups import job_runner
from backups.errors import ErrorCode, JobError
from backups.servers import Server

ASK_SECONDS = 30.0
SILENT_SECONDS = 180.0
# Any other refusal is an answer: too many connections, say, or a server that is starting.
_SILENCE = re.compile(r"did not answer in time|nothing listens there|broke in the middle")


@contextmanager
def answering(run: job_runner.JobRun, server: Server) -> Iterator[None]:
    """During the block, end the job when the server has taken no new connection for SILENT_SECONDS."""
    stop = threading.Event()

    def ask() -> None:
        heard = time.monotonic()
        while not stop.wait(ASK_SECONDS):
            if _answers(server, f"{run.application_name} asks"[:63]):
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENT_SECONDS and not stop.is_set():
                run.trouble = JobError(
                    ErrorCode.CONNECTION_LOST,
                    f"The server {server.place.server} has not answered for {SILENT_SECONDS:.0f} seconds: "
                    "try again once the server and the network are stable.",
                )
                return

    thread = threading.Thread(target=ask, name="backup answering", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()


def _answers(server: Server, application_name: str) -> bool:
    try:
        server.connect(application_name).close()
    except JobError as error:
        return not _SILENCE.search(error.sentence)
    return True
