"""The product itself for the stories: `make run` in a directory of its own, a site, a shop, and a team of people."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from portal import roles, run_state
from portal.embedded_postgres import Cluster
from tests.conftest import PASSWORD, PROJECT, Server
from tests.e2e.browsing import Person
from tests.servers.sockets import LocalServer
from tests.servers.web import Answer, serve_site

SHOP_ROWS = 2_000
SHOP = (
    "CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL)",
    "INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 100) AS n",
    "CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, note text)",
    f"INSERT INTO orders SELECT n, 1 + n % 100, md5(n::text) FROM generate_series(1, {SHOP_ROWS}) AS n",
)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    """Debian's Chromium, which talks to nobody but the product."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.fail("Chromium is missing, and the stories are told in it: apt install chromium")
    quiet = ["quic", "background-networking", "component-update", "sync"]
    return {
        "executable_path": chromium,
        "args": ["--no-sandbox", "--disable-gpu", "--no-first-run", *(f"--disable-{what}" for what in quiet)],
    }


@dataclass
class Portal:
    """The running product: where it is, and what it said when it started."""

    url: str
    admin_password: str
    log_dir: Path

    def read_logs(self) -> dict[str, str]:
        """What every process has written so far, by the name of the process."""
        return {path.stem: path.read_text() for path in self.log_dir.glob("*.log")}


@pytest.fixture(scope="session")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """The product from nothing, as somebody starts it who has just cloned it; no demonstration."""
    var_dir = tmp_path_factory.mktemp("e2e") / "var"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"PORTAL_VAR": str(var_dir), "PORT": str(port), "DEMO": "0"}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run"],
        cwd=PROJECT,
        env={**{name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}, **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield _wait_until_ready(process, var_dir / "log")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
        run_state.stop_run(var_dir)
        Cluster.locate(var_dir).remove()


def _wait_until_ready(process: subprocess.Popen[str], log_dir: Path) -> Portal:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if ready := re.match(r"Preflight is ready: (\S+)/ ", line):
            password = re.search(r"Sign in as admin with the password (\S+)", "".join(said))
            assert password is not None, said
            return Portal(ready[1], password[1], log_dir)
    raise AssertionError(f"the portal did not start: {said}")


@pytest.fixture(scope="session")
def ada(browser: Browser, portal: Portal) -> Person:
    """The first administrator, with the password that the start has printed."""
    ada = Person(browser, portal.url, "admin", portal.admin_password)
    ada.sign_in()
    return ada


@dataclass
class Team:
    """People whom the administrator has invited, each signed in in a browser of their own."""

    lea: Person
    otto: Person
    sam: Person
    # Of one of them: the link that was used up.
    used_link: str


@pytest.fixture(scope="session")
def team(browser: Browser, portal: Portal, ada: Person) -> Team:
    """A team lead, an operator and a stakeholder, invited and let in through the pages."""
    people, link = {}, ""
    for name, role in (("lea", roles.TEAM_LEAD), ("otto", roles.OPERATOR), ("sam", roles.STAKEHOLDER)):
        link = invite(ada, name, role)
        people[name] = Person(browser, portal.url, name, PASSWORD)
        choose_password(people[name], link)
        people[name].sign_in()
    return Team(**people, used_link=link)


def invite(ada: Person, name: str, role: str) -> str:
    """Invite somebody on the page for people; the link to pass on."""
    ada.visit("/")
    ada.follow("People")
    ada.page.get_by_label("User name").fill(name)
    ada.page.get_by_label("E-mail").fill(f"{name}@example.org")
    ada.page.get_by_label("Role", exact=True).select_option(role)
    ada.press("Invite")
    return ada.page.get_by_label("Link").input_value()


def choose_password(person: Person, link: str) -> None:
    """What somebody does with such a link."""
    person.visit(link)
    for field in ("New Password", "New Password (again)"):
        person.page.get_by_label(field, exact=True).fill(person.password)
    person.press("Change Password")


@pytest.fixture(scope="session")
def site() -> Iterator[LocalServer]:
    """A site over plain HTTP with a poor set of headers."""
    with serve_site(Answer()) as server:
        yield server


@pytest.fixture(scope="session")
def shop_server() -> Iterator[Server]:
    """A server other than the portal's own, with the database of a small shop."""
    server = Server()
    server.create_database("e2e_shop", *SHOP)
    yield server
    with server.connect() as connection:
        names = [row[0] for row in connection.execute("SELECT datname FROM pg_database").fetchall()]
        kept = [name for name in names if name.startswith("preflight_kept_")]
        for name in kept:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    for name in [*server.made, *kept]:
        server.drop_database(name)


@pytest.fixture(scope="session")
def shop(team: Team, site: LocalServer, shop_server: Server) -> str:
    """The path of an environment that the operator has added in the browser, with a URL and a database."""
    otto = team.otto
    otto.visit("/")
    otto.follow("Add environment")
    otto.page.get_by_label("Name", exact=True).fill("Shop production")
    otto.page.get_by_label("Tags").fill("shop, critical")
    otto.press("Add environment")
    otto.page.get_by_label("URL", exact=True).fill(site.url)
    otto.press("Add endpoint")
    otto.page.get_by_label("Connection", exact=True).fill(shop_server.url("e2e_shop"))
    otto.press("Add database")
    return "/environments/shop-production/"
