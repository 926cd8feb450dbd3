"""Running probes one by one and side by side."""

import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from readiness.probes import runner
from readiness.probes.base import ErrorReason, ProbeResult, Status, Target, TargetOptions
from readiness.probes.runner import Job, run_batch, run_probe

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class ClockProbe:
    """Observes for as long as the label says, and passes."""

    kind: str = "clock"
    running: int = 0
    most_running: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()

    def parse_target(self, text: str, options: TargetOptions) -> Target:
        return Target(label=text)

    def observe(self, target: Target) -> str:
        with self.lock:
            self.running += 1
            self.most_running = max(self.running, self.most_running)
        time.sleep(float(target.label))
        with self.lock:
            self.running -= 1
        return target.label

    def judge(self, target: Target, observation: str, now: datetime) -> ProbeResult:
        return ProbeResult(self.kind, target.label, Status.PASS, data={"now": now.isoformat()})


class BrokenProbe(ClockProbe):
    """Breaks with a secret in its exception."""

    def observe(self, target: Target) -> Any:
        password = "".join(("hun", "ter2"))
        raise RuntimeError(f"could not use password {password}")


def test_it_returns_results_in_the_order_of_the_jobs() -> None:
    probe = ClockProbe()
    jobs = [Job(probe, Target(label=text)) for text in ("0.2", "0.0", "0.1")]
    assert [result.target for result in run_batch(jobs, concurrency=3, now=NOW)] == ["0.2", "0.0", "0.1"]


def test_it_runs_no_more_at_a_time_than_told() -> None:
    probe = ClockProbe()
    run_batch([Job(probe, Target(label="0.05")) for _ in range(6)], concurrency=2, now=NOW)
    assert probe.most_running == 2


def test_it_gives_the_judge_the_time_it_was_given() -> None:
    assert run_probe(ClockProbe(), Target(label="0"), NOW).data == {"now": NOW.isoformat()}


def test_it_lets_a_target_that_hangs_cost_only_its_own_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "GRACE_SECONDS", 0.1)
    probe = ClockProbe()
    jobs = [Job(probe, Target(label="30", timeout_seconds=0.2)), *[Job(probe, Target(label="0.01"))] * 20]
    started = time.monotonic()
    results = run_batch(jobs, concurrency=2, now=NOW)
    assert time.monotonic() - started < 20
    assert (results[0].status, results[0].reason) == (Status.ERROR, ErrorReason.TIMEOUT)
    assert {result.status for result in results[1:]} == {Status.PASS}


def test_it_turns_a_broken_probe_into_a_result_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        result = run_probe(BrokenProbe(), Target(label="x"), NOW)
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.INTERNAL)
    assert "RuntimeError" in caplog.text and "observe" in caplog.text
    assert "hunter2" not in caplog.text + str(result)


def test_it_hands_on_what_was_observed() -> None:
    handed_on: list[str] = []
    run_batch([Job(ClockProbe(), Target(label=text), handed_on.append) for text in ("0.0", "0.01")], now=NOW)
    assert sorted(handed_on) == ["0.0", "0.01"]


def test_it_keeps_a_result_when_what_follows_it_breaks(caplog: pytest.LogCaptureFixture) -> None:
    def break_off(observation: str) -> None:
        raise OSError("disk of " + "".join(("hun", "ter2")))

    with caplog.at_level(logging.ERROR):
        (result,) = run_batch([Job(ClockProbe(), Target(label="0"), break_off)], now=NOW)
    assert result.status is Status.PASS
    assert "OSError" in caplog.text and "break_off" in caplog.text
    assert "hunter2" not in caplog.text


def test_it_hands_on_nothing_of_a_probe_that_broke() -> None:
    handed_on: list[str] = []
    run_batch([Job(BrokenProbe(), Target(label="0"), handed_on.append)], now=NOW)
    assert handed_on == []


def test_it_has_nothing_to_say_about_no_jobs() -> None:
    assert run_batch([], concurrency=4, now=NOW) == []
