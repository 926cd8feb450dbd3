"""What people do with the product, told in Chromium against the running product."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect
from psycopg.conninfo import conninfo_to_dict

from tests.conftest import PASSWORD, PROJECT, Server
from tests.e2e.browsing import Person
from tests.e2e.conftest import SHOP_ROWS, Portal, Team, choose_in_bulk

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

FOUR_KINDS = ("http", "tls", "headers", "postgres")


def test_the_administrator_invites_people_who_choose_their_passwords(team: Team, ada: Person) -> None:
    ada.visit("/people/")
    for name, role in (("lea", "Team lead"), ("otto", "Operator"), ("sam", "Stakeholder")):
        expect(ada.page.get_by_label(f"Role of {name}")).to_have_value(role)
    # A link works once.
    team.sam.visit(team.used_link)
    expect(team.sam.page.get_by_role("heading", level=1)).to_have_text("Bad Token")
    team.sam.visit("/")
    expect(team.sam.page.locator(".who-am-i")).to_have_text("sam")


def test_the_banner_about_the_key_stays_until_somebody_confirms(ada: Person, team: Team) -> None:
    banner = "Keep the backup key elsewhere too."
    for person, sees_it in ((ada, True), (team.otto, True), (team.lea, False), (team.sam, False)):
        person.visit("/")
        expect(person.page.get_by_text(banner)).to_have_count(1 if sees_it else 0)

    ada.follow("Show me how")
    assert "AGE-SECRET-KEY" not in ada.page.content()
    ada.press("A copy is kept elsewhere")

    for person in (ada, team.otto):
        person.visit("/")
        expect(person.page.get_by_text(banner)).to_have_count(0)


def test_an_operator_connects_an_environment_and_sees_it_probed(team: Team, shop: str) -> None:
    otto = team.otto
    otto.visit(f"{shop}settings/")
    expect(otto.page.get_by_text("kept encrypted", exact=True)).to_be_visible()
    otto.page.get_by_role("button", name="Test connection").click()
    expect(otto.page.locator("#connection-1")).to_contain_text("just now", timeout=20_000)
    assert "postgresql://" not in otto.page.locator("#connection-1").inner_text()
    otto.look()

    otto.visit(f"{shop}probes/")
    otto.press("Probe now")
    otto.page.evaluate("window.isTheSamePage = true")
    for kind in FOUR_KINDS:
        expect(otto.page.locator(f"section#{kind} .beats")).to_be_visible(timeout=60_000)
        expect(otto.page.locator(f"section#{kind}")).not_to_contain_text("No result yet")
    expect(otto.page.locator("section#tls")).to_contain_text("not_tls")
    assert otto.page.evaluate("window.isTheSamePage") is True
    otto.look()


def test_a_team_lead_submits_comments_and_an_administrator_approves(team: Team, ada: Person, shop: str) -> None:
    lea, title = team.lea, "Backup strategy documented"
    lea.visit("/")
    lea.follow_in(".fleet", "Shop production")
    lea.follow_in("li.item", title)
    expect(lea.page.get_by_role("heading", level=1)).to_have_text(title)
    lea.press("Submit", status=400)
    expect(lea.page.get_by_role("alert")).to_contain_text("wants a link or a file as evidence")
    lea.page.locator("#evidence-file").set_input_files(
        {"name": "strategy.md", "mimeType": "text/markdown", "buffer": b"Nightly, to another site."}
    )
    lea.press("Submit")
    expect(lea.page.get_by_text("Somebody else has to approve it.")).to_be_visible()
    expect(lea.page.get_by_role("button", name="Approve")).to_have_count(0)
    lea.page.get_by_label("Comment").fill("Seen on staging,\n<b>twice</b>. @admin, please look.")
    lea.press("Comment")

    ada.visit(f"{shop}items/backup_strategy/")
    with ada.page.expect_download() as download:
        ada.page.get_by_role("link", name="strategy.md").first.click()
    assert download.value.path().read_bytes() == b"Nightly, to another site."
    ada.page.get_by_label("Your word on it").fill("Read and agreed.")
    ada.press("Approve")
    expect(ada.page.locator("#standing .status").first).to_have_text("Verified")

    history = ada.page.locator("section", has=ada.page.get_by_role("heading", name="Comments and history"))
    for place, what in enumerate(("admin approved", "lea mentioned", "lea commented", "lea submitted", "lea attached")):
        expect(history.get_by_role("listitem").nth(place)).to_contain_text(what)
    expect(history).to_contain_text("<b>twice</b>")

    lea.follow("Deutsch")
    expect(lea.page.get_by_role("heading", name="Warum")).to_be_visible()
    expect(lea.page.get_by_role("heading", level=1)).not_to_have_text(title)
    lea.visit(shop)
    expect(lea.page.get_by_role("heading", name="HTTPS Setup")).to_be_visible()
    lea.follow("English")


def test_two_browsers_at_one_item(team: Team, ada: Person, shop: str) -> None:
    lea, item = team.lea, f"{shop}items/documentation/"
    for person in (lea, ada):
        person.visit(item)
    lea.page.locator("#block summary").click()
    lea.page.get_by_label("By what").fill("The author is ill.")
    lea.press("Block")
    expect(lea.page.locator("#standing .status").first).to_have_text("Blocked")

    ada.page.locator("#evidence-note").fill("All is in the wiki.")
    ada.page.locator("#evidence-url").fill("https://wiki.example.org/shop")
    ada.press("Submit", status=409)
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Somebody was first")
    expect(ada.page.locator("#theirs")).to_contain_text("The author is ill.")
    expect(ada.page.locator("#yours")).to_contain_text("All is in the wiki.")
    lea.visit(item)
    expect(lea.page.locator("#standing")).to_contain_text("The author is ill.")

    ada.press("Send mine again")
    expect(ada.page.locator("#standing")).to_contain_text("All is in the wiki.")
    expect(ada.page.locator("#standing .status").first).to_have_text("Waits for approval")


def test_an_environment_becomes_conditional_with_the_keyboard_and_four_eyes(team: Team, ada: Person, shop: str) -> None:
    lea = team.lea
    lea.visit(shop)
    expect(lea.page.locator(".gate h2")).to_have_text("NO-GO")
    choose_in_bulk(lea, "Ask for a waiver")
    lea.page.get_by_label("Reason of the waiver").fill("The launch is fixed; nothing can verify this yet.")
    lea.page.get_by_label("Risk of the waiver").fill("Found late.")
    lea.page.get_by_label("Waived until").fill((date.today() + timedelta(days=30)).isoformat())
    lea.press("Change the marked items")
    expect(lea.page.locator(".gate h2")).to_have_text("NO-GO")

    choose_in_bulk(lea, "Approve the waiver")
    lea.press("Change the marked items")
    expect(lea.page.get_by_text("Somebody else has to approve the waiver").first).to_be_visible()

    ada.visit(shop)
    choose_in_bulk(ada, "Approve the waiver")
    ada.press("Change the marked items")
    expect(ada.page.locator(".gate h2")).to_have_text("CONDITIONAL")
    expect(ada.page.locator("#waived-items summary")).to_contain_text("waived")
    team.sam.visit("/")
    expect(team.sam.page.locator(".fleet .verdict").first).to_contain_text("CONDITIONAL")

    ada.visit(f"{shop}items/https.certificates/")
    ada.press("Revoke the waiver")
    ada.visit(shop)
    expect(ada.page.locator(".gate h2")).to_have_text("NO-GO")
    expect(ada.page.locator(".gate")).to_contain_text("TLS certificates active")


def test_an_administrator_lets_a_pipeline_in(ada: Person, portal: Portal, shop: str) -> None:
    ada.visit("/")
    ada.follow("Tokens")
    ada.page.get_by_label("Name", exact=True).fill("Pipeline of the shop")
    for scope in ("Read the gate", "Post facts", "Record deploys"):
        ada.page.get_by_label(scope).check()
    ada.press("Make the token")
    secret = ada.page.get_by_label("Copy it now").input_value()
    ada.visit("/tokens/")
    assert secret not in ada.page.content()

    api = f"{portal.url}/api/environments/shop-production"
    headers = {"Authorization": f"Bearer {secret}"}
    gate = ada.page.request.get(f"{api}/gate", headers=headers)
    assert (gate.status, gate.json()["verdict"]) == (409, "NO-GO")
    assert {reason["url"].startswith(f"{portal.url}/environments/") for reason in gate.json()["reasons"]} == {True}
    assert ada.page.request.post(f"{api}/deploys", headers=headers, data={"release": "2026.11.24"}).status == 201
    ada.visit(shop)
    expect(ada.page.locator(".activity")).to_contain_text("token Pipeline of the shop deployed 2026.11.24")
    ada.visit(f"{shop}probes/http/")
    expect(ada.page.get_by_text("2026.11.24, recorded by token Pipeline of the shop")).to_be_visible()
    ada.visit("/tokens/")
    ada.press("Revoke Pipeline of the shop")
    assert ada.page.request.get(f"{api}/gate", headers=headers).status == 401


def test_an_operator_backs_up_sees_it_proven_and_restores(team: Team, shop: str, shop_server: Server) -> None:
    otto = team.otto
    otto.visit(shop)
    otto.follow("Back up or restore")
    otto.press("Back up main now")
    expect(otto.page.locator("h2 .status")).to_have_text("Proven", timeout=60_000)
    expect(otto.page.get_by_text("The contents of 2 of 2 tables have their checksums.")).to_be_visible()
    otto.look()
    backup = otto.page.url

    otto.follow("Restore into a new database…")
    expect(otto.page.get_by_role("heading", name="What will happen")).to_be_visible()
    otto.page.get_by_label("New database").fill("e2e_shop_again")
    otto.page.get_by_label("Type the environment’s name to confirm").fill("Shop staging")
    otto.press("Restore", status=400)
    expect(otto.page.get_by_text("This is not “Shop production”; nothing was restored.")).to_be_visible()
    assert not shop_server.has_database("e2e_shop_again")

    shop_server.made.append("e2e_shop_again")
    otto.page.get_by_label("Type the environment’s name to confirm").fill("Shop production")
    otto.press("Restore")
    expect(otto.page.locator("h2 .status")).to_have_text("Passed", timeout=60_000)
    otto.look()
    for table, rows in (("customers", 100), ("orders", SHOP_ROWS)):
        digest = f"SELECT count(*), md5(string_agg(t::text, ',' ORDER BY id)) FROM {table} AS t"
        with shop_server.connect("e2e_shop") as old, shop_server.connect("e2e_shop_again") as new:
            restored = new.execute(digest).fetchone()
            assert restored == old.execute(digest).fetchone()
            assert restored is not None
            assert restored[0] == rows

    otto.visit(backup)
    with otto.page.expect_download() as download:
        otto.page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".dump.zst.age")
    assert download.value.path().read_bytes().startswith(b"age-encryption.org/v1\n")


def test_a_team_decides_and_seals_what_it_knew(team: Team, portal: Portal, shop: str, tmp_path: Path) -> None:
    lea, sam = team.lea, team.sam
    lea.visit(shop)
    lea.follow("Decision")
    lea.page.get_by_text("Add a role").click()
    lea.page.get_by_label("Role", exact=True).fill("Product owner")
    lea.page.get_by_label("Person").select_option("sam")
    lea.press("Add role")
    lea.page.get_by_label("Also on the agenda").fill("- Who is on call?")
    lea.press("Open a meeting")

    sam.visit(f"{shop}decision/")
    sam.press("Sign as Product owner")
    expect(sam.page.get_by_text("sam signed at NO-GO")).to_be_visible()
    expect(sam.page.get_by_role("button", name=re.compile("Decide|Remove|Add role"))).to_have_count(0)

    lea.visit(f"{shop}decision/")
    lea.page.get_by_label("Decision", exact=True).select_option("GO")
    lea.page.get_by_label("Why, and what was agreed").fill("We feel ready.")
    lea.press("Decide and freeze", status=400)
    expect(lea.page.locator(".errorlist")).to_contain_text("a meeting can be stricter than the verdict")
    lea.page.get_by_label("Decision", exact=True).select_option("NO-GO")
    lea.press("Decide and freeze")
    expect(lea.page.get_by_text("Sealed, signature right")).to_be_visible()
    with lea.page.expect_download() as download:
        lea.page.get_by_role("link", name="Download").click()
    file = tmp_path / "snapshot.json"
    download.value.save_as(file)
    command = [sys.executable, str(PROJECT / "manage.py"), "snapshot", "verify", str(file)]
    env = {**os.environ, "PORTAL_VAR": str(portal.log_dir.parent)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "snapshot 1 of shop-production, NO-GO" in done.stdout

    lea.follow("What changed since")
    expect(lea.page.get_by_text("Nothing that weighs is different.")).to_be_visible()
    for person in (lea, sam, team.otto):
        for page in ("decision/", "snapshots/1/", "snapshots/compare/", "plan/", "costs/"):
            person.visit(f"{shop}{page}")
        person.visit("/environments/compare/")


def test_a_damaged_backup_is_found_and_the_database_replaced_and_brought_back(
    portal: Portal, team: Team, ada: Person, shop: str, shop_server: Server
) -> None:
    otto = team.otto

    def count_orders() -> int:
        with shop_server.connect("e2e_shop") as connection:
            row = connection.execute("SELECT count(*) FROM orders").fetchone()
        return int(row[0]) if row else -1

    otto.visit(shop)
    otto.follow("Back up or restore")
    otto.follow("What a proof asserts")
    otto.page.get_by_label("Name").fill("there are orders")
    otto.page.get_by_label("SQL").fill("SELECT count(*) FROM orders")
    otto.press("Save", status=400)
    expect(otto.page.get_by_text("it has to give one value that is true or false")).to_be_visible()
    otto.page.get_by_label("SQL").fill("SELECT count(*) > 0 FROM orders")
    otto.press("Save")

    otto.visit("/backups/of/shop-production/")
    otto.follow("Take in a dump from elsewhere…")
    script = b"CREATE TABLE parcels (id int);\nINSERT INTO parcels VALUES (1), (2);\n"
    otto.page.get_by_label("File").set_input_files({"name": "a.sql", "mimeType": "text/plain", "buffer": script})
    otto.press("Take in")
    expect(otto.page.locator("h2 .status")).to_have_text("Proven", timeout=60_000)
    expect(otto.page.get_by_text("a.sql, plain SQL")).to_be_visible()
    otto.look()

    backups = []
    for _ in range(2):
        otto.visit("/backups/of/shop-production/")
        otto.press("Back up main now")
        expect(otto.page.locator("h2 .status")).to_have_text("Proven", timeout=60_000)
        expect(otto.page.get_by_text("“there are orders” holds.")).to_be_visible()
        backups.append(otto.page.url)

    # A bit of the older one turns over on the disk.
    artifact = portal.log_dir.parent / "backups" / otto_reads_file(otto, backups[0])
    data = bytearray(artifact.read_bytes())
    data[len(data) // 2] ^= 1
    artifact.write_bytes(data)
    otto.press("Verify again")
    expect(otto.page.locator("h2 .status")).to_have_text("Damaged", timeout=60_000)
    otto.look()

    with shop_server.connect("e2e_shop") as connection:
        connection.execute("DELETE FROM orders WHERE id > 5")
    otto.visit(backups[1])
    otto.follow("Restore single tables into a schema beside…")
    otto.page.get_by_label("Tables").select_option(["public.orders"])
    otto.page.get_by_label("New schema").fill("looked_at")
    otto.page.get_by_label("Type the environment’s name to confirm").fill("Shop production")
    otto.press("Restore tables")
    expect(otto.page.get_by_text("A second operator has to approve it")).to_be_visible()
    ada.visit(otto.page.url)
    ada.press("Approve")
    expect(ada.page.locator("h2 .status")).to_have_text("Passed", timeout=60_000)
    ada.look()
    with shop_server.connect("e2e_shop") as connection:
        assert connection.execute("SELECT count(*) FROM looked_at.orders").fetchone() == (SHOP_ROWS,)

    otto.visit(backups[1])
    otto.follow("Replace the database in use instead…")
    otto.page.get_by_label("Type the name of the environment that is changed").fill("Shop production")
    otto.press("Replace the database in use")
    restore = otto.page.url
    assert count_orders() == 5
    expect(otto.page.get_by_text("A second operator has to approve it")).to_be_visible()
    expect(otto.page.get_by_role("button", name="Approve")).to_have_count(0)
    ada.visit(restore)
    ada.press("Approve")
    expect(ada.page.locator("h2 .status")).to_have_text("Passed", timeout=60_000)
    assert count_orders() == SHOP_ROWS

    otto.visit(restore)
    otto.page.get_by_label("Type the environment’s name to swap it back").fill("Shop production")
    otto.press("Undo")
    expect(otto.page.locator("h2 .status")).to_have_text("Passed", timeout=60_000)
    otto.look()
    assert count_orders() == 5


def otto_reads_file(otto: Person, page: str) -> str:
    """The name of a backup's file, as its page says it."""
    otto.visit(page)
    return otto.page.locator("dt", has_text="File").locator("xpath=following-sibling::dd[1]").inner_text().strip()


