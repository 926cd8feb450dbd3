"""Runs probes: one, or many side by side. Reads targets, returns results; the only broad `except` of the probes."""

import dataclasses
import logging
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from readiness.probes.base import ErrorReason, Probe, ProbeResult, Target, make_error_result

logger = logging.getLogger(__name__)

# A probe keeps its own deadline; this much later the runner stops waiting for one that does not.
GRACE_SECONDS = 1.0
DEFAULT_CONCURRENCY = 16


@dataclass(frozen=True, slots=True)
class Job:
    """One target to be probed by one probe. `on_observed` gets what was observed, in a thread of the runner's.

    What breaks in `on_observed` is logged and costs the result nothing.
    """

    probe: Probe[Any]
    target: Target
    on_observed: Callable[[Any], None] | None = None


@dataclass(frozen=True, slots=True)
class _Running:
    job: Job
    gives_up_at: float


def run_probe(probe: Probe[Any], target: Target, now: datetime) -> ProbeResult:
    """Observe and judge one target within its deadline. Never raises; inability is a result with a reason."""
    return run_batch([Job(probe, target)], concurrency=1, now=now)[0]


def run_batch(jobs: Iterable[Job], *, concurrency: int = DEFAULT_CONCURRENCY, now: datetime) -> list[ProbeResult]:
    """Run `jobs`, at most `concurrency` at a time, and return their results in the same order.

    A job that outlives its deadline gets the result `timeout`; its thread is left behind and its place given away,
    so that it costs its own time and nobody else's.
    """
    waiting = list(enumerate(jobs))
    results: dict[int, ProbeResult] = {}
    running: dict[int, _Running] = {}
    finished: queue.SimpleQueue[tuple[int, ProbeResult]] = queue.SimpleQueue()
    waiting.reverse()
    while waiting or running:
        while waiting and len(running) < max(1, concurrency):
            number, job = waiting.pop()
            running[number] = _Running(job, time.monotonic() + job.target.timeout_seconds + GRACE_SECONDS)
            _start_thread(number, job, now, finished)
        first_end = min(entry.gives_up_at for entry in running.values())
        try:
            number, result = finished.get(timeout=max(0.0, first_end - time.monotonic()))
            if running.pop(number, None) is not None:
                results[number] = result
        except queue.Empty:
            for number in [key for key, entry in running.items() if entry.gives_up_at <= time.monotonic()]:
                results[number] = _make_timeout_result(running.pop(number).job)
    return [results[number] for number in sorted(results)]


def _start_thread(number: int, job: Job, now: datetime, finished: "queue.SimpleQueue[tuple[int, ProbeResult]]") -> None:
    def work() -> None:
        finished.put((number, _observe_and_judge(job, now)))

    threading.Thread(target=work, name=f"probe-{job.probe.kind}-{number}", daemon=True).start()


def _observe_and_judge(job: Job, now: datetime) -> ProbeResult:
    started = time.monotonic()
    try:
        observation = job.probe.observe(job.target)
        result = job.probe.judge(job.target, observation, now)
        _hand_on(job, observation)
    except Exception as error:
        _log(f"{job.probe.kind} probe", error)
        result = make_error_result(
            job.probe.kind,
            job.target.label,
            ErrorReason.INTERNAL,
            f"The {job.probe.kind} probe itself broke ({type(error).__name__}).",
            "This is a fault of the portal, not of the target: its log has the place.",
        )
    return dataclasses.replace(result, duration_ms=round((time.monotonic() - started) * 1000))


def _hand_on(job: Job, observation: Any) -> None:
    if job.on_observed is None:
        return
    try:
        job.on_observed(observation)
    except Exception as error:
        _log(f"what follows the {job.probe.kind} probe", error)


def _log(what: str, error: Exception) -> None:
    # The text of an unknown exception may hold a secret: its type and its place are enough to find the fault.
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s broke: %s\n%s", what, type(error).__name__, frames)


def _make_timeout_result(job: Job) -> ProbeResult:
    result = make_error_result(
        job.probe.kind,
        job.target.label,
        ErrorReason.TIMEOUT,
        f"No result within {job.target.timeout_seconds:g} seconds.",
        "Check that the target answers, or give it more time.",
    )
    return dataclasses.replace(result, duration_ms=round((job.target.timeout_seconds + GRACE_SECONDS) * 1000))
