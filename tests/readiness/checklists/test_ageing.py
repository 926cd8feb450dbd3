"""Items go stale by themselves: evidence ages, probes fail, the template changes, a release goes out."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from readiness import claims, tasks
from readiness.checklists import workflow
from readiness.checklists.assessment import assess
from readiness.checklists.life import Action, State
from readiness.checklists.template import load_template
from readiness.checklists.workflow import Exhibit
from readiness.models import Alert, AlertRule, Endpoint, Environment, ItemEvent, ItemState, Waiver
from readiness.outside import record_deploy
from tests.readiness.alerts.factories import make_channel, make_rule
from tests.readiness.factories import connect, make_environment, make_ready, make_state
from tests.servers.certificates import Identity, make_certificate, make_root
from tests.servers.web import Answer, serve_https_site

pytestmark = pytest.mark.django_db

APPROVED = "backup_strategy"
HYBRID = "postgresql.migration_done"
AUTOMATIC = "https.certificates"


def read(environment: Environment, key: str) -> ItemState:
    return ItemState.objects.get(environment=environment, key=key)


def tick(later: timedelta = timedelta()) -> int:
    return workflow.settle(timezone.now() + later)


def newest(environment: Environment, key: str) -> tuple[str, str, str, str]:
    event = ItemEvent.objects.filter(environment=environment, key=key)[0]
    return event.actor_name, event.kind, event.to_state, event.text


def verify(environment: Environment, key: str, lea: User, ada: User) -> None:
    evidence = Exhibit(url="https://wiki.example.org/")
    workflow.move(environment, key, Action.SUBMIT, by=lea, version=read(environment, key).version, evidence=evidence)
    workflow.move(environment, key, Action.APPROVE, by=ada, version=read(environment, key).version)
    assert read(environment, key).state == State.VERIFIED


def test_facts_verify_automatic_items_and_take_it_back() -> None:
    shop = connect(make_environment())
    make_state(shop, "tls")
    tick()
    assert newest(shop, AUTOMATIC) == ("Preflight", "verify", "verified", "80 days left.")

    make_state(shop, "tls", "fail", summary="It has expired.", data={"trusted": False})
    tick()

    assert read(shop, AUTOMATIC).state == State.STALE
    assert newest(shop, AUTOMATIC) == ("Preflight", "age", "stale", "It has expired.")
    assert tick() == 0


def test_what_people_verified_ages_after_its_days(lea: User, ada: User) -> None:
    shop = make_environment()
    verify(shop, APPROVED, lea, ada)
    days = load_template().item(APPROVED).valid_days
    assert tick(timedelta(days=days, seconds=-60)) == 0

    assert tick(timedelta(days=days, seconds=60)) == 1

    assert newest(shop, APPROVED) == ("Preflight", "age", "stale", f"It was verified more than {days} days ago.")
    again = workflow.move(
        shop, APPROVED, Action.SUBMIT, by=lea, version=read(shop, APPROVED).version, evidence=Exhibit("https://x.org/")
    )
    assert (again.state, again.approvals.count()) == (State.SUBMITTED, 0)


def test_a_fact_against_it_takes_a_signature_away(lea: User, ada: User) -> None:
    shop = connect(make_environment())
    make_state(shop, "postgres")
    verify(shop, HYBRID, lea, ada)
    tick()
    assert read(shop, HYBRID).state == State.VERIFIED

    make_state(shop, "postgres", data={"tables": 0})
    tick()

    assert read(shop, HYBRID).state == State.STALE


@pytest.mark.parametrize("change", [{"status": "error"}, {"observed_at": datetime.fromisoformat("2020-01-01T00Z")}])
def test_a_probe_that_cannot_tell_takes_no_signature_away(change: dict[str, Any], lea: User, ada: User) -> None:
    shop = connect(make_environment())
    make_state(shop, "postgres")
    verify(shop, HYBRID, lea, ada)

    make_state(shop, "postgres", **change)
    tick()

    assert read(shop, HYBRID).state == State.VERIFIED
    standings = assess([shop], timezone.now())[shop.pk].standings
    assert not next(one for one in standings if one.item.key == HYBRID).is_done


def test_a_change_of_what_the_template_demands_makes_stale(
    lea: User, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_environment()
    verify(shop, APPROVED, lea, ada)
    workflow.move(shop, "documentation", Action.SUBMIT, by=lea, version=0, evidence=Exhibit("https://x.org/"))
    workflow.move(shop, "pwa", Action.ASK_NOT_APPLICABLE, by=lea, version=0, note="No app.")
    workflow.move(shop, "pwa", Action.APPROVE, by=ada, version=1)
    shipped = load_template()

    def publish(**change: Any) -> None:
        changed = replace(shipped, items=tuple(replace(item, **change) for item in shipped.items))
        monkeypatch.setattr("readiness.checklists.assigned_template.load_template", lambda: changed)

    publish(estimate_minutes=99)
    assert tick() == 0
    publish(approvals=2)
    assert tick() == 3

    assert {read(shop, key).state for key in (APPROVED, "documentation", "pwa")} == {State.STALE}
    assert newest(shop, APPROVED)[3] == "The template demands something else than was agreed to."


def test_a_deploy_makes_stale_what_was_claimed_about_the_release_before(lea: User, ada: User) -> None:
    shop = connect(make_environment())
    make_state(shop, "postgres")
    for key in (HYBRID, APPROVED):
        verify(shop, key, lea, ada)
    workflow.move(shop, "errors.error_handlers", Action.SUBMIT, by=lea, version=0)

    deploy, aged = record_deploy(shop, "2026.11.1", by="token CI", now=timezone.now())

    assert (deploy.release, aged) == ("2026.11.1", 2)
    assert {key: read(shop, key).state for key in (HYBRID, "errors.error_handlers", APPROVED)} == {
        HYBRID: State.STALE,
        "errors.error_handlers": State.STALE,
        APPROVED: State.VERIFIED,
    }
    assert newest(shop, HYBRID)[3] == "The release 2026.11.1 was deployed."


def waive(environment: Environment, lea: User, ada: User, days: int) -> Waiver:
    waiver = workflow.request_waiver(
        environment,
        AUTOMATIC,
        reason="No time",
        risk="Little",
        expires_on=timezone.localdate() + timedelta(days=days),
        by=lea,
    )
    return workflow.approve_waiver(environment, waiver.pk, by=ada)


def is_waived(environment: Environment) -> bool:
    decision = assess([environment], timezone.now())[environment.pk].decision
    return AUTOMATIC in {waiver.key for waiver in decision.waivers}


def test_a_waiver_ends_with_its_last_day_whether_or_not_a_tick_came(lea: User, ada: User) -> None:
    shop = make_environment()
    waiver = waive(shop, lea, ada, 10)
    assert is_waived(shop)

    with time_machine.travel(timezone.now() + timedelta(days=10)):
        assert is_waived(shop)
    with time_machine.travel(timezone.now() + timedelta(days=11)):
        assert not is_waived(shop)
        assert tick() == 1
        assert tick() == 0

    waiver.refresh_from_db()
    assert waiver.state == "expired"
    assert newest(shop, AUTOMATIC)[1] == "waiver_expire"


def test_a_waiver_that_ends_within_a_week_warns(lea: User, ada: User) -> None:
    make_rule("waiver_ending", make_channel("https://hook.example.org/"))
    shop = make_environment()
    waive(shop, lea, ada, 8)
    tasks.send_alerts()
    assert not Alert.objects.filter(rule__kind="waiver_ending").exists()

    with time_machine.travel(timezone.now() + timedelta(days=1)):
        tasks.send_alerts()
        (alert,) = Alert.objects.filter(rule__kind="waiver_ending", resolved_at=None, rule__name__startswith="test")
        assert alert.title.startswith("The waiver of “TLS certificates active” ends on ")
        decision = assess([shop], timezone.now())[shop.pk].decision
        assert [waiver.is_ending for waiver in decision.waivers] == [True]
    with time_machine.travel(timezone.now() + timedelta(days=9)):
        tasks.send_alerts()
        assert not Alert.objects.filter(rule__kind="waiver_ending", resolved_at=None).exists()


def test_retired_environments_are_left_alone(lea: User, ada: User) -> None:
    shop = make_environment(retired_at=timezone.now())
    make_state(shop, "tls")

    assert tick() == 0


def test_a_tick_of_many_environments_asks_no_more_than_one(django_assert_max_num_queries: Any) -> None:
    for number in range(10):
        make_ready(f"shop-{number}")
    tick()

    with django_assert_max_num_queries(16):
        assert tick() == 0


ROOT = make_root()


def issue(ends_in: timedelta) -> Identity:
    return make_certificate("localhost", ROOT, hosts=["localhost"], starts_in=timedelta(days=-100), ends_in=ends_in)


def probe_and_tick() -> None:
    now = timezone.now()
    claims.sync_schedules(now)
    tasks.run_probes(claims.claim_due(now))
    tasks.send_alerts()


def test_within_one_tick_after_a_certificate_is_replaced_by_an_expired_one(tmp_path: Path) -> None:
    contexts: list[ssl.SSLContext] = []
    with serve_https_site(Answer(), issue(timedelta(days=90)), contexts.append) as server:
        shop = make_environment(ca_bundle=ROOT.pem)
        Endpoint.objects.create(environment=shop, role="frontend", url=server.url.replace("127.0.0.1", "localhost"))
        probe_and_tick()
        assert read(shop, AUTOMATIC).state == State.VERIFIED

        expired = issue(timedelta(days=-1))
        chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
        chain.write_text(expired.chain_pem)
        key.write_text(expired.key_pem)
        contexts[0].load_cert_chain(chain, key)
        with time_machine.travel(timezone.now() + timedelta(seconds=61)):
            probe_and_tick()

            assert read(shop, AUTOMATIC).state == State.STALE
            reasons = {reason.key: reason for reason in assess([shop], timezone.now())[shop.pk].decision.reasons}

    assert reasons[AUTOMATIC].state is State.FAILING
    assert newest(shop, AUTOMATIC)[:3] == ("Preflight", "age", "stale")
    assert AlertRule.objects.filter(kind="waiver_ending").count() == 1
