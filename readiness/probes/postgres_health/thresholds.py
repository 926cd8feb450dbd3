"""Where health of a database turns from pass to warn to fail: defaults, and what an environment changes. Pure."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from readiness.probes.base import Status

MB, GB = 2**20, 2**30


@dataclass(frozen=True, slots=True)
class Thresholds:
    """`_warn` and `_fail` are the first value that is bad; the others say what is large or old enough to matter."""

    round_trip_warn_ms: float = 500
    round_trip_fail_ms: float = 5_000
    connections_warn_percent: float = 75
    connections_fail_percent: float = 90
    transaction_warn_seconds: float = 300
    transaction_fail_seconds: float = 1_800
    idle_in_transaction_warn_seconds: float = 60
    idle_in_transaction_fail_seconds: float = 600
    active_query_warn_seconds: float = 300
    active_query_fail_seconds: float = 1_800
    blocked_warn_seconds: float = 30
    blocked_fail_seconds: float = 300
    prepared_warn_seconds: float = 1
    prepared_fail_seconds: float = 300
    xid_age_warn: float = 500_000_000
    xid_age_fail: float = 1_000_000_000
    mxid_age_warn: float = 500_000_000
    mxid_age_fail: float = 1_000_000_000
    cache_hit_warn_percent: float = 99
    cache_hit_fail_percent: float = 90
    cache_hit_blocks: float = 100_000  # fewer block reads than this since the statistics began say nothing
    dead_tuples_rows: float = 1_000
    dead_tuples_percent: float = 10
    bloat_bytes: float = 100 * MB
    table_bloat_percent: float = 25
    index_bloat_percent: float = 30
    stale_statistics_rows: float = 1_000
    stale_statistics_percent: float = 25
    unused_index_bytes: float = 10 * MB
    unused_index_days: float = 7  # statistics younger than this cannot say that an index is unused
    sequence_warn_percent: float = 50
    sequence_fail_percent: float = 90
    slow_query_calls: float = 100
    slow_query_warn_seconds: float = 1
    slow_query_fail_seconds: float = 5
    sequential_scan_bytes: float = 10 * MB
    sequential_scan_rows: float = 10_000
    sequential_scans: float = 50
    foreign_key_tables: float = 5  # this many tables without one foreign key are a finding whatever they are called
    replica_lag_warn_seconds: float = 5
    replica_lag_fail_seconds: float = 60
    slot_warn_bytes: float = 1 * GB
    slot_fail_bytes: float = 5 * GB
    archiver_warn_seconds: float = 86_400
    archiver_fail_seconds: float = 3_600
    clock_skew_warn_seconds: float = 2
    clock_skew_fail_seconds: float = 5
    storage_warn_percent: float = 75
    storage_fail_percent: float = 90
    storage_full_warn_days: float = 30
    storage_full_fail_days: float = 7


NAMES = tuple(field.name for field in dataclasses.fields(Thresholds))
DEFAULTS = Thresholds()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a form: what is measured, in which unit, and the names of the thresholds that grade it.

    `names` holds one threshold that says what counts at all, or two: the first value that warns, and that fails.
    """

    title: str
    unit: str
    names: tuple[str] | tuple[str, str]