def test_a_stakeholder_sees_the_dashboards_and_nothing_else(team: Team, shop: str) -> None:
    sam = team.sam
    sam.visit("/")
    for page in ("Backups", "People", "Admin"):
        expect(sam.page.get_by_role("navigation", name="Main").get_by_role("link", name=page)).to_have_count(0)
    sam.follow_in(".fleet", "Shop production")
    expect(sam.page.get_by_role("button", name=re.compile("Submit|Change|Probe|Back up"))).to_have_count(0)
    sam.visit(f"{shop}probes/")

    closed = ["/backups/", "/backups/1/", "/backups/of/shop-production/", f"{shop}settings/", f"{shop}probes/http/"]
    for path in [*closed, "/environments/add/", "/people/", "/key/", "/admin/", "/admin/readiness/environment/"]:
        sam.visit(path, status=403)
        expect(sam.page.get_by_role("heading", level=1)).to_have_text("Not yours to open")


def test_an_administrator_reads_the_admin(ada: Person, shop: str) -> None:
    ada.visit("/")
    ada.follow("Admin")
    paths = ada.list_links("#content-main th")
    assert {"/admin/readiness/environment/", "/admin/backups/backup/", "/admin/auth/user/"} <= set(paths)
    for path in paths:
        ada.visit(path)


