"""How far a backup has come: taken, verified, proven; what went wrong last is never hidden by what went well before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from backups.models import Backup, Verification
from portal.stages import describe_stages

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def words(backup: Backup, *verifications: Verification) -> list[tuple[str, str]]:
    return [(stage.status, stage.word) for stage in describe_stages(backup, verifications)]


def proven() -> Backup:
    return Backup(state="done", taken_at=NOON, verified_at=NOON, proven_at=NOON)


def test_it_shows_three_good_steps_of_a_proven_backup() -> None:
    assert words(proven()) == [("pass", "Taken"), ("pass", "Verified"), ("pass", "Proven")]


@pytest.mark.parametrize(
    ("state", "last"), [("running", "Waiting"), ("queued", "Waiting"), ("failed", "Not yet"), ("cancelled", "Not yet")]
)
def test_it_promises_nothing_about_a_backup_that_is_not_taken(state: str, last: str) -> None:
    stages = words(Backup(state=state))

    assert stages[0] == ("fail" if state == "failed" else "idle", state.capitalize())
    assert stages[1:] == [("idle", last), ("idle", last)]


def test_it_shows_a_proof_that_runs_again() -> None:
    assert words(proven(), Verification(kind="prove", state="running"))[2] == ("idle", "Running")


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        ("fail", ("fail", "Failed")),
        ("not_provable", ("warn", "Not provable here")),
        ("error", ("error", "Could not tell")),
        ("pass", ("pass", "Proven")),
    ],
)
def test_it_lets_the_newest_proof_speak(outcome: str, shown: tuple[str, str]) -> None:
    newest = Verification(kind="prove", state="done", outcome=outcome, finished_at=LATER)
    older = Verification(kind="prove", state="done", outcome="pass", finished_at=NOON)

    assert words(proven(), newest, older)[2] == shown


def test_it_forgets_a_failure_that_a_later_proof_has_made_good() -> None:
    backup = Backup(state="done", taken_at=NOON, proven_at=LATER)

    failed = Verification(kind="prove", state="failed", finished_at=NOON)

    assert words(backup, failed)[2] == ("pass", "Proven")


def test_it_shows_a_damaged_artifact_in_both_steps() -> None:
    backup = proven()
    backup.damaged_at = LATER

    assert words(backup)[1:] == [("fail", "Damaged"), ("fail", "Damaged")]
