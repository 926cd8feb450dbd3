"""What people do with the product, told in Chromium against the running product."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from psycopg.conninfo import conninfo_to_dict

from tests.conftest import PASSWORD, Server
from tests.e2e.browsing import Person
from tests.e2e.conftest import SHOP_ROWS, Portal, Team

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


def test_a_team_lead_ticks_comments_and_unticks_an_item(team: Team, shop: str) -> None:
    lea = team.lea
    lea.visit("/")
    lea.follow_in(".fleet", "Shop production")
    first = lea.page.get_by_role("button", name=re.compile("^Tick ")).first
    title = (first.get_attribute("aria-label") or "").removeprefix("Tick ")

    lea.press(f"Tick {title}")
    expect(lea.page.locator("li.item", has_text=title)).to_contain_text(
        re.compile(r"ticked by lea\s+(just now|\d+ s ago)")
    )

    lea.page.locator("li.item").get_by_role("link", name=title, exact=True).click()
    expect(lea.page.get_by_role("heading", level=1)).to_have_text(title)
    lea.look()
    lea.page.get_by_label("Comment").fill("Seen on staging,\n<b>twice</b>.")
    lea.press("Comment")
    lea.press("Untick")

    history = lea.page.locator("section", has=lea.page.get_by_role("heading", name="Comments and history"))
    expect(history.get_by_role("listitem")).to_have_count(3)
    for place, what in enumerate(("unticked", "commented", "ticked")):
        expect(history.get_by_role("listitem").nth(place)).to_contain_text(f"lea {what}")
    expect(history).to_contain_text("<b>twice</b>")
    expect(
        lea.page.get_by_text("Nobody has ticked it yet.").or_(lea.page.get_by_text("Unticked by lea"))
    ).to_be_visible()

    lea.follow("Deutsch")
    expect(lea.page.get_by_role("heading", name="Warum")).to_be_visible()
    expect(lea.page.get_by_role("heading", level=1)).not_to_have_text(title)
    lea.visit(shop)
    expect(lea.page.get_by_role("heading", name="HTTPS Setup")).to_be_visible()
    lea.follow("English")


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
    expect(otto.page.locator("h2 .status")).to_have_text("Passed", timeout=60_000)
    otto.look()
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
    expect(sam.page.get_by_role("button", name=re.compile("Tick|Probe|Back up"))).to_have_count(0)
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
    ada.press("Remove")
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