def test_every_page_keeps_the_rules(ada: Person, shop: str) -> None:
    ada.visit(shop)
    paths = ada.list_links("nav[aria-label=Main]") + ada.list_links("nav[aria-label=Environment]")
    assert {"/", "/backups/", "/people/", shop, f"{shop}probes/", f"{shop}settings/"} <= set(paths)
    for path in [*paths, *(f"{shop}probes/{kind}/" for kind in FOUR_KINDS)]:
        ada.visit(path)
    ada.visit(f"{shop}settings/")
    ada.follow("Change main")
    ada.follow("Thresholds")
    ada.visit("/backups/stores/")
    ada.press("Test this store")
    expect(ada.page.get_by_text("The store local works")).to_be_visible()
    ada.visit("/backups/of/shop-production/")
    ada.press("Add schedule")
    ada.follow("Edit")
    ada.page.get_by_label("Without").fill("public.nothing")
    ada.page.get_by_label("No start from").fill("08:00")
    ada.press("Save", status=400)
    expect(ada.page.get_by_text("Give both ends")).to_be_visible()
    ada.page.get_by_label("No start until").fill("09:00")
    ada.press("Save")
    expect(ada.page.get_by_text("part", exact=True)).to_be_visible()
    ada.remove("Remove 30 2 * * * of main")
    for path in ("/key/", "/environments/add/", "/accounts/password/change/", "/accounts/logout/"):
        ada.visit(path)
    ada.visit("/environments/no-such/", status=404)
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("There is nothing here")


