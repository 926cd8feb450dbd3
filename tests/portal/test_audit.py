"""Who did what is kept, and outlives account and environment."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, User

from portal import audit
from portal.models import AuditEvent
from tests.readiness.factories import make_environment

pytestmark = pytest.mark.django_db


def test_it_keeps_who_did_what_to_which_environment(otto: User) -> None:
    audit.record("probed", actor=otto, environment=make_environment(), subject="Shop", detail={"count": 4})

    event = AuditEvent.objects.get()
    assert str(event) == "otto probed Shop"
    assert (event.actor, event.environment_slug, event.detail) == (otto, "shop", {"count": 4})


def test_it_outlives_the_account_and_the_environment(otto: User) -> None:
    environment = make_environment()
    audit.record("probed", actor=otto, environment=environment, subject="Shop")

    otto.delete()
    environment.delete()

    event = AuditEvent.objects.get()
    assert (event.actor, event.actor_name, event.environment_slug) == (None, "otto", "shop")


@pytest.mark.parametrize(
    ("given", "name"),
    [({}, "Preflight"), ({"actor": AnonymousUser()}, "Preflight"), ({"actor_name": "command line"}, "command line")],
)
def test_it_names_who_acted_where_there_is_no_account(given: dict[str, object], name: str) -> None:
    event = audit.record("pruned", **given)  # type: ignore[arg-type]

    assert (event.actor_id, event.actor_name) == (None, name)


def test_it_cuts_a_subject_that_is_too_long() -> None:
    assert len(audit.record("changed", subject="x" * 500).subject) == 200