# Every threshold once, in the order of people's interest; a test holds the two lists together.
SECTIONS: tuple[tuple[str, tuple[Line, ...]], ...] = (
    (
        "Reach and connections",
        (
            Line("Round trip", "ms", ("round_trip_warn_ms", "round_trip_fail_ms")),
            Line("Connections in use", "%", ("connections_warn_percent", "connections_fail_percent")),
            Line("Clock skew", "s", ("clock_skew_warn_seconds", "clock_skew_fail_seconds")),
        ),
    ),
    (
        "Sessions and locks",
        (
            Line("Oldest transaction", "s", ("transaction_warn_seconds", "transaction_fail_seconds")),
            Line("Idle in transaction", "s", ("idle_in_transaction_warn_seconds", "idle_in_transaction_fail_seconds")),
            Line("Running statement", "s", ("active_query_warn_seconds", "active_query_fail_seconds")),
            Line("Blocked session", "s", ("blocked_warn_seconds", "blocked_fail_seconds")),
            Line("Prepared transaction", "s", ("prepared_warn_seconds", "prepared_fail_seconds")),
        ),
    ),
    (
        "Storage",
        (
            Line("Storage of the plan in use", "%", ("storage_warn_percent", "storage_fail_percent")),
            Line("Storage of the plan full in", "days", ("storage_full_warn_days", "storage_full_fail_days")),
            Line("Blocks found in memory, below", "%", ("cache_hit_warn_percent", "cache_hit_fail_percent")),
            Line("Memory is judged from so many blocks read", "blocks", ("cache_hit_blocks",)),
            Line("Dead rows of a table, more than", "rows", ("dead_tuples_rows",)),
            Line("Dead rows of a table, more than", "%", ("dead_tuples_percent",)),
            Line("Bloat is looked for in tables and indexes from", "bytes", ("bloat_bytes",)),
            Line("Bloat of a table, more than", "%", ("table_bloat_percent",)),
            Line("Bloat of an index, more than", "%", ("index_bloat_percent",)),
            Line("Changed rows since ANALYZE", "rows", ("stale_statistics_rows",)),
            Line("Changed rows since ANALYZE", "%", ("stale_statistics_percent",)),
            Line("Age of transaction numbers", "transactions", ("xid_age_warn", "xid_age_fail")),
            Line("Age of multixacts", "multixacts", ("mxid_age_warn", "mxid_age_fail")),
        ),
    ),
    (
        "Schema and statements",
        (
            Line("Unused index from", "bytes", ("unused_index_bytes",)),
            Line("Unused index, statistics at least as old as", "days", ("unused_index_days",)),
            Line("Sequential scans, tables from", "bytes", ("sequential_scan_bytes",)),
            Line("Sequential scans, tables from", "rows", ("sequential_scan_rows",)),
            Line("Sequential scans of one table", "scans", ("sequential_scans",)),
            Line("Tables without any foreign key", "tables", ("foreign_key_tables",)),
            Line("Sequence used up", "%", ("sequence_warn_percent", "sequence_fail_percent")),
            Line("Slow statement, mean", "s", ("slow_query_warn_seconds", "slow_query_fail_seconds")),
            Line("Slow statement, called at least", "times", ("slow_query_calls",)),
        ),
    ),
    (
        "Replication and WAL",
        (
            Line("Replica behind by", "s", ("replica_lag_warn_seconds", "replica_lag_fail_seconds")),
            Line("WAL kept by a slot", "bytes", ("slot_warn_bytes", "slot_fail_bytes")),
            Line("Archiving failed within the last", "s", ("archiver_warn_seconds", "archiver_fail_seconds")),
        ),
    ),
)
# Of these the smaller value is the worse one.
LESS_IS_WORSE = frozenset({"cache_hit_fail_percent", "archiver_fail_seconds", "storage_full_fail_days"})


def read_thresholds(changes: Mapping[str, Any]) -> Thresholds:
    """Return the defaults with `changes` by name; an unknown name, or a value that is no number from 0, is ignored."""
    faulty = {name for name, _ in _find_faulty_values(changes)}
    return dataclasses.replace(DEFAULTS, **{name: value for name, value in changes.items() if name not in faulty})


def find_threshold_faults(changes: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (name, what is wrong with it) for each of `changes` that should not be stored.

    Besides what `read_thresholds` would ignore, these are pairs where something would fail before it warns.
    """
    faults = _find_faulty_values(changes)
    if faults:
        return faults
    merged = read_thresholds(changes)
    for line in (line for _, lines in SECTIONS for line in lines if len(line.names) == 2):
        warn_name, fail_name = line.names[0], line.names[-1]
        warn, fail = getattr(merged, warn_name), getattr(merged, fail_name)
        is_late = warn < fail if fail_name in LESS_IS_WORSE else warn > fail
        if is_late:
            name = fail_name if fail_name in changes else warn_name
            faults.append((name, f"it would fail (at {fail:g}) before it warns (at {warn:g})"))
    return faults


def _find_faulty_values(changes: Mapping[str, Any]) -> list[tuple[str, str]]:
    faults = []
    for name, value in changes.items():
        if name not in NAMES:
            faults.append((name, "there is no threshold of this name"))
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            faults.append((name, "it must be a number from 0"))
    return faults


def grade(value: float | None, warn: float, fail: float) -> Status:
    """Return the status of a value where more is worse. A value that is not known, of something bad, warns."""
    if value is None:
        return Status.WARN
    return Status.FAIL if value >= fail else Status.WARN if value >= warn else Status.PASS
