"""Thresholds of a database in the browser: all of them, with what is wrong in words, and used at once."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django_q.models import OrmQ

from portal.models import AuditEvent
from readiness.models import Database, Environment
from readiness.probes.postgres_health.thresholds import NAMES
from tests.conftest import SignIn
from tests.readiness.factories import connect, make_environment


@pytest.fixture
def main(shop: Environment) -> Database:
    connect(shop)
    return shop.databases.get()


def thresholds_url(database: Database, slug: str = "shop") -> str:
    return reverse("change_thresholds", args=[slug, database.pk])


def test_it_offers_every_threshold_with_its_default(main: Database, otto: User, sign_in: SignIn) -> None:
    page = sign_in(otto).get(thresholds_url(main)).content.decode()

    assert all(f'name="{name}"' in page for name in NAMES)
    assert 'placeholder="100 MB"' in page
    assert 'placeholder="500000000"' in page


def test_it_stores_what_departs_from_the_defaults_and_probes_at_once(
    main: Database, otto: User, sign_in: SignIn
) -> None:
    typed = {"connections_warn_percent": "80", "slot_warn_bytes": "500 MB", "xid_age_warn": "500000000"}

    page = sign_in(otto).post(thresholds_url(main), typed, follow=True).content.decode()

    main.refresh_from_db()
    assert main.thresholds == {"connections_warn_percent": 80, "slot_warn_bytes": 500 * 2**20}
    assert "2 differ from the defaults" in page
    assert 'value="500 MB"' in page
    assert 'value="80"' in page
    assert OrmQ.objects.count() == 1
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.detail["thresholds"]) == ("changed the thresholds of the database", main.thresholds)


def test_it_goes_back_to_the_defaults_where_a_field_is_emptied(main: Database, otto: User, sign_in: SignIn) -> None:
    Database.objects.update(thresholds={"connections_warn_percent": 80})

    sign_in(otto).post(thresholds_url(main), {"connections_warn_percent": ""})

    main.refresh_from_db()
    assert main.thresholds == {}


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"connections_warn_percent": "95"}, "It would fail (at 90) before it warns (at 95)."),
        ({"cache_hit_fail_percent": "99.5"}, "It would fail (at 99.5) before it warns (at 99)."),
        ({"archiver_warn_seconds": "60"}, "It would fail (at 3600) before it warns (at 60)."),
        ({"blocked_warn_seconds": "-1"}, "Ensure this value is greater than or equal to 0."),
        ({"blocked_warn_seconds": "soon"}, "Enter a number."),
        ({"blocked_warn_seconds": "nan"}, "Enter a number."),
        ({"bloat_bytes": "large"}, "Give a size such as 500 MB, 10 GB, or a number of bytes."),
    ],
)
def test_it_says_what_is_wrong_with_a_threshold(
    main: Database, otto: User, sign_in: SignIn, typed: dict[str, str], sentence: str
) -> None:
    answer = sign_in(otto).post(thresholds_url(main), typed)

    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    main.refresh_from_db()
    assert main.thresholds == {}


def test_it_changes_databases_of_this_environment_only_and_by_those_who_may(
    main: Database, otto: User, lea: User, sign_in: SignIn
) -> None:
    make_environment("other")

    assert sign_in(otto).get(thresholds_url(main, "other")).status_code == 404
    assert sign_in(lea).post(thresholds_url(main), {"blocked_warn_seconds": "1"}).status_code == 403
    main.refresh_from_db()
    assert main.thresholds == {}
