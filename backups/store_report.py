"""Tests stores, and gathers what pages and commands say about them; writes a file that it deletes, and StoreState."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC
from secrets import token_bytes, token_hex
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, Sum

from backups import store_records, stores
from backups.errors import ErrorCode, JobError
from backups.models import BackupCopy, State, StoreState
from backups.store_config import StoreConfig


@dataclass(frozen=True)
class StoreReport:
    """One store: where it is, what lies in it as far as the catalogue knows, and what was last found out.

    ``free_bytes`` is None where it cannot be known, ``state`` None before anything was found out.
    """

    name: str
    kind: str
    address: str
    is_default: bool
    is_configured: bool
    copies: int
    bytes: int
    wanting: int
    free_bytes: int | None
    state: StoreState | None

    @property
    def error(self) -> str:
        """What was wrong last; empty when it has worked since."""
        return self.state.error if self.state is not None else ""

    @property
    def line(self) -> str:
        """The report for a terminal."""
        tail = f": {self.error}" if self.error else ""
        return (
            f"{self.name:<12} {self.kind:<9} {self.copies:>5} backups  {self.bytes / 1_000_000:>10,.1f} MB  "
            f"{self.address}{tail}"
        )

    def as_json_object(self) -> dict[str, Any]:
        state = self.state
        return {
            "store": self.name,
            "kind": self.kind,
            "address": self.address,
            "default": self.is_default,
            "copies": self.copies,
            "wanting": self.wanting,
            "bytes": self.bytes,
            "free_bytes": self.free_bytes,
            "usable": None if state is None else state.is_usable,
            "tested_at": None if state is None or not state.tested_at else state.tested_at.astimezone(UTC).isoformat(),
            "error": self.error,
            "orphans": [] if state is None else state.orphans,
            "missing": [] if state is None else state.missing,
        }


def test_store(name: str) -> str:
    """Write a small file, read it back, delete it; what went wrong in one sentence, else empty. Noted in StoreState."""
    file, data = f"preflight-test-{token_hex(8)}", token_bytes(4096)
    try:
        store = stores.open_store(name)
        store.put(file, io.BytesIO(data))
        found = store.read_bytes(file)
        store.delete(file)
        if found != data:
            raise JobError(ErrorCode.STORE_FAILED, f"The backup store {name} does not give back what was written.")
    except JobError as error:
        store_records.note_error(name, error.sentence)
        return error.sentence
    store_records.note_usable(name)
    return ""


def read_reports() -> list[StoreReport]:
    """Every store that the settings know, and those that only backups know any more; two queries."""
    states = {state.name: state for state in StoreState.objects.all()}
    there = Q(state=State.DONE, damaged_at__isnull=True)
    counted = {
        row["store"]: row
        for row in BackupCopy.objects.filter(backup__state=State.DONE, backup__expired_at__isnull=True)
        .order_by()
        .values("store")
        .annotate(
            there=Count("pk", filter=there),
            bytes=Sum("backup__bytes", filter=there),
            wanting=Count("pk", filter=~there),
        )
    }
    configs: dict[str, StoreConfig] = settings.BACKUP_STORE_CONFIGS
    reports = []
    for name in [*configs, *sorted(counted.keys() - configs.keys())]:
        row: Any = counted.get(name, {})
        config = configs.get(name)
        reports.append(
            StoreReport(
                name=name,
                kind=config.kind if config else "?",
                address=stores.describe_address(name),
                is_default=name in stores.default_stores(),
                is_configured=config is not None,
                copies=row.get("there") or 0,
                bytes=row.get("bytes") or 0,
                wanting=row.get("wanting") or 0,
                free_bytes=_free_bytes(name) if config and config.kind == "directory" else None,
                state=states.get(name),
            )
        )
    return reports


def _free_bytes(name: str) -> int | None:
    try:
        return stores.open_store(name).free_bytes()
    except JobError:
        return None
