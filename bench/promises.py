"""Holds what was measured to what was promised: prints a line each, remembers what was missed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping


class Promises:
    """The promises of one script; `finish` ends it with exit status 1 when one was missed."""

    def __init__(self, title: str) -> None:
        self._missed = 0
        print(f"{title} (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)", flush=True)

    def at_least(self, what: str, measured: float, promised: float, unit: str = "") -> None:
        self._hold(what, _word(measured, unit), f"at least {_word(promised, unit)}", is_kept=measured >= promised)

    def at_most(self, what: str, measured: float, promised: float, unit: str = "") -> None:
        self._hold(what, _word(measured, unit), f"at most {_word(promised, unit)}", is_kept=measured <= promised)

    def note(self, text: str) -> None:
        """Something to know beside the promises: an absolute figure, or why a peer is absent."""
        print(f"  {text}", flush=True)

    def finish(self) -> None:
        if self._missed:
            raise SystemExit(1)

    def _hold(self, what: str, measured: str, promised: str, *, is_kept: bool) -> None:
        self._missed += not is_kept
        print(f"  {what}: {measured} (promised: {promised}): {'kept' if is_kept else 'missed'}", flush=True)


def _word(number: float, unit: str) -> str:
    return f"{number:,.0f}{unit}" if number >= 100 else f"{number:.3g}{unit}"


def take_turns(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Measures every way once a round, one after the other, so that all meet the same load; the least of each counts.

    Other work on the machine only ever adds to a cost, so the least is nearest to the truth.
    """
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            costs[name].append(measure())
    return {name: min(each) for name, each in costs.items()}
