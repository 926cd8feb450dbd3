"""Keeps what is dear to build, and builds it once however many threads ask for it first. Reads and writes nothing."""

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

GivenP = ParamSpec("GivenP")
BuiltT = TypeVar("BuiltT")


def build_once(keep: int) -> Callable[[Callable[GivenP, BuiltT]], Callable[GivenP, BuiltT]]:
    """Decorate a builder as functools.lru_cache does, `keep` results at most, one build at a time.

    A batch of probes starts its threads at once: with lru_cache alone, each of them builds for itself.
    """

    def decorate(build: Callable[GivenP, BuiltT]) -> Callable[GivenP, BuiltT]:
        kept = functools.lru_cache(maxsize=keep)(build)
        lock = threading.Lock()

        @functools.wraps(build)
        def get(*args: GivenP.args, **kwargs: GivenP.kwargs) -> BuiltT:
            with lock:
                return kept(*args, **kwargs)  # type: ignore[arg-type]

        return get

    return decorate
