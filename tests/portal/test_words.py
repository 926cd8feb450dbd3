"""Ages, sizes and durations as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from portal.words import word_age, word_bytes, word_duration_ms, word_span

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (90 * 60, "90 min"),
        (2 * 3600, "2 h"),
        (47 * 3600, "47 h"),
        (48 * 3600, "2 d"),
        (400 * 86400, "400 d"),
    ],
)
def test_it_words_spans_in_their_largest_unit(seconds: int, words: str) -> None:
    assert word_span(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (None, "never"),
        (NOON, "just now"),
        (NOON + timedelta(seconds=30), "just now"),
        (NOON - timedelta(seconds=40), "40 s ago"),
        (NOON - timedelta(days=3), "3 d ago"),
    ],
)
def test_it_words_ages(at: datetime | None, words: str) -> None:
    assert word_age(at, NOON) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (None, ""),
        (0, "0 B"),
        (512, "512 B"),
        (1_000, "1.0 kB"),
        (9_800_000, "9.8 MB"),
        (157_300_000, "157 MB"),
        (2_500_000_000, "2.5 GB"),
        (7_000_000_000_000, "7.0 TB"),
    ],
)
def test_it_words_sizes(size: int | None, words: str) -> None:
    assert word_bytes(size) == words


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(None, ""), (0, "0 ms"), (85, "85 ms"), (2_400, "2.4 s"), (119_999, "120.0 s"), (180_000, "3 min")],
)
def test_it_words_durations(milliseconds: int | None, words: str) -> None:
    assert word_duration_ms(milliseconds) == words
