"""Otto adds, connects, changes and retires environments; what was typed wrong is said in words and stored nowhere."""

from __future__ import annotations

from datetime import date

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from portal.models import AuditEvent
from readiness.checklists.template import load_template
from readiness.models import Database, Environment, ItemState, ProbeSchedule
from tests.conftest import Server, SignIn
from tests.readiness.factories import connect, make_environment, make_state
from tests.readiness.pages import read_main, read_text
from tests.servers.certificates import make_root

SECRET = "s3cret-of-the-shop"
DSN = f"postgresql://shop:{SECRET}@db.example.org:5432/shop"


@pytest.fixture
def operator(otto: User, sign_in: SignIn) -> Client:
    """Otto's."""
    return sign_in(otto)


def settings_url(slug: str = "shop") -> str:
    return reverse("environment_settings", args=[slug])


def list_actions() -> list[str]:
    return [str(event) for event in AuditEvent.objects.order_by("pk")]


def add(operator: Client, **fields: str) -> str:
    """Sends the form for a new environment; the page that follows."""
    answer = operator.post(
        reverse("add_environment"), {"name": "Web shop", "kind": "production", **fields}, follow=True
    )
    return answer.content.decode()


def test_it_adds_an_environment_that_says_what_to_connect_next(operator: Client, otto: User) -> None:
    add(operator, tags="eu, shop ,eu", target_date="2026-12-01", owner=str(otto.pk))

    environment = Environment.objects.get(slug="web-shop")
    assert (environment.tags, environment.owner, environment.target_date) == (["eu", "shop"], otto, date(2026, 12, 1))
    assert ItemState.objects.filter(environment=environment).count() == len(load_template().items)
    assert "otto added the environment Web shop" in list_actions()
    page = read_text(operator.get(reverse("environment", args=["web-shop"])))
    assert "Add the frontend’s URL: 8 checklist items will verify by themselves." in page


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"slug": "add"}, "The slug add is taken by the portal itself."),
        ({"slug": "two words"}, "Enter a valid “slug”"),
        ({"name": "!!!"}, "Give a slug: the name holds no letter that could make one."),
        ({"name": ""}, "This field is required."),
        ({"kind": "moon"}, "Select a valid choice."),
        ({"ca_bundle": "no certificate"}, "This is not a bundle of PEM certificates"),
        ({"tags": "x" * 41}, "A tag has at most 40 characters."),
        ({"target_date": "2026-02-30"}, "Enter a valid date."),
    ],
)
def test_it_says_what_is_wrong_with_a_new_environment(operator: Client, fields: dict[str, str], sentence: str) -> None:
    assert sentence in add(operator, **fields)
    assert not Environment.objects.exists()


def test_it_refuses_a_slug_that_is_taken(shop: Environment, operator: Client) -> None:
    assert "There is already an environment with the slug shop." in add(operator, slug="shop")


def test_it_takes_a_private_authority(shop: Environment, operator: Client) -> None:
    pem = make_root().pem

    operator.post(settings_url(), {"name": "Shop", "slug": "shop", "kind": "test", "ca_bundle": pem})

    shop.refresh_from_db()
    assert shop.ca_bundle.strip() == pem.strip()
    assert "otto changed Shop: kind, ca_bundle" in list_actions()


def test_it_shows_what_is_stored_around_a_form_with_a_mistake(shop: Environment, operator: Client) -> None:
    answer = operator.post(settings_url(), {"name": "Renamed", "slug": "", "kind": "moon"})

    assert answer.status_code == 400
    assert "Shop" in read_main(answer)
    shop.refresh_from_db()
    assert shop.name == "Shop"


def test_it_follows_a_changed_slug(shop: Environment, operator: Client) -> None:
    answer = operator.post(settings_url(), {"name": "Shop", "slug": "store", "kind": "test"})

    assert answer["Location"] == settings_url("store")
    assert operator.get(settings_url()).status_code == 404


