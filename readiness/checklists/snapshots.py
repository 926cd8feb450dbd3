"""Seals the record of a decision and opens it again: canonical JSON, a hash chain, an Ed25519 signature; pure.

A snapshot is one line: {"document":D,"hash":H,"signature":S} in canonical JSON, and a line feed. H is the SHA-256 of
the bytes of D, S their Ed25519 signature, both in lower-case hexadecimal digits. D names the key that signed it, its
number in its environment's chain, and the hash of the snapshot before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from readiness.checklists import canonical_json
from readiness.checklists.canonical_json import CanonicalError

FORMAT = "preflight-snapshot"
VERSION = 1
LONGEST_BYTES = 16_000_000


class SnapshotError(Exception):
    """A snapshot is not what the portal sealed, or not what is asked for; the message is one sentence."""


@dataclass(frozen=True)
class Snapshot:
    """One sealed snapshot: what it says, its hash in hexadecimal digits, and its exact bytes."""

    document: Mapping[str, Any]
    hash: str
    raw: bytes

    @property
    def number(self) -> int:
        """Its place in the chain of its environment, from 1."""
        return int(self.document["number"])

    @property
    def previous(self) -> str | None:
        """The hash of the snapshot before it, None for the first."""
        found: str | None = self.document["previous"]
        return found


def fingerprint(key: Ed25519PublicKey) -> str:
    """What a snapshot calls the key that signed it: the SHA-256 of its 32 bytes, in hexadecimal digits."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def seal(content: Mapping[str, Any], *, number: int, previous: str | None, key: Ed25519PrivateKey) -> Snapshot:
    """Signs ``content`` as the snapshot ``number`` of its chain, which follows the one with the hash ``previous``.

    Raises CanonicalError when ``content`` has no canonical spelling.
    """
    document = {
        **content,
        "format": FORMAT,
        "version": VERSION,
        "number": number,
        "previous": previous,
        "key": fingerprint(key.public_key()),
    }
    signed = canonical_json.encode(document)
    digest = hashlib.sha256(signed).hexdigest()
    sealed = {"document": document, "hash": digest, "signature": key.sign(signed).hex()}
    return Snapshot(document, digest, canonical_json.encode(sealed) + b"\n")


def open_snapshot(raw: bytes, key: Ed25519PublicKey) -> Snapshot:
    """What ``raw`` says, once it is sure that the owner of ``key`` sealed exactly these bytes; else SnapshotError."""
    sealed = _read(raw)
    document = sealed["document"]
    signed = canonical_json.encode(document)
    if document.get("key") != fingerprint(key):
        raise SnapshotError("It was signed with another key than this one, or what it says of its key was altered.")
    try:
        key.verify(bytes.fromhex(sealed["signature"]), signed)
    except InvalidSignature:
        raise SnapshotError("It was altered: its signature does not fit what it says.") from None
    if hashlib.sha256(signed).hexdigest() != sealed["hash"]:
        raise SnapshotError("It was altered: its hash is not that of what it says.")
    if document.get("format") != FORMAT or document.get("version") != VERSION:
        raise SnapshotError("It is signed, but it is no snapshot of a version that is known here.")
    return Snapshot(document, sealed["hash"], raw)


def read_unverified(raw: bytes) -> Snapshot:
    """What ``raw`` says, whoever sealed it; for pages that show more than the seal. Raises SnapshotError."""
    sealed = _read(raw)
    return Snapshot(sealed["document"], sealed["hash"], raw)


def check_chain(snapshots: Sequence[Snapshot]) -> None:
    """Raises SnapshotError unless ``snapshots`` are one chain from its first on, oldest first, with none left out."""
    hash_before: str | None = None
    for place, snapshot in enumerate(snapshots, start=1):
        if snapshot.number != place:
            raise SnapshotError(f"The chain is broken: snapshot {place} is missing, number {snapshot.number} follows.")
        if snapshot.previous != hash_before:
            raise SnapshotError(f"The chain is broken: snapshot {place} does not follow the one before it.")
        hash_before = snapshot.hash


def _read(raw: bytes) -> Mapping[str, Any]:
    if len(raw) > LONGEST_BYTES:
        raise SnapshotError(f"It is no snapshot: it has more than {LONGEST_BYTES} bytes.")
    if not raw.endswith(b"\n"):
        raise SnapshotError("It is no snapshot, or was altered: it does not end with a line feed.")
    try:
        sealed = canonical_json.decode(raw[:-1])
    except CanonicalError as error:
        raise SnapshotError(f"It is no snapshot, or was altered: {error}.") from None
    if not isinstance(sealed, dict) or set(sealed) != {"document", "hash", "signature"}:
        raise SnapshotError("It is no snapshot, or was altered: it wants the members document, hash and signature.")
    has_forms = _is_hex(sealed["hash"], 32) and _is_hex(sealed["signature"], 64)
    if not has_forms or not isinstance(sealed["document"], dict):
        raise SnapshotError("It is no snapshot, or was altered: document, hash or signature has not its form.")
    return sealed


def _is_hex(text: Any, byte_count: int) -> bool:
    return isinstance(text, str) and len(text) == 2 * byte_count and set(text) <= set("0123456789abcdef")
