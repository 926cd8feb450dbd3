"""What is dear to build is built once, also when many threads want it at the same moment."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from readiness.probes.build_once import build_once


def test_it_builds_once_for_threads_that_ask_at_the_same_time() -> None:
    built: list[str] = []
    start = threading.Barrier(8)

    @build_once(keep=4)
    def build(name: str) -> list[str]:
        time.sleep(0.01)  # long enough for the other threads to ask meanwhile
        built.append(name)
        return [name]

    def ask() -> list[str]:
        start.wait()
        return build("roots")

    with ThreadPoolExecutor(8) as pool:
        answers = [each.result() for each in [pool.submit(ask) for _ in range(8)]]
    assert built == ["roots"]
    assert all(answer is answers[0] for answer in answers)


def test_it_builds_again_after_a_failure() -> None:
    tries: list[int] = []

    @build_once(keep=1)
    def build() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("not yet")
        return "built"

    with pytest.raises(ValueError, match="not yet"):
        build()
    assert build() == "built"
