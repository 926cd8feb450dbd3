"""Snapshots are read, downloaded and compared in the browser, and environments beside each other."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.urls import reverse

from portal import keys
from readiness.checklists.snapshots import open_snapshot
from readiness.models import DecisionSnapshot, Environment
from tests.conftest import SignIn
from tests.readiness.factories import make_environment
from tests.readiness.pages import read_main
from tests.readiness.small_template import MUST, OTHER_MUST, SHOULD, settle
from tests.readiness.views.test_decisions import hold, url

pytestmark = pytest.mark.usefixtures("small_template")


def tamper(change: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"UPDATE readiness_decisionsnapshot SET {change}")


def test_it_hands_out_what_can_be_verified_elsewhere(
    shop: Environment, lea: User, sam: User, sign_in: SignIn, tmp_path: Any
) -> None:
    hold(sign_in(lea), note="Größe")
    browser = sign_in(sam)

    file, pem = browser.get(url("download_snapshot", 1)), browser.get(reverse("snapshot_key"))

    (tmp_path / "key.pem").write_bytes(pem.content)
    snapshot = open_snapshot(file.content, keys.read_public_key(tmp_path / "key.pem"))
    assert snapshot.document["decision"]["note"] == "Größe"
    assert file["Content-Disposition"] == 'attachment; filename="shop-snapshot-1.json"'
    assert "PRIVATE" not in pem.content.decode()


def test_it_has_no_key_to_hand_out_before_the_first_snapshot(
    sam: User, sign_in: SignIn, settings: Any, tmp_path: Any
) -> None:
    settings.VAR_DIR = tmp_path

    assert sign_in(sam).get(reverse("snapshot_key")).status_code == 404
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("text = replace(text, 'NO-GO', 'GO')", "Snapshot 1 is not what was sealed."),
        ("text = 'nonsense'", "It is no snapshot, or was altered"),
        ("decision = 'GO'", "is listed as something else than what was sealed"),
    ],
)
def test_it_says_that_a_snapshot_is_not_what_was_sealed(
    shop: Environment, lea: User, sign_in: SignIn, change: str, sentence: str
) -> None:
    browser = sign_in(lea)
    hold(browser)
    tamper(change)

    for address in (url("snapshot", 1), url("compare_snapshots")):
        page = read_main(browser.get(address))
        assert "Do not rely on this." in page
        assert sentence in page
        assert "signature right" not in page


def test_it_says_what_changed_since_friday(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    settle(shop, OTHER_MUST)
    hold(browser)
    settle(shop, MUST, SHOULD)
    settle(shop, OTHER_MUST, is_done=False)
    hold(browser)

    since_then = read_main(browser.get(url("compare_snapshots"), {"from": "1"}))
    between = read_main(browser.get(url("compare_snapshots"), {"from": "1", "to": "2"}))

    for page in (since_then, between):
        done, fallen = page.partition("Done since")[2].split("Fallen back")
        assert len(fallen) > 0
        assert done.strip().startswith("2")
    assert "Nothing that weighs is different." in read_main(browser.get(url("compare_snapshots")))


@pytest.mark.parametrize("which", ["99", "x", "-1", "9" * 30])
def test_it_knows_no_other_snapshots(shop: Environment, lea: User, sign_in: SignIn, which: str) -> None:
    browser = sign_in(lea)
    hold(browser)

    assert browser.get(url("compare_snapshots"), {"from": which}).status_code == 404
    assert browser.get(url("snapshot", 99)).status_code == 404


def test_it_has_nothing_to_compare_yet(shop: Environment, sam: User, sign_in: SignIn) -> None:
    assert "Nothing to compare yet" in read_main(sign_in(sam).get(url("compare_snapshots")))


def test_it_shows_what_production_still_lacks(shop: Environment, sam: User, sign_in: SignIn) -> None:
    staging = make_environment("staging", kind="staging")
    settle(staging, MUST, OTHER_MUST, SHOULD)
    settle(shop, MUST)
    browser = sign_in(sam)

    page = read_main(browser.get(reverse("compare_environments")))

    assert "Staging and Shop" in page
    assert "Staging is ready, Shop is not: these 2." in page
    assert "Open in Shop only 2" in page
    swapped = read_main(browser.get(reverse("compare_environments"), {"first": "shop", "second": "staging"}))
    assert "Staging is ready, Shop is not: these 2." in swapped


def test_it_compares_in_the_language_that_was_chosen(shop: Environment, sam: User, sign_in: SignIn) -> None:
    settle(make_environment("staging", kind="staging"), MUST, OTHER_MUST, SHOULD)
    browser = sign_in(sam)
    compare = reverse("compare_environments")
    assert "Documentation written" in read_main(browser.get(compare))

    browser.get(reverse("plan", args=["shop"]), {"lang": "de"})

    assert "Dokumentation geschrieben" in read_main(browser.get(compare))


def test_it_takes_two_environments_to_compare(shop: Environment, sam: User, sign_in: SignIn) -> None:
    browser = sign_in(sam)
    compare = reverse("compare_environments")

    assert "It takes two environments" in read_main(browser.get(compare))
    make_environment("staging")
    assert "Choose two different" in read_main(browser.get(compare, {"first": "shop", "second": "shop"}))
    assert browser.get(compare, {"first": "no-such"}).status_code == 404
    assert DecisionSnapshot.objects.count() == 0
