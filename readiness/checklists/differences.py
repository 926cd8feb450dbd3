"""What changed between two records of one environment, and what tells two environments apart; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ItemChange:
    """One item in two records: how it stood in each; None where the record has no such item."""

    key: str
    section: str
    title: str
    severity: str
    state_before: str | None
    state_after: str | None
    text: str = ""


@dataclass(frozen=True)
class Changes:
    """What is different in the second record. ``moved`` are items that changed and are open before and after."""

    verdict_before: str
    verdict_after: str
    done: tuple[ItemChange, ...]
    fell_back: tuple[ItemChange, ...]
    moved: tuple[ItemChange, ...]
    added: tuple[ItemChange, ...]
    removed: tuple[ItemChange, ...]
    waivers_added: tuple[Mapping[str, Any], ...]
    waivers_removed: tuple[Mapping[str, Any], ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing that weighs is different."""
        lists = (self.done, self.fell_back, self.moved, self.added, self.removed)
        waivers = (self.waivers_added, self.waivers_removed)
        return self.verdict_before == self.verdict_after and not any(map(len, (*lists, *waivers)))


@dataclass(frozen=True)
class Contrast:
    """Two environments beside each other, of items that weigh in the verdict.

    ``only_first`` are settled in the first and open in the second, ``only_second`` the other way round, ``neither``
    open in both. An item counts as settled when it is done or waived. One that an environment does not have is open in
    none: its state there is None.
    """

    only_first: tuple[ItemChange, ...]
    only_second: tuple[ItemChange, ...]
    neither: tuple[ItemChange, ...]


def compare_records(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """What became done, fell back, moved, came and went between two records of one environment."""
    old, new = _by_item(before["items"]), _by_item(after["items"])
    both = [(old[key], new[key]) for key in new if key in old]
    changed = [(one, other) for one, other in both if one["state"] != other["state"]]
    waivers_before = {_identify(waiver): waiver for waiver in before["waivers"]}
    waivers_after = {_identify(waiver): waiver for waiver in after["waivers"]}
    return Changes(
        verdict_before=before["gate"]["verdict"],
        verdict_after=after["gate"]["verdict"],
        done=tuple(_pair(one, other) for one, other in changed if other["is_done"] and not one["is_done"]),
        fell_back=tuple(_pair(one, other) for one, other in changed if one["is_done"] and not other["is_done"]),
        moved=tuple(_pair(one, other) for one, other in changed if one["is_done"] == other["is_done"]),
        added=tuple(_pair(None, item) for key, item in new.items() if key not in old),
        removed=tuple(_pair(item, None) for key, item in old.items() if key not in new),
        waivers_added=tuple(waiver for key, waiver in waivers_after.items() if key not in waivers_before),
        waivers_removed=tuple(waiver for key, waiver in waivers_before.items() if key not in waivers_after),
    )


def contrast_environments(first: Mapping[str, Any], second: Mapping[str, Any]) -> Contrast:
    """What one environment has settled and the other has not, must items before should ones."""
    one, other = _by_item(first["items"]), _by_item(second["items"])
    pairs = [(one.get(key), other.get(key)) for key in dict.fromkeys([*one, *other])]
    weighing = [pair for pair in pairs if any(item and item["severity"] != "optional" for item in pair)]
    # Sorting keeps the order of the template within each severity.
    weighing.sort(key=lambda pair: all(item is None or item["severity"] != "must" for item in pair))
    return Contrast(
        only_first=tuple(_pair(a, b) for a, b in weighing if _is_open(b) and not _is_open(a)),
        only_second=tuple(_pair(a, b) for a, b in weighing if _is_open(a) and not _is_open(b)),
        neither=tuple(_pair(a, b) for a, b in weighing if _is_open(a) and _is_open(b)),
    )


def word_contrast(names: tuple[str, str], are_ready: tuple[bool, bool], contrast: Contrast) -> str:
    """What tells two environments apart, in one sentence."""
    first, second = names
    if all(are_ready):
        return "Both are ready."
    if any(are_ready):
        ready, other = (first, second) if are_ready[0] else (second, first)
        count = len(contrast.only_first if are_ready[0] else contrast.only_second)
        if not count:
            return f"{ready} is ready, {other} is not."
        which = "this one" if count == 1 else f"these {count}"
        return f"{ready} is ready, {other} is not: {which}."
    counts = f"{len(contrast.only_second)} open in {first} only, {len(contrast.only_first)} in {second} only"
    return f"Neither is ready: {counts}, {len(contrast.neither)} in both."


def _by_item(items: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {item["item"]: item for item in items}


def _identify(waiver: Mapping[str, Any]) -> tuple[str, str, str]:
    return waiver["item"], waiver["reason"], str(waiver["expires_on"])


def _is_open(item: Mapping[str, Any] | None) -> bool:
    return item is not None and item["severity"] != "optional" and not item["is_done"] and not item["is_waived"]


def _pair(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> ItemChange:
    known = after if after is not None else before
    assert known is not None  # noqa: S101  one of the two is an item
    evidence = known["evidence"]
    return ItemChange(
        key=known["item"],
        section=known["section"],
        title=known["title"],
        severity=known["severity"],
        state_before=None if before is None else before["state"],
        state_after=None if after is None else after["state"],
        text=known["note"] if evidence is None else evidence["text"],
    )
