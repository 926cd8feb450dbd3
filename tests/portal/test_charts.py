"""The beat bar: one mark a run, newest at the right, and gaps where there was no run."""

from __future__ import annotations

from portal.charts import beat_paths
from readiness.probes.transitions import BEATS_KEPT


def test_it_draws_a_gap_for_every_run_that_never_was() -> None:
    assert [(letter, data.count("M")) for letter, data in beat_paths("")] == [("x", BEATS_KEPT)]


def test_it_draws_the_newest_run_at_the_right_end() -> None:
    paths = dict(beat_paths("f"))

    assert paths["f"] == f"M{(BEATS_KEPT - 1) * 4 + 1.5:g} 2v20"
    assert paths["x"].startswith("M1.5 2v20")


def test_it_draws_one_path_a_status() -> None:
    counts = {letter: data.count("M") for letter, data in beat_paths("pppwfen")}

    assert counts == {"p": 3, "w": 1, "f": 1, "e": 1, "n": 1, "x": BEATS_KEPT - 7}


def test_it_keeps_only_the_last_runs() -> None:
    paths = dict(beat_paths("f" * 10 + "p" * BEATS_KEPT))

    assert set(paths) == {"p"}
