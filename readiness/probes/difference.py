"""What changed from one result's findings to the next; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FindingRow = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One finding that is new, gone or says something else; ``before`` or ``after`` is None when it was not there."""

    before: FindingRow | None
    after: FindingRow | None


def compare_findings(before: Sequence[FindingRow], after: Sequence[FindingRow]) -> list[Change]:
    """The changes between two lists of findings, in the order of the later one, what is gone last.

    Findings of one id are paired in their order: an environment with three endpoints has three of each.
    """
    waiting: dict[str, list[FindingRow]] = defaultdict(list)
    for row in before:
        waiting[row["id"]].append(row)
    changes = []
    for row in after:
        same = waiting[row["id"]].pop(0) if waiting[row["id"]] else None
        if same is None or (same["status"], same["summary"]) != (row["status"], row["summary"]):
            changes.append(Change(same, row))
    changes += [Change(row, None) for rows in waiting.values() for row in rows]
    return changes