def test_it_adds_an_endpoint_and_probes_it_at_once(shop: Environment, operator: Client) -> None:
    operator.post(
        reverse("add_endpoint", args=["shop"]), {"role": "api", "url": "https://a.example.org/", "health_path": "/up"}
    )

    endpoint = shop.endpoints.get()
    assert (endpoint.role, endpoint.url, endpoint.health_path) == ("api", "https://a.example.org/", "/up")
    assert set(ProbeSchedule.objects.values_list("kind", flat=True)) == {"http", "tls", "headers", "dns"}
    assert OrmQ.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"url": "https://user:s3cret-pw@a.example.org/"}, "Leave user name and password out of the URL"),
        ({"url": "ftp://a.example.org/"}, "Enter a valid URL."),
        ({"url": "javascript:alert(1)"}, "Enter a valid URL."),
        ({"url": "https://a.example.org/", "health_path": "up"}, "A health path starts with / and has no blanks."),
        ({"url": "https://shop.example.org/"}, "This environment has that URL already."),
        ({"url": "https://a.example.org/", "role": "queen"}, "Select a valid choice."),
    ],
)
def test_it_says_what_is_wrong_with_an_endpoint(
    shop: Environment, operator: Client, fields: dict[str, str], sentence: str
) -> None:
    connect(shop)

    answer = operator.post(reverse("add_endpoint", args=["shop"]), {"role": "frontend", **fields})

    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert shop.endpoints.count() == 2


def test_it_forgets_an_endpoint_of_this_environment_only(shop: Environment, operator: Client) -> None:
    connect(shop)
    stranger = connect(make_environment("other")).endpoints.first()
    assert stranger is not None

    assert operator.post(reverse("remove_endpoint", args=["shop", stranger.pk])).status_code == 404
    for endpoint in shop.endpoints.all():
        operator.post(reverse("remove_endpoint", args=["shop", endpoint.pk]))

    assert list(shop.probe_schedules.values_list("kind", flat=True)) == ["postgres"]
    assert shop.endpoints.count() == 0
    assert stranger.environment.endpoints.count() == 2


def test_it_keeps_a_connection_encrypted_and_never_shows_it_again(shop: Environment, operator: Client) -> None:
    answer = operator.post(reverse("add_database", args=["shop"]), {"name": "main", "dsn": DSN}, follow=True)

    database = shop.databases.get()
    assert database.dsn == DSN
    for page in (
        answer,
        operator.get(settings_url()),
        operator.get(reverse("change_database", args=["shop", database.pk])),
    ):
        assert page.status_code == 200
        assert SECRET not in page.content.decode()
    assert not [action for action in list_actions() if SECRET in action]
    assert not Database.objects.extra(where=["dsn LIKE %s"], params=[f"%{SECRET}%"]).exists()


def test_it_keeps_the_stored_connection_when_none_is_typed(shop: Environment, operator: Client) -> None:
    database = Database.objects.create(environment=shop, name="main", dsn=DSN)

    operator.post(reverse("change_database", args=["shop", database.pk]), {"name": "renamed", "dsn": ""})

    database.refresh_from_db()
    assert (database.name, database.dsn) == ("renamed", DSN)


def test_it_keeps_the_plan_and_the_role_of_the_application(shop: Environment, operator: Client) -> None:
    fields = {"name": "main", "dsn": DSN, "application_role": "shop_app", "plan_storage_bytes": "10 GB"}

    operator.post(reverse("add_database", args=["shop"]), fields)

    database = shop.databases.get()
    assert (database.application_role, database.plan_storage_bytes) == ("shop_app", 10 * 2**30)
    page = operator.get(reverse("change_database", args=["shop", database.pk])).content.decode()
    assert 'value="10 GB"' in page
    assert reverse("change_thresholds", args=["shop", database.pk]) in page


def test_it_does_not_repeat_a_secret_in_a_form_with_a_mistake(shop: Environment, operator: Client) -> None:
    for dsn in (DSN, f"postgresql://shop:{SECRET}@db:notaport/x", f"host=db password={SECRET} bogus=1"):
        answer = operator.post(reverse("add_database", args=["shop"]), {"name": "two words", "dsn": dsn})

        page = answer.content.decode()
        assert answer.status_code == 400
        assert "Use letters, digits, dots, dashes and underscores." in page
        assert SECRET not in page


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "main", "dsn": DSN}, "This environment has a database called main already."),
        ({"name": "log", "dsn": ""}, "This field is required."),
        ({"name": "log", "dsn": "host=db bogus=1"}, "The connection string cannot be parsed"),
    ],
)
def test_it_says_what_is_wrong_with_a_database(
    shop: Environment, operator: Client, fields: dict[str, str], sentence: str
) -> None:
    connect(shop)

    answer = operator.post(reverse("add_database", args=["shop"]), fields)

    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert shop.databases.count() == 1


