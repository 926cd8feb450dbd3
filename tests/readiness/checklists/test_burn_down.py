"""The burn-down: counts a day, the pace of the last days, and when nothing is open at that pace."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from portal.charts import burn_down_lines
from readiness.checklists.burn_down import PACE_DAYS, Point, make_forecast

TODAY = date(2026, 11, 24)


def make_points(*counts: int) -> list[Point]:
    """One count a day, the last of them today's."""
    first = TODAY - timedelta(days=len(counts) - 1)
    return [Point(first + timedelta(days=place), count) for place, count in enumerate(counts)]


def test_it_goes_on_at_the_pace_of_the_last_days() -> None:
    forecast = make_forecast(make_points(20, 18, 15, 14), TODAY, TODAY + timedelta(days=7))

    assert forecast.per_day == pytest.approx(2)
    assert forecast.done_on == date(2026, 12, 1)
    assert not forecast.is_late
    assert forecast.sentence == "At 2.0 a day, nothing is open on 1 December 2026, in time."


def test_it_says_how_late_it_will_be() -> None:
    forecast = make_forecast(make_points(20, 18, 15, 14), TODAY, TODAY + timedelta(days=6))

    assert (forecast.days_late, forecast.is_late) == (1, True)
    assert forecast.sentence == "At 2.0 a day, nothing is open on 1 December 2026, 1 day late."


def test_it_needs_no_target_date() -> None:
    assert (
        make_forecast(make_points(4, 3), TODAY, None).sentence == "At 1.0 a day, nothing is open on 27 November 2026."
    )


@pytest.mark.parametrize("counts", [(9, 9), (9, 12), (9, 4, 9)])
def test_it_sees_no_end_when_no_fewer_are_open(counts: tuple[int, ...]) -> None:
    forecast = make_forecast(make_points(*counts), TODAY, TODAY)

    assert forecast.done_on is None
    assert forecast.sentence.startswith("No end in sight")


def test_it_needs_two_days_and_something_open() -> None:
    assert make_forecast([], TODAY, None).sentence == "Nothing is recorded yet."
    assert make_forecast(make_points(9), TODAY, None).sentence == "A forecast needs two days."
    assert make_forecast(make_points(9, 0), TODAY, None).sentence == "Nothing is open."


def test_it_forgets_how_fast_it_was_long_ago() -> None:
    long_ago = Point(TODAY - timedelta(days=60), 200)
    lately = [Point(TODAY - timedelta(days=PACE_DAYS + 3), 24), Point(TODAY, 10)]

    assert make_forecast([long_ago, *lately], TODAY, None).per_day == pytest.approx(1)


def test_it_draws_what_was_what_should_be_and_what_will_be() -> None:
    days = [(TODAY - timedelta(days=4), 10), (TODAY, 6)]

    lines = burn_down_lines(days, TODAY + timedelta(days=4), TODAY + timedelta(days=6), 100, 52)

    assert (lines.first_day, lines.last_day, lines.top) == (days[0][0], TODAY + timedelta(days=6), 10)
    assert lines.actual == "M0.0 1.0L40.0 21.0"
    assert lines.ideal == "M0.0 1.0L80.0 51.0"
    assert lines.target == "M80.0 1.0L80.0 51.0"
    assert lines.forecast == "M40.0 21.0L100.0 51.0"


def test_it_draws_one_day_and_a_forecast_far_away() -> None:
    assert burn_down_lines([(TODAY, 0)], None, None, 100, 52).actual == "M0.0 51.0h4"
    lines = burn_down_lines([(TODAY - timedelta(days=2), 10), (TODAY, 9)], None, TODAY + timedelta(days=900), 100, 52)
    assert (lines.last_day - TODAY).days == 14
    assert lines.forecast.endswith("L100.0 6.7")
    assert lines.ideal == lines.target == ""
