"""Which backups may go: rules add up, the cap takes away, and some never go whatever was typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from backups.retention import Candidate, Policy, decide

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)


def daily(count: int, **options: object) -> list[Candidate]:
    """One a day at noon, number 1 being the newest."""
    return [Candidate(n, NOW - timedelta(days=n - 1), 100, **options) for n in range(1, count + 1)]  # type: ignore[arg-type]


def kept(policy: Policy, candidates: list[Candidate], zone: str = "UTC") -> list[int]:
    return [each.id for each in decide(policy, candidates, NOW, zone) if each.is_kept]


def test_it_keeps_everything_without_a_rule() -> None:
    assert kept(Policy(), daily(30)) == list(range(1, 31))
    assert Policy().is_empty


def test_it_keeps_a_number_and_an_age_whichever_is_more() -> None:
    assert kept(Policy(last=3), daily(10)) == [1, 2, 3]
    assert kept(Policy(days=5), daily(10)) == [1, 2, 3, 4, 5]
    assert kept(Policy(last=3, days=5), daily(10)) == [1, 2, 3, 4, 5]
    assert kept(Policy(last=0), daily(3)) == [1]


def test_it_keeps_the_newest_of_each_period() -> None:
    hourly = [Candidate(n, NOW - timedelta(minutes=20 * (n - 1)), 1) for n in range(1, 20)]
    assert kept(Policy(hourly=3), hourly) == [1, 2, 5]
    assert kept(Policy(weekly=3), daily(30)) == [1, 2, 9]
    assert kept(Policy(monthly=2), daily(60)) == [1, 16]
    assert kept(Policy(yearly=2), daily(400)) == [1, 167]


def test_it_reads_periods_on_the_zones_calendar_and_counts_a_repeated_hour_twice() -> None:
    # In Berlin 22:30 UTC is the next day.
    late = [
        Candidate(1, datetime(2026, 6, 14, 22, 30, tzinfo=UTC), 1),
        Candidate(2, datetime(2026, 6, 14, 21, tzinfo=UTC), 1),
    ]
    assert kept(Policy(daily=2), late, "Europe/Berlin") == [1, 2]
    assert kept(Policy(daily=2), late) == [1]
    autumn = [Candidate(n, datetime(2025, 10, 26, 2 - n, 30, tzinfo=UTC), 1) for n in (1, 2)]
    assert kept(Policy(hourly=5), autumn, "Europe/Berlin") == [1, 2]


def test_it_never_lets_the_newest_proven_or_a_pinned_one_go() -> None:
    candidates = daily(10)
    candidates[7] = Candidate(8, candidates[7].taken_at, 100, is_proven=True)
    candidates[8] = Candidate(9, candidates[8].taken_at, 100, is_proven=True)
    candidates[9] = Candidate(10, candidates[9].taken_at, 100, pin="audit 2026")
    assert kept(Policy(last=1, max_bytes=1), candidates) == [1, 8, 10]
    decisions = {each.id: each.sentence for each in decide(Policy(last=1), candidates, NOW)}
    assert decisions[8] == "the newest proven"
    assert decisions[10] == "pinned: audit 2026"
    assert decisions[9] == "no rule keeps it"


def test_it_gives_no_place_to_damaged_ones() -> None:
    candidates = daily(6)
    for n in (1, 2, 6):
        candidates[n - 1] = Candidate(n, candidates[n - 1].taken_at, 100, is_proven=True, is_damaged=True)
    assert kept(Policy(last=2), candidates) == [1, 2, 3, 4]


def test_it_lets_the_oldest_go_over_the_cap() -> None:
    assert kept(Policy(max_bytes=350), daily(10)) == [1, 2, 3]
    assert kept(Policy(days=5, max_bytes=250), daily(10)) == [1, 2]
    assert decide(Policy(max_bytes=100), daily(2), NOW)[1].sentence == "over the size cap"


def test_it_keeps_what_an_undo_needs() -> None:
    candidates = [*daily(2), Candidate(3, NOW - timedelta(days=9), 1, is_needed=True)]
    assert kept(Policy(last=1), candidates) == [1, 3]


numbers = st.none() | st.integers(0, 5)


@given(
    st.lists(st.tuples(st.integers(0, 90_000), st.booleans(), st.booleans(), st.booleans()), max_size=40),
    st.builds(Policy, numbers, numbers, numbers, numbers, numbers, numbers, numbers, st.none() | st.integers(0, 2000)),
)
def test_it_keeps_the_newest_proven_whatever_the_rules(
    rows: list[tuple[int, bool, bool, bool]], policy: Policy
) -> None:
    candidates = [
        Candidate(n, NOW - timedelta(minutes=age), 100, is_proven=proven, is_damaged=damaged, pin="x" if pinned else "")
        for n, (age, proven, damaged, pinned) in enumerate(rows)
    ]
    decisions = {each.id: each for each in decide(policy, candidates, NOW)}
    assert decisions.keys() == {each.id for each in candidates}
    assert all(each.reasons for each in decisions.values())
    good = [each for each in candidates if not each.is_damaged]
    for wanted in (good, [each for each in good if each.is_proven]):
        if wanted:
            newest = max(each.taken_at for each in wanted)
            assert any(decisions[each.id].is_kept for each in wanted if each.taken_at == newest)
    assert all(decisions[each.id].is_kept for each in candidates if each.pin)
