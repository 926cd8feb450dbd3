"""Observes the endpoints of one target at the same time, so that a slow one does not use up the time of the others."""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")
SeenT = TypeVar("SeenT")


def observe_side_by_side(observe: Callable[[ItemT], SeenT], items: Sequence[ItemT]) -> tuple[SeenT, ...]:
    """Return `observe(item)` for each of `items`, in order; one alone costs no thread. Raises what the first raised."""
    if len(items) <= 1:
        return tuple(observe(item) for item in items)
    seen: dict[int, SeenT] = {}
    raised: dict[int, Exception] = {}

    def work(position: int, item: ItemT) -> None:
        try:
            seen[position] = observe(item)
        except Exception as error:  # handed to the caller's thread, where the runner catches it
            raised[position] = error

    threads = [threading.Thread(target=work, args=entry, daemon=True) for entry in enumerate(items)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[min(raised)]
    return tuple(seen[position] for position in range(len(items)))