def test_whoever_is_not_signed_in_is_asked_to(browser_name: str, portal: Portal, team: Team) -> None:
    stranger = Person(team.sam.context.browser, portal.url, "stranger")  # type: ignore[arg-type]
    for path in ("/", "/backups/", "/admin/", "/environments/shop-production/"):
        stranger.visit(path)
        expect(stranger.page.get_by_role("heading", level=1)).to_have_text("Sign in")
    stranger.visit("/accounts/signup/")
    expect(stranger.page.get_by_role("heading", level=1)).to_have_text("By invitation only")
    stranger.visit("/accounts/password/reset/")
    stranger.context.close()


def test_the_logs_hold_no_error_and_no_secret(portal: Portal, shop: str, shop_server: Server, team: Team) -> None:
    logs = portal.read_logs()
    assert {"web", "worker", "long"} <= logs.keys()
    dsn = conninfo_to_dict(shop_server.dsn())
    secrets = [portal.admin_password, PASSWORD, str(dsn["password"]), team.used_link.rpartition("-")[2]]
    for name, text in logs.items():
        complaint = re.search(r"(?m)^.* (ERROR|CRITICAL) .*(\n.*){,40}", text)
        assert complaint is None, f"{name}: {complaint[0]}"
        assert not [secret for secret in secrets if secret in text], name
