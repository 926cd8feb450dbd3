"""Verifies, lists and hands out the sealed snapshots of decisions; reads DecisionSnapshot rows and files.

stdout holds the answer, stderr sentences. Exit status: 0 what was sealed, 1 altered, 2 usage, 3 no key or no database.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from portal import keys
from portal.command_exits import BAD_NEWS, COULD_NOT_TELL, USAGE, database_errors_explained, refuse
from portal.keys import KeyFileError
from readiness.checklists.chain import check_environment, list_rows
from readiness.checklists.snapshots import LONGEST_BYTES, Snapshot, SnapshotError, open_snapshot
from readiness.models import DecisionSnapshot, Environment


class Command(BaseCommand):
    help = "Verifies, lists and writes the sealed snapshots of go/no-go decisions."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        verify = actions.add_parser("verify", help="say whether a file, or a whole chain, is what was sealed")
        verify.add_argument("file", nargs="?", type=Path, metavar="FILE")
        verify.add_argument(
            "--all",
            metavar="ENV",
            dest="environment",
            help="every snapshot kept of an environment; with a FILE that one must be among them",
        )
        verify.add_argument("--public-key", type=Path, metavar="F", help="a PEM file; the portal's own when left out")
        verify.add_argument("--json", action="store_true", help="print one JSON object")
        listed = actions.add_parser("list", help="list the snapshots of an environment")
        listed.add_argument("environment", metavar="ENV")
        listed.add_argument("--json", action="store_true", help="print JSON, one object a line")
        show = actions.add_parser("show", help="write one snapshot to stdout, exactly as it was sealed")
        show.add_argument("environment", metavar="ENV")
        show.add_argument("number", type=int, metavar="NUMBER")
        actions.add_parser("public-key", help="write the public key to stdout, in PEM")

    def handle(self, *args: Any, **options: Any) -> None:
        actions = {"verify": self._verify, "list": self._list, "show": self._show, "public-key": self._write_key}
        actions[options["action"]](options)

    def _verify(self, options: dict[str, Any]) -> None:
        file, slug = options["file"], options["environment"]
        if file is None and slug is None:
            refuse(self, "Give a FILE, --all ENV, or both.", USAGE)
        key = self._read_key(options["public_key"])
        kept = None if file is None else self._open_file(file, key, is_json=options["json"])
        if slug is not None:
            self._verify_chain(slug, key, kept, is_json=options["json"])
        elif kept is not None and options["json"]:
            self.stdout.write(json.dumps({"file": str(file), "ok": True, **_describe(kept)}))
        elif kept is not None:
            self.stdout.write(f"{file}: {_word(kept)} Signature and hash are right.")

    def _open_file(self, file: Path, key: Ed25519PublicKey, *, is_json: bool) -> Snapshot:
        try:
            with file.open("rb") as opened:
                raw = opened.read(LONGEST_BYTES + 1)
        except OSError as error:
            refuse(self, f"The file {file} cannot be read: {error.strerror}.", USAGE)
        try:
            return open_snapshot(raw, key)
        except SnapshotError as error:
            if is_json:
                self.stdout.write(json.dumps({"file": str(file), "ok": False, "error": str(error)}))
            refuse(self, f"{file}: {error}", BAD_NEWS)

    def _verify_chain(self, slug: str, key: Ed25519PublicKey, kept: Snapshot | None, *, is_json: bool) -> None:
        with database_errors_explained(self):
            self._check_slug(slug)
            try:
                count = check_environment(slug, key, kept)
            except SnapshotError as error:
                if is_json:
                    self.stdout.write(json.dumps({"environment": slug, "ok": False, "error": str(error)}))
                refuse(self, f"{slug}: {error}", BAD_NEWS)
        if is_json:
            self.stdout.write(json.dumps({"environment": slug, "ok": True, "snapshots": count}))
        elif not count:
            self.stdout.write(f"{slug}: no decision was sealed yet.")
        else:
            noun = "snapshot" if count == 1 else "snapshots"
            held = "" if kept is None else f" Snapshot {kept.number} of the file is among them."
            self.stdout.write(f"{slug}: {count} {noun}, each signed, each following the one before it.{held}")

    def _list(self, options: dict[str, Any]) -> None:
        with database_errors_explained(self):
            self._check_slug(options["environment"])
            for row in list_rows(options["environment"]).defer("text"):
                described = {
                    "number": row.number,
                    "made_at": row.made_at.isoformat(timespec="seconds"),
                    "decision": row.decision,
                    "verdict": row.verdict,
                    "decided_by": row.decided_by_name,
                    "hash": row.hash,
                }
                words = f"{row.number}: {row.decision} on {row.made_at:%Y-%m-%d %H:%M} UTC by {row.decided_by_name}"
                self.stdout.write(json.dumps(described) if options["json"] else words)

    def _show(self, options: dict[str, Any]) -> None:
        slug, number = options["environment"], options["number"]
        with database_errors_explained(self):
            self._check_slug(slug)
            rows = list_rows(slug).filter(number=number)
            # Of several environments that had the slug one after another, the last.
            row = rows.order_by("-environment_id").first()
        if row is None:
            refuse(self, f"{slug} has no snapshot {number}.", USAGE)
        self.stdout.write(row.text, ending="")

    def _write_key(self, options: dict[str, Any]) -> None:
        self.stdout.write(keys.public_key_pem(self._read_key(None)), ending="")

    def _read_key(self, path: Path | None) -> Ed25519PublicKey:
        try:
            if path is not None:
                return keys.read_public_key(path)
            key = keys.existing_snapshot_public_key(settings.VAR_DIR)
        except KeyFileError as error:
            refuse(self, str(error), COULD_NOT_TELL)
        if key is None:
            refuse(self, "This portal sealed nothing yet: give the right key with --public-key.", COULD_NOT_TELL)
        return key

    def _check_slug(self, slug: str) -> None:
        is_known = Environment.objects.filter(slug=slug).exists()
        if not is_known and not DecisionSnapshot.objects.filter(environment_slug=slug).exists():
            refuse(self, f"There is no environment {slug!r}.", USAGE)


def _describe(snapshot: Snapshot) -> dict[str, Any]:
    document = snapshot.document
    return {
        "environment": document["environment"]["slug"],
        "number": snapshot.number,
        "made_at": document["made_at"],
        "decision": document["decision"]["outcome"],
        "verdict": document["gate"]["verdict"],
        "hash": snapshot.hash,
        "previous": snapshot.previous,
    }


def _word(snapshot: Snapshot) -> str:
    document = snapshot.document
    slug, outcome = document["environment"]["slug"], document["decision"]["outcome"]
    return f"snapshot {snapshot.number} of {slug}, {outcome}, made at {document['made_at']}."