def test_it_shows_references_as_they_are(shop: Environment, operator: Client) -> None:
    Database.objects.create(environment=shop, name="main", dsn="env:SHOP_DSN")

    assert "env:SHOP_DSN" in operator.get(settings_url()).content.decode()


def test_it_forgets_a_database(shop: Environment, operator: Client) -> None:
    connect(shop)
    database = shop.databases.get()

    operator.post(reverse("remove_database", args=["shop", database.pk]))

    assert shop.databases.count() == 0
    assert not shop.probe_schedules.filter(kind="postgres").exists()


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "part"])
def test_it_tests_a_connection_and_stores_nothing(
    shop: Environment, operator: Client, server: Server, headers: dict[str, str]
) -> None:
    database = Database.objects.create(environment=shop, name="main", dsn=server.url("postgres"))

    page = operator.post(reverse("test_connection", args=["shop", database.pk]), headers=headers).content.decode()

    assert "PostgreSQL" in page
    assert ("<html" in page) is (not headers)
    assert shop.probe_states.count() == 0


def test_it_says_why_a_connection_cannot_be_had(shop: Environment, operator: Client) -> None:
    database = Database.objects.create(environment=shop, name="main", dsn="env:NOT_SET_ANYWHERE")

    page = operator.post(reverse("test_connection", args=["shop", database.pk])).content.decode()

    assert "The environment variable NOT_SET_ANYWHERE is not set where the portal runs." in page


def test_it_lets_a_connection_that_no_key_opens_be_replaced(
    shop: Environment, operator: Client, settings: Settings
) -> None:
    database = Database.objects.create(environment=shop, name="main", dsn=DSN)
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    change = reverse("change_database", args=["shop", database.pk])

    assert "cannot be decrypted" in read_text(operator.get(settings_url()))
    assert (
        "cannot be decrypted" in operator.post(reverse("test_connection", args=["shop", database.pk])).content.decode()
    )
    assert operator.get(change).status_code == 200
    assert operator.post(change, {"name": "main", "dsn": ""}).status_code == 400
    assert operator.post(change, {"name": "main", "dsn": "env:SHOP_DSN"}).status_code == 302
    assert shop.databases.get().dsn == "env:SHOP_DSN"


def test_it_retires_an_environment_and_brings_it_back(shop: Environment, operator: Client) -> None:
    connect(shop)
    make_state(shop, "http")

    operator.post(reverse("retire_environment", args=["shop"]))
    assert shop.probe_schedules.count() == 0
    assert "Nothing to watch yet" in read_main(operator.get("/"))
    assert operator.get(reverse("environment", args=["shop"])).status_code == 200
    assert operator.post(reverse("probe_now", args=["shop"])).status_code == 404

    operator.post(reverse("retire_environment", args=["shop"]))
    assert shop.probe_schedules.count() == 5
    assert shop.probe_states.count() == 1
    assert [action for action in list_actions() if "Shop" in action] == ["otto retired Shop", "otto brought back Shop"]


def test_it_does_not_silently_keep_the_old_connection_when_a_new_one_must_be_typed_again(
    shop: Environment, operator: Client
) -> None:
    database = Database.objects.create(environment=shop, name="main", dsn="env:OLD")

    answer = operator.post(reverse("change_database", args=["shop", database.pk]), {"name": "two words", "dsn": DSN})

    assert "Type the connection again, too" in read_text(answer)
    assert SECRET not in answer.content.decode()


def test_the_menu_says_that_a_page_of_an_environment_belongs_to_the_environments(
    shop: Environment, operator: Client
) -> None:
    page = operator.get(reverse("environment_settings", args=[shop.slug])).content.decode()

    menu = page.split('aria-label="Main"')[1].split("</nav>")[0]
    assert menu.count("aria-current") == 1
    assert 'aria-current="true">Environments' in menu
