"""Opens the snapshots that the portal keeps, with its own key, and follows the chain of an environment; reads only."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from readiness.checklists.snapshots import Snapshot, SnapshotError, check_chain, open_snapshot
from readiness.models import DecisionSnapshot


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


def check_environment(slug: str, key: Ed25519PublicKey) -> int:
    """How many snapshots the chain of that environment has, all of them whole, oldest first.

    Raises SnapshotError for the first that is altered, missing or out of place. An environment that is gone is known by
    its slug; where several had it one after another, each has a chain of its own.
    """
    chains: dict[int, list[Snapshot]] = {}
    rows = DecisionSnapshot.objects.filter(environment_slug=slug).order_by("environment_id", "number")
    for row in rows.iterator(chunk_size=50):
        chains.setdefault(row.environment_id, []).append(open_row(row, key))
    for chain in chains.values():
        check_chain(chain)
    return sum(map(len, chains.values()))
