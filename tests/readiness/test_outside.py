"""What comes from outside: facts without values, deploys, and programs that are let in by their tokens alone."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from portal.models import AuditEvent
from readiness import tokens
from readiness.checklists import workflow
from readiness.checklists.life import Action
from readiness.checklists.verification import ItemStanding
from readiness.checklists.workflow.items import read_standing
from readiness.models import ApiToken, Deploy, Environment, PostedFact
from readiness.outside import OutsideError, post_facts
from tests.readiness.factories import connect, make_environment

pytestmark = pytest.mark.django_db

GOOD = {"setting.DATABASE_URL": "set", "setting.SENTRY_DSN": "missing", "secret_bits.JWT_SECRET": "256"}


def make_token(by: User, *scopes: str, environment: Environment | None = None, **fields: Any) -> str:
    wanted = scopes or ApiToken.Scope.values
    return tokens.make_token("CI", wanted, environment=environment, by=by, now=timezone.now(), **fields).secret


def post(what: str, body: Any, secret: str = "", slug: str = "shop") -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body)
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    answer = Client(enforce_csrf_checks=True).post(
        reverse(f"api_{what}", args=[slug]), data, content_type="application/json", headers=headers
    )
    return answer.status_code, json.loads(answer.content)


def run(*arguments: str) -> tuple[int, str, str]:
    stdout, stderr, status = StringIO(), StringIO(), 0
    try:
        call_command(*arguments, stdout=stdout, stderr=stderr)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, stdout.getvalue(), stderr.getvalue()


def kept() -> dict[str, Any]:
    return dict(PostedFact.objects.values_list("name", "value"))


def test_it_keeps_facts_and_replaces_them_by_name(shop: Environment) -> None:
    now = timezone.now()
    post_facts(shop, GOOD, by="CI", now=now - timedelta(days=1))
    post_facts(shop, {"secret_bits.JWT_SECRET": 512, "schema_provider": "PostgreSQL"}, by="CI", now=now)

    assert kept() == {
        "setting.DATABASE_URL": True,
        "setting.SENTRY_DSN": False,
        "secret_bits.JWT_SECRET": 512,
        "schema_provider": "postgresql",
    }
    assert PostedFact.objects.get(name="secret_bits.JWT_SECRET").posted_at == now


SECRET = "hunter2-" + "x" * 30


@pytest.mark.parametrize(
    "fact",
    [
        {"setting.JWT_SECRET": SECRET},
        {"secret_bits.JWT_SECRET": SECRET},
        {"secret_bits.JWT_SECRET": -1},
        {"secret_bits.JWT_SECRET": True},
        {"secret_bits.JWT_SECRET": 2.5},
        {"schema_provider": SECRET},
        {"schema_provider": None},
        {"setting.A B": "set"},
        {"setting.": "set"},
        {f"setting.{'a' * 101}": "set"},
        {SECRET: "set"},
        {"JWT_SECRET": SECRET},
        {"setting.JWT_SECRET": [SECRET]},
    ],
)
def test_it_takes_no_values_and_repeats_none(shop: Environment, fact: dict[str, Any]) -> None:
    with pytest.raises(OutsideError) as refusal:
        post_facts(shop, {**GOOD, **fact}, by="CI", now=timezone.now())

    assert SECRET not in str(refusal.value)
    assert "never a value" in str(refusal.value)
    assert kept() == {}


def test_the_command_keeps_facts(shop: Environment) -> None:
    assert run("facts", "post", "shop", *(f"{name}={value}" for name, value in GOOD.items())) == (
        *(0, "shop: 3 facts kept\n", ""),
    )
    assert len(kept()) == 3


def test_the_item_names_the_fact_that_nobody_posts_any_more(shop: Environment, lea: User) -> None:
    now = timezone.now()
    facts = {"setting.OLD": "set", "setting.NEW": "set", "secret_bits.JWT_SECRET": 256, "schema_provider": "postgresql"}
    post_facts(shop, facts, by="CI", now=now)
    PostedFact.objects.filter(name="setting.OLD").update(posted_at=now - timedelta(days=400))

    def read() -> ItemStanding:
        return read_standing(shop, "env_vars", now)

    assert (read().state, read().sentence[:29]) == ("stale", "CI has not posted setting.OLD")
    run("facts", "forget", "shop", "setting.OLD")
    assert read().state == "verified"


def test_the_command_lists_and_forgets_facts(shop: Environment) -> None:
    assert run("facts", "list", "shop") == (0, "", "")
    run("facts", "post", "shop", *(f"{name}={value}" for name, value in GOOD.items()))

    lines = run("facts", "list", "shop")[1].splitlines()
    assert [line.partition("  ")[0] for line in lines] == [f"{name}={GOOD[name]}" for name in sorted(GOOD)]
    listed = json.loads(run("facts", "list", "shop", "--json")[1].splitlines()[0])
    assert (listed["name"], listed["value"]) == ("secret_bits.JWT_SECRET", 256)

    assert run("facts", "forget", "shop", "setting.SENTRY_DSN") == (0, "shop: 1 fact forgotten\n", "")
    assert set(kept()) == {"secret_bits.JWT_SECRET", "setting.DATABASE_URL"}
    assert AuditEvent.objects.filter(action="forgot facts about").get().detail == {"names": ["setting.SENTRY_DSN"]}
    refused = run("facts", "forget", "shop", "setting.SENTRY_DSN", "setting.DATABASE_URL")
    assert refused == (2, "", "Nothing of that name was posted: 'setting.SENTRY_DSN'.\n")
    assert "setting.DATABASE_URL" in kept()


@pytest.mark.parametrize("argument", ["setting.X", "X=1", "secret_bits.X=many"])
def test_the_command_refuses_what_is_no_fact(shop: Environment, argument: str) -> None:
    status, stdout, stderr = run("facts", "post", "shop", argument)

    assert (status, stdout, kept()) == (2, "", {})
    assert stderr.count("\n") == 1


def test_the_commands_name_the_environments_there_are(shop: Environment) -> None:
    for arguments in (["facts", "post", "no", "setting.X=set"], ["deploy", "record", "no", "--release", "1"]):
        assert run(*arguments) == (2, "", "There is no environment 'no'; there are: shop.\n")


def test_a_deploy_is_kept_shown_and_followed_by_probes(sam: User, lea: User, sign_in: Any) -> None:
    connect(make_environment())
    status, stdout, stderr = run("deploy", "record", "shop", "--release", "2026.11.1")

    assert (status, stdout, stderr) == (0, "shop: 2026.11.1 recorded, 0 items are stale now\n", "")
    assert Deploy.objects.get().release == "2026.11.1"
    assert OrmQ.objects.exists()
    assert "deployed 2026.11.1" in sign_in(sam).get(reverse("environment", args=["shop"])).content.decode()
    history = sign_in(lea).get(reverse("probe_history", args=["shop", "http"])).content.decode()
    assert "2026.11.1" in history


@pytest.mark.parametrize("release", ["", "   ", "x" * 201, "a\nb"])
def test_a_release_has_a_name(shop: Environment, ada: User, release: str) -> None:
    assert run("deploy", "record", "shop", f"--release={release}")[0] == 2
    assert post("deploys", {"release": release}, make_token(ada))[0] == 400
    assert not Deploy.objects.exists()


def test_a_program_posts_facts_and_deploys(shop: Environment, ada: User) -> None:
    secret = make_token(ada, "facts", "deploys", environment=shop)

    assert post("facts", {"setting.DATABASE_URL": True, "secret_bits.JWT_SECRET": 256}, secret) == (
        200,
        {"environment": "shop", "kept": ["secret_bits.JWT_SECRET", "setting.DATABASE_URL"]},
    )
    status, answer = post("deploys", {"release": "1.2.3"}, secret)
    assert (status, answer["release"], answer["stale"]) == (201, "1.2.3", 0)

    assert {event.actor_name for event in AuditEvent.objects.all()} == {"token CI"}
    assert Deploy.objects.get().recorded_by == "token CI"
    assert ApiToken.objects.get().last_used_at is not None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 60_000, b"{}"])
def test_a_body_that_is_no_object_is_refused(shop: Environment, ada: User, body: bytes) -> None:
    status, answer = post("facts", body, make_token(ada))

    assert (status, list(answer)) == (400, ["error"])


def test_a_body_that_is_too_large_is_refused(shop: Environment, ada: User) -> None:
    facts = {f"setting.NAME_{number}": "set" for number in range(3_000)}

    assert post("facts", facts, make_token(ada)) == (400, {"error": "A body has at most 64000 bytes."})
    few = dict(list(facts.items())[:201])
    assert post("facts", few, make_token(ada)) == (400, {"error": "At most 200 facts are taken at once."})


def test_a_body_beyond_what_is_read_at_all_is_refused_in_json_too(shop: Environment, ada: User) -> None:
    assert post("facts", b"x" * 3_000_000, make_token(ada)) == (400, {"error": "A body has at most 64000 bytes."})


def test_a_body_that_did_not_arrive_is_named(shop: Environment, ada: User) -> None:
    assert post("facts", b"", make_token(ada)) == (
        *(400, {"error": "There is no body, or it came without its Content-Length."}),
    )


def test_the_command_counts_what_is_stale(shop: Environment, lea: User, ada: User) -> None:
    state = workflow.move(shop, "local_run", Action.SUBMIT, by=lea, version=0)
    assert state.state == "verified"

    assert run("deploy", "record", "shop", "--release", "v2")[1] == "shop: v2 recorded, 1 item is stale now\n"


def test_other_methods_are_refused_in_json(shop: Environment, ada: User) -> None:
    headers = {"authorization": f"Bearer {make_token(ada)}"}
    for name, method, allowed in (
        ("api_facts", "GET", "POST"),
        ("api_deploys", "DELETE", "POST"),
        ("api_facts", "OPTIONS", "POST"),
        ("api_gate", "POST", "GET, HEAD"),
    ):
        answer = Client().generic(method, reverse(name, args=["shop"]), headers=headers)
        assert (answer.status_code, answer["Allow"], list(answer.json())) == (405, allowed, ["error"])


TOKENS = (
    f"pf_{'a1B-' * 11}",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "AKIAIOSFODNN7EXAMPLE",
    "postgres://shop:hunter2@db.example.org/shop",
)


@pytest.mark.parametrize("release", TOKENS)
def test_a_secret_is_not_kept_as_a_release(shop: Environment, ada: User, release: str) -> None:
    status, answer = post("deploys", {"release": f"v1 {release}"}, make_token(ada))

    assert status == 400
    assert release not in str(answer)
    assert run("deploy", "record", "shop", f"--release={release}")[0] == 2
    assert not Deploy.objects.exists()


@pytest.mark.parametrize("release", ["v1.2.3", "shop@1.2.3", "2026-11-24T12:00", "a" * 40, "feature/token-refresh+7"])
def test_a_release_is_called_what_releases_are_called(shop: Environment, ada: User, release: str) -> None:
    assert post("deploys", {"release": release}, make_token(ada))[0] == 201


@pytest.mark.parametrize("name", ["ghp_16C7e42F292c6912E7710c838347Ae178B4a", "AKIAIOSFODNN7EXAMPLE"])
def test_a_secret_is_not_kept_as_the_name_of_a_setting(shop: Environment, ada: User, name: str) -> None:
    status, answer = post("facts", {f"setting.{name}": "set"}, make_token(ada))

    assert (status, kept()) == (400, {})
    assert name not in str(answer)


@pytest.mark.parametrize("body", [{}, {"release": 1}, {"release": "v1", "environment": "other"}, {"Release": "v1"}])
def test_a_deploy_says_its_release_and_nothing_else(shop: Environment, ada: User, body: dict[str, Any]) -> None:
    assert post("deploys", body, make_token(ada)) == (400, {"error": 'Send {"release": "…"}, and nothing else.'})
    assert not Deploy.objects.exists()


def test_nobody_is_let_in_without_a_good_token(shop: Environment, ada: User) -> None:
    now = timezone.now()
    old = make_token(ada, expires_at=now - timedelta(seconds=1))
    revoked = make_token(ada)
    assert tokens.revoke_token(ApiToken.objects.get(expires_at=None).pk, now)

    for secret in ("", "pf_nonsense", "pf_\x00", old, revoked):
        assert post("facts", GOOD, secret)[0] == 401
    assert kept() == {}


def test_a_session_lets_nobody_into_the_api(shop: Environment, ada: User, sign_in: Any) -> None:
    assert sign_in(ada).post(reverse("api_facts", args=["shop"]), GOOD).status_code == 401
    assert sign_in(ada).get(reverse("api_gate", args=["shop"])).status_code == 401


def test_a_token_is_for_what_and_where_it_says(shop: Environment, ada: User) -> None:
    other = make_environment("other")
    for secret, what, slug, status in (
        (make_token(ada, "gate"), "facts", "shop", 403),
        (make_token(ada, "facts"), "deploys", "shop", 403),
        (make_token(ada, "facts", environment=other), "facts", "shop", 403),
        (make_token(ada, "facts", environment=other), "facts", "no-such", 403),
        (make_token(ada, "facts"), "facts", "no-such", 404),
        (make_token(ada, "facts", environment=other), "facts", "other", 200),
        (make_token(ada, "facts"), "facts", "other", 200),
    ):
        assert post(what, {"setting.X": "set"}, secret, slug)[0] == status


def test_only_a_hash_of_a_token_is_kept(ada: User) -> None:
    secret = make_token(ada)
    row = ApiToken.objects.values().get()

    assert len(secret) > 40
    assert secret not in str(row)
    assert row["hint"] == secret[:7]


def test_a_token_is_shown_once_and_can_be_revoked(shop: Environment, ada: User, lea: User, sign_in: Any) -> None:
    browser = sign_in(ada)
    wanted = {"name": "GitHub", "scopes": ["gate", "facts"], "environment": shop.pk, "expires_on": ""}
    page = browser.post(reverse("tokens"), wanted)
    token = ApiToken.objects.get()
    secret = page.content.decode().partition('value="pf_')[2].partition('"')[0]
    assert tokens.find_token(f"pf_{secret}", timezone.now()) == token
    assert "no-store" in page["Cache-Control"]
    assert secret not in browser.get(reverse("tokens")).content.decode()
    assert secret not in str(list(AuditEvent.objects.values()))

    browser.post(reverse("revoke_token", args=[token.pk]))

    assert tokens.find_token(f"pf_{secret}", timezone.now()) is None
    assert [event.action for event in AuditEvent.objects.order_by("pk")] == [
        "made the API token",
        "revoked the API token",
    ]
    assert sign_in(lea).get(reverse("tokens")).status_code == 403


@pytest.mark.parametrize("wrong", [{"name": ""}, {"scopes": []}, {"scopes": ["all"]}, {"expires_on": "2020-01-01"}])
def test_a_token_wants_a_name_and_a_purpose(ada: User, sign_in: Any, wrong: dict[str, Any]) -> None:
    wanted = {"name": "GitHub", "scopes": ["gate"], "expires_on": "", **wrong}

    assert sign_in(ada).post(reverse("tokens"), wanted).status_code == 400
    assert not ApiToken.objects.exists()
