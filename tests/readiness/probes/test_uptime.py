"""Time between results is accounted honestly, and windows open and close when they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from readiness.probes.difference import compare_findings
from readiness.probes.maintenance import Window, covers, is_covered
from readiness.probes.transitions import Confirmed, Patience, confirm
from readiness.probes.uptime import HourAccount, Standing, account, add_up, find_hour, stand

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NIGHTLY = Window(None, "", None, "0 3 * * *", "Europe/Berlin", 60)


@pytest.mark.parametrize(
    ("status", "reason", "in_maintenance", "standing"),
    [
        ("pass", "", False, Standing.UP),
        ("warn", "", False, Standing.UP),
        ("fail", "bad_status", False, Standing.DOWN),
        ("error", "refused", False, Standing.DOWN),
        ("error", "timeout", False, Standing.DOWN),
        ("error", "resolver_failed", False, Standing.UNKNOWN),
        ("skipped", "", False, Standing.UNKNOWN),
        ("fail", "bad_status", True, Standing.MAINTENANCE),
    ],
)
def test_it_says_what_the_time_after_a_result_counts_as(
    status: str, reason: str, in_maintenance: bool, standing: Standing
) -> None:
    assert stand(status, reason, in_maintenance=in_maintenance) is standing


def test_it_splits_a_stretch_at_the_hour_and_ends_it_where_nobody_looked() -> None:
    start = NOON - timedelta(seconds=30)

    stretches = list(account(start, start + timedelta(hours=5), Standing.UP, interval_seconds=60))

    noon = find_hour(NOON)
    assert [(stretch.hour, stretch.seconds) for stretch in stretches] == [(noon - 1, 30), (noon, 90)]
    assert HourAccount(noon).starts_at == NOON
    assert list(account(start, NOON, Standing.UNKNOWN, 60)) == []


def test_it_never_takes_unknown_time_for_up() -> None:
    uptime = add_up([(60, 20, 10), (10, 10, 0)], total_seconds=200)

    assert uptime.share == 0.7
    assert uptime.unknown_seconds == 90
    assert add_up([], 100).share is None


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (datetime(2026, 7, 1, 0, 59, tzinfo=UTC), False),
        (datetime(2026, 7, 1, 1, 0, tzinfo=UTC), True),
        (datetime(2026, 7, 1, 1, 59, tzinfo=UTC), True),
        (datetime(2026, 7, 1, 2, 0, tzinfo=UTC), False),
        (datetime(2026, 12, 1, 2, 30, tzinfo=UTC), True),
        (datetime(2026, 12, 1, 1, 30, tzinfo=UTC), False),
    ],
)
def test_it_opens_a_recurring_window_by_the_clock_of_its_zone(at: datetime, is_open: bool) -> None:
    assert covers(NIGHTLY, at) is is_open


def test_it_covers_only_what_the_window_is_for() -> None:
    window = Window(7, "http", NOON, "", "UTC", 30)

    assert is_covered([window], 7, "http", NOON)
    assert not is_covered([window], 8, "http", NOON)
    assert not is_covered([window], 7, "tls", NOON)
    assert not is_covered([window], 7, "http", NOON + timedelta(minutes=30))


def test_it_is_patient_only_between_good_and_bad() -> None:
    patience = Patience(failures_before_down=3, successes_before_up=2)

    assert confirm(None, "fail", patience) == Confirmed("fail")
    assert confirm(Confirmed("pass"), "warn", patience) == Confirmed("warn")
    once = confirm(Confirmed("pass"), "fail", patience)
    twice = confirm(once, "error", patience)
    assert (once, twice) == (Confirmed("pass", "fail", 1), Confirmed("pass", "error", 2))
    assert confirm(twice, "fail", patience) == Confirmed("fail")
    assert confirm(twice, "pass", patience) == Confirmed("pass")
    assert confirm(confirm(Confirmed("fail"), "pass", patience), "pass", patience) == Confirmed("pass")


def test_it_pairs_findings_of_one_id_in_their_order() -> None:
    def row(finding_id: str, status: str, summary: str) -> dict[str, str]:
        return {"id": finding_id, "status": status, "summary": summary}

    before = [row("status", "pass", "a"), row("status", "pass", "b"), row("old", "warn", "c")]
    after = [row("status", "pass", "a"), row("status", "fail", "b"), row("new", "pass", "d")]

    changes = compare_findings(before, after)

    assert [(change.before, change.after) for change in changes] == [
        (before[1], after[1]),
        (None, after[2]),
        (before[2], None),
    ]
