"""What changed between two records, and what tells two environments apart."""

from __future__ import annotations

from typing import Any

import pytest

from readiness.checklists.differences import Contrast, compare_records, contrast_environments, word_contrast


def item(key: str, state: str = "todo", severity: str = "must", **fields: Any) -> dict[str, Any]:
    made = {
        "item": key,
        "section": "a",
        "title": key.title(),
        "severity": severity,
        "state": state,
        "is_done": state in {"verified", "not_applicable"},
        "is_waived": False,
        "note": "",
        "evidence": None,
    }
    return {**made, **fields}


def waiver(key: str, reason: str = "later") -> dict[str, Any]:
    return {"item": key, "reason": reason, "expires_on": "2026-12-24"}


def make_record(*items: dict[str, Any], verdict: str = "NO-GO", waivers: Any = ()) -> dict[str, Any]:
    return {"gate": {"verdict": verdict}, "items": list(items), "waivers": list(waivers)}


def keys(changes: Any) -> list[str]:
    return [change.key for change in changes]


def test_it_sorts_what_changed() -> None:
    before = make_record(item("a"), item("b", "verified"), item("c"), item("d"), item("gone"))
    after = make_record(
        item("a", "verified"), item("b", "stale"), item("c", "submitted"), item("d"), item("new"), verdict="CONDITIONAL"
    )

    changes = compare_records(before, after)

    assert (changes.verdict_before, changes.verdict_after) == ("NO-GO", "CONDITIONAL")
    assert keys(changes.done) == ["a"]
    assert keys(changes.fell_back) == ["b"]
    assert keys(changes.moved) == ["c"]
    assert keys(changes.added) == ["new"]
    assert keys(changes.removed) == ["gone"]
    assert (changes.moved[0].state_before, changes.moved[0].state_after) == ("todo", "submitted")
    assert not changes.is_empty


def test_it_lists_waivers_that_came_and_went() -> None:
    before = make_record(waivers=[waiver("a"), waiver("b")])
    after = make_record(waivers=[waiver("b", "another reason"), waiver("a")])

    changes = compare_records(before, after)

    assert [one["reason"] for one in changes.waivers_added] == ["another reason"]
    assert [one["reason"] for one in changes.waivers_removed] == ["later"]


def test_it_finds_nothing_between_equals() -> None:
    one = make_record(item("a"), waivers=[waiver("a")])

    assert compare_records(one, one).is_empty
    assert not compare_records(one, make_record(item("a"), verdict="GO", waivers=[waiver("a")])).is_empty


def test_it_contrasts_two_environments_by_what_weighs() -> None:
    staging = make_record(
        item("both", "verified"),
        item("staging", "verified"),
        item("should", "verified", "should"),
        item("nobody"),
        item("waived", is_waived=True),
        item("extra", severity="optional"),
        item("production"),
    )
    production = make_record(
        item("both", "verified"),
        item("should", "todo", "should"),
        item("staging", "failing"),
        item("nobody", "stale"),
        item("waived"),
        item("extra", "verified", "optional"),
        item("production", "not_applicable"),
        item("theirs"),
    )

    contrast = contrast_environments(staging, production)

    assert keys(contrast.only_first) == ["staging", "waived", "theirs", "should"]
    assert keys(contrast.only_second) == ["production"]
    assert keys(contrast.neither) == ["nobody"]
    assert contrast.only_first[2].state_before is None


@pytest.mark.parametrize(
    ("are_ready", "counts", "sentence"),
    [
        ((True, True), (0, 0, 0), "Both are ready."),
        ((True, False), (4, 0, 0), "staging is ready, production is not: these 4."),
        ((False, True), (0, 1, 0), "production is ready, staging is not: this one."),
        ((True, False), (0, 0, 0), "staging is ready, production is not."),
        ((False, False), (4, 1, 2), "Neither is ready: 1 open in staging only, 4 in production only, 2 in both."),
    ],
)
def test_it_says_it_in_one_sentence(are_ready: tuple[bool, bool], counts: tuple[int, ...], sentence: str) -> None:
    change = compare_records(make_record(), make_record(item("a"))).added[0]
    contrast = Contrast(*((change,) * count for count in counts))

    assert word_contrast(("staging", "production"), are_ready, contrast) == sentence
