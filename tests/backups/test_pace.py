"""Bytes, rate and time left of a phase."""

from __future__ import annotations

from backups.pace import Pace


def test_it_knows_nothing_at_first() -> None:
    assert Pace().describe(0.0, None) == {}


def test_it_measures_the_rate_of_the_last_seconds() -> None:
    pace = Pace()
    for second in range(20):
        pace.see_bytes(second * 100 if second < 10 else 1000 + (second - 10) * 1000)
        described = pace.describe(float(second), None)
    assert described == {"bytes": 10_000, "bytes_per_second": 1000}


def test_it_tells_the_time_left_by_what_was_gained_since_the_first_look() -> None:
    pace = Pace()
    assert "seconds_left" not in pace.describe(100.0, 20)
    assert "seconds_left" not in pace.describe(105.0, 20)
    assert pace.describe(110.0, 30)["seconds_left"] == 70
    assert pace.describe(180.0, 100)["seconds_left"] == 0
