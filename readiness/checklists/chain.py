"""Opens the snapshots that the portal keeps, with its own key, and follows the chain of an environment; reads only.

A chain shows by itself what was altered, swapped or taken out of its middle. That its end was cut off, only others show
who remember it.
"""

from __future__ import annotations

from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db.models import Q, QuerySet

from portal import audit
from readiness.checklists.snapshots import Snapshot, SnapshotError, check_chain, open_snapshot
from readiness.models import DecisionSnapshot, Environment, Meeting

# What the audit trail calls a decision that was frozen; its detail holds the hash of the snapshot.
SEALED = "decided on"


def open_row(row: DecisionSnapshot, key: Ed25519PublicKey) -> Snapshot:
    """The sealed snapshot of one row. Raises SnapshotError when it was altered, or the row says something else."""
    try:
        snapshot = open_snapshot(row.raw, key)
    except SnapshotError as error:
        raise SnapshotError(f"Snapshot {row.number} is not what was sealed. {error}") from None
    shown = (row.number, row.hash, row.decision, row.environment_slug)
    document = snapshot.document
    sealed = (snapshot.number, snapshot.hash, document["decision"]["outcome"], document["environment"]["slug"])
    if shown != sealed:
        raise SnapshotError(f"Snapshot {row.number} is listed as something else than what was sealed.")
    return snapshot


def list_rows(slug: str) -> QuerySet[DecisionSnapshot]:
    """The snapshots of every environment that has or had that slug, chain by chain, oldest first.

    An environment that was renamed keeps one chain, and one that is gone is known by its snapshots.
    """
    had_it = DecisionSnapshot.objects.filter(environment_slug=slug).values("environment_id")
    has_it = Environment.objects.filter(slug=slug).values("id")
    rows = DecisionSnapshot.objects.filter(Q(environment_id__in=had_it) | Q(environment_id__in=has_it))
    return rows.order_by("environment_id", "number")


def check_environment(slug: str, key: Ed25519PublicKey, kept: Snapshot | None = None) -> int:
    """How many snapshots the chain of that environment has, all of them whole, none left out at its end.

    What else remembers them is asked too: the meetings and the audit trail, and ``kept``, a snapshot from elsewhere.
    Raises SnapshotError for the first that is altered, missing or out of place. Where several environments had the slug
    one after another, each has a chain of its own.
    """
    chains: dict[int, list[Snapshot]] = {}
    for row in list_rows(slug).select_related("meeting").iterator(chunk_size=50):
        meeting = getattr(row, "meeting", None)
        if meeting is not None and meeting.environment_id != row.environment_id:
            raise SnapshotError(f"The chain is broken: snapshot {row.number} is of another environment’s meeting.")
        chains.setdefault(row.environment_id, []).append(open_row(row, key))
    for chain in chains.values():
        check_chain(chain)
    _require_what_is_remembered(slug, {snapshot.hash for chain in chains.values() for snapshot in chain}, kept)
    return sum(map(len, chains.values()))


def _require_what_is_remembered(slug: str, hashes: set[str], kept: Snapshot | None) -> None:
    frozen = Meeting.objects.filter(environment__slug=slug, frozen_at__isnull=False).order_by("frozen_at")
    for at in frozen.filter(snapshot__isnull=True).values_list("frozen_at", flat=True):
        raise SnapshotError(f"The chain is cut off: the snapshot of the meeting of {_word(at)} is missing.")
    for at, detail in audit.list_details(SEALED, slug):
        if detail.get("hash") not in hashes:
            raise SnapshotError(
                f"The chain is cut off: a snapshot that the audit trail names at {_word(at)} is missing."
            )
    if kept is not None and kept.hash not in hashes:
        raise SnapshotError(
            f"The chain is cut off or another one: it does not hold snapshot {kept.number} of the file."
        )


def _word(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
