"""Why something asked of the workflow was not done."""

from __future__ import annotations

from readiness.models import ItemState


class WorkflowError(Exception):
    """What was asked for is not possible; the message is one sentence for the person who asked."""


class ConflictError(WorkflowError):
    """Somebody else was first: ``current`` is what is there now, ``seen_version`` what the person had seen."""

    def __init__(self, current: ItemState, seen_version: int) -> None:
        super().__init__("Somebody changed this item while you looked at it. Nothing of yours was saved.")
        self.current, self.seen_version = current, seen_version
