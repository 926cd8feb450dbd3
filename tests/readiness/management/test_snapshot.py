"""`manage.py snapshot` verifies files and chains, with its own key or another's, and says no in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from portal import keys
from readiness.checklists import decisions
from readiness.models import DecisionSnapshot, Environment

pytestmark = pytest.mark.usefixtures("small_template")


@pytest.fixture
def row(shop: Environment, ada: User) -> DecisionSnapshot:
    now = timezone.now()
    meeting = decisions.open_meeting(shop, planned_for=None, agenda="", by=ada, now=now)
    return decisions.freeze(meeting, outcome="NO-GO", note="Not yet.", by=ada, now=now)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout, stderr."""
    status = 0
    try:
        call_command("snapshot", *arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_it_verifies_what_it_wrote(row: DecisionSnapshot, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file, key = tmp_path / "snapshot.json", tmp_path / "key.pem"
    file.write_text(run(capsys, "show", "shop", "1")[1])
    key.write_text(run(capsys, "public-key")[1])
    assert file.read_bytes() == row.raw

    for options in ((), ("--public-key", str(key))):
        status, out, err = run(capsys, "verify", str(file), *options)
        assert (status, err) == (0, "")
        assert "snapshot 1 of shop, NO-GO" in out
        assert "Signature and hash are right." in out
    described = json.loads(run(capsys, "verify", str(file), "--json")[1])
    assert (described["ok"], described["hash"], described["number"]) == (True, row.hash, 1)


def test_it_refuses_an_altered_file_in_one_sentence(
    row: DecisionSnapshot, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "snapshot.json"
    file.write_bytes(row.raw.replace(b"Not yet.", b"Not yes."))

    status, out, err = run(capsys, "verify", str(file))

    assert (status, out) == (1, "")
    assert err == f"{file}: It was altered: its signature does not fit what it says.\n"
    status, out, _ = run(capsys, "verify", str(file), "--json")
    assert (status, json.loads(out)["ok"]) == (1, False)


def test_it_refuses_the_key_of_another_portal(
    row: DecisionSnapshot, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, key = tmp_path / "snapshot.json", tmp_path / "key.pem"
    file.write_bytes(row.raw)
    key.write_text(keys.public_key_pem(keys.snapshot_signing_key(tmp_path).public_key()))

    assert run(capsys, "verify", str(file), "--public-key", str(key))[0] == 1


def test_it_follows_the_chain_of_an_environment(
    row: DecisionSnapshot, shop: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "shop: 1 snapshot, each signed, each following the one before it.\n"
    assert run(capsys, "verify", "--all", "shop") == (0, said, "")
    assert "1: NO-GO" in run(capsys, "list", "shop")[1]
    assert json.loads(run(capsys, "list", "shop", "--json")[1])["hash"] == row.hash
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE readiness_decisionsnapshot SET text = replace(text, 'Not yet', 'Now')")
    status, out, err = run(capsys, "verify", "--all", "shop")
    assert (status, out) == (1, "")
    assert err.startswith("shop: Snapshot 1 is not what was sealed.")
    with transaction.atomic():
        shop.delete()
    assert run(capsys, "list", "shop")[0] == 0


def test_it_claims_nothing_of_a_chain_that_is_empty(row: DecisionSnapshot, capsys: pytest.CaptureFixture[str]) -> None:
    Environment.objects.create(name="New", slug="new")

    assert run(capsys, "verify", "--all", "new") == (0, "new: no decision was sealed yet.\n", "")


def test_it_says_whether_a_kept_file_is_still_in_the_chain(
    row: DecisionSnapshot, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "newest.json"
    file.write_bytes(row.raw)
    status, out, err = run(capsys, "verify", str(file), "--all", "shop")
    assert (status, err) == (0, "")
    assert out.endswith("each following the one before it. Snapshot 1 of the file is among them.\n")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM readiness_meeting")
        cursor.execute("DELETE FROM readiness_decisionsnapshot")

    status, out, err = run(capsys, "verify", str(file), "--all", "shop")

    assert (status, out) == (1, "")
    assert err == "shop: The chain is cut off or another one: it does not hold snapshot 1 of the file.\n"


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["verify"], 2, "Give a FILE, --all ENV, or both."),
        (["verify", "/", "--all", "shop"], 2, "The file / cannot be read: Is a directory."),
        (["verify", "/no/such"], 2, "The file /no/such cannot be read: No such file or directory."),
        (["verify", "--all", "other"], 2, "There is no environment 'other'."),
        (["verify", "x", "--public-key", "/no/such"], 3, "The file /no/such cannot be read"),
        (["verify", "x", "--public-key", __file__], 3, "holds no Ed25519 public key in PEM."),
        (["show", "shop", "7"], 2, "shop has no snapshot 7."),
        (["list", "other"], 2, "There is no environment 'other'."),
    ],
)
def test_it_says_what_is_wrong(
    row: DecisionSnapshot, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, sentence: str
) -> None:
    ended, out, err = run(capsys, *arguments)

    assert (ended, out) == (status, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_it_makes_no_key_to_verify_with(
    capsys: pytest.CaptureFixture[str], settings: Any, tmp_path: Path, db: None
) -> None:
    settings.VAR_DIR = tmp_path

    for arguments in (["verify", __file__], ["public-key"]):
        status, out, err = run(capsys, *arguments)
        assert (status, out) == (3, "")
        assert "This portal sealed nothing yet" in err
    assert not (tmp_path / "keys").exists()
