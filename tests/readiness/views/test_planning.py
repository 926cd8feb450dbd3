"""Plan and costs: everybody reads them, some change the costs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from readiness.checklists.progress import record_progress
from readiness.models import CostEntry, CostTable, Environment, ProgressDay
from tests.conftest import SignIn
from tests.readiness.pages import read_main, read_text
from tests.readiness.small_template import MUST, OTHER_MUST, SHOULD, settle
from tests.readiness.views.test_decisions import count_queries, url

LINE = {"service": "Mail", "plan": "Small", "amount": "12", "currency": "usd", "period": "year", "severity": "must"}


def test_it_shows_a_plan_that_follows_the_items(
    shop: Environment, small_template: object, sam: User, sign_in: SignIn
) -> None:
    browser = sign_in(sam)
    page = read_main(browser.get(url("plan")))
    assert "0 of 3 steps done" in page
    assert "No target date yet" in page
    settle(shop, OTHER_MUST)
    Environment.objects.filter(pk=shop.pk).update(target_date=timezone.localdate() - timedelta(days=30))

    page = read_main(browser.get(url("plan")))

    assert "1 of 3 steps done" in page
    assert "The target date has passed" in page
    assert "2 steps are late against the target date." in page
    settle(shop, MUST, SHOULD)
    assert "Every step of the plan is done." in read_main(browser.get(url("plan")))


def test_it_counts_open_items_every_day(shop: Environment, small_template: object, sam: User, sign_in: SignIn) -> None:
    now = timezone.now()
    retired = Environment.objects.create(name="Old", slug="old", retired_at=now)
    assert record_progress(now - timedelta(days=2)) == 1
    settle(shop, MUST)
    assert record_progress(now) == record_progress(now) == 1

    assert list(ProgressDay.objects.values_list("open_count", "item_count")) == [(3, 3), (2, 3)]
    assert not retired.progress_days.exists()
    page = read_main(sign_in(sam).get(url("plan")))
    assert "At 0.5 a day, nothing is open on" in page


def test_it_has_no_plan_where_the_template_has_none(
    shop: Environment, monkeypatch: pytest.MonkeyPatch, small_template: object, sam: User, sign_in: SignIn
) -> None:
    from dataclasses import replace

    bare = replace(small_template, plan=(), costs=())  # type: ignore[type-var]
    monkeypatch.setattr("readiness.checklists.assigned_template.load_template", lambda: bare)
    browser = sign_in(sam)

    assert "No plan" in read_main(browser.get(url("plan")))
    assert "lists no costs" in read_main(browser.get(url("costs")))


def test_stakeholders_read_costs_and_what_happens_without(shop: Environment, sam: User, sign_in: SignIn) -> None:
    answer = sign_in(sam).get(url("costs"), {"lang": "en"})
    page = read_main(answer)

    assert "Minimal 7 to 14 USD" in page
    assert "Recommended 14 to 15 USD" in page
    assert "or Supabase Free free" in page
    assert "Passwords can be read on the way" in page
    assert "csrfmiddlewaretoken" not in answer.content.decode().partition("<main")[2]
    assert "Passwörter lassen sich unterwegs mitlesen" in read_main(sign_in(sam).get(url("costs"), {"lang": "de"}))


def test_it_starts_from_the_templates_lines_and_is_changed(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    browser.post(url("start_costs"))
    browser.post(url("start_costs"))
    assert CostEntry.objects.count() == 7
    free = CostEntry.objects.get(plan="Supabase Free")
    assert free.alternative_of == CostEntry.objects.get(plan="Render Starter", service="PostgreSQL database")

    page = read_main(browser.post(url("add_cost"), LINE, follow=True))
    assert "12 USD a year" in page
    assert "Minimal 8 to 15 USD" in page
    browser.post(url("change_cost", free.pk), {**LINE, "amount": "120", "alternative_of": free.alternative_of_id})
    assert "Minimal 15 to 18 USD" in read_main(browser.get(url("costs")))
    browser.post(url("remove_cost", free.pk))
    assert CostEntry.objects.count() == 7
    asked = read_main(browser.get(url("drop_costs")))
    assert "What is lost 7" in asked
    assert LINE["service"] in asked
    assert CostEntry.objects.count() == 7
    page = read_main(browser.post(url("drop_costs"), follow=True))
    assert "Minimal 7 to 14 USD" in page
    assert not CostTable.objects.exists()
    # Somebody else was first: there is nothing to drop.
    assert browser.post(url("drop_costs")).status_code == 404


def test_it_adds_no_currencies_to_one_another(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    browser.post(url("start_costs"))

    page = read_main(browser.post(url("add_cost"), {**LINE, "currency": "EUR", "period": "month"}, follow=True))

    assert "Minimal 7 to 14 USD" in page
    assert "Minimal 12 EUR" in page


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"amount": "-1"}, "greater than or equal to 0"),
        ({"amount": "free"}, "Enter a number."),
        ({"currency": "€"}, "Use three capital letters"),
        ({"alternative_of": "999"}, "Select a valid choice"),
        ({"service": ""}, "This field is required."),
    ],
)
def test_it_says_what_is_wrong_with_a_line(
    shop: Environment, lea: User, sign_in: SignIn, given: dict[str, str], sentence: str
) -> None:
    browser = sign_in(lea)
    browser.post(url("start_costs"))

    answer = browser.post(url("add_cost"), {**LINE, **given})

    assert answer.status_code == 400
    assert sentence in read_main(answer)


def test_it_keeps_alternatives_flat_and_in_one_currency(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    browser.post(url("start_costs"))
    main = CostEntry.objects.get(plan="Render Starter", service="PostgreSQL database")
    backend = CostEntry.objects.get(service="Backend hosting")

    def post(name: str, *arguments: object, **given: object) -> str:
        answer = browser.post(url(name, *arguments), {**LINE, **given})
        assert answer.status_code == 400
        return read_main(answer)

    assert "Use USD, as the line that it replaces." in post("add_cost", currency="EUR", alternative_of=main.pk)
    assert "This line has alternatives itself" in post("change_cost", main.pk, alternative_of=backend.pk)
    assert "Its alternatives have another currency." in post("change_cost", main.pk, currency="EUR")


def test_it_changes_only_lines_of_that_environment(shop: Environment, lea: User, sign_in: SignIn) -> None:
    other = Environment.objects.create(name="Other", slug="other")
    browser = sign_in(lea)
    browser.post(url("start_costs"))
    browser.post(reverse("start_costs", args=["other"]))
    theirs = CostEntry.objects.filter(table__environment=other).first()
    assert theirs is not None

    for name in ("change_cost", "remove_cost"):
        assert browser.post(url(name, theirs.pk), LINE).status_code == 404
    theirs.refresh_from_db()


@pytest.mark.parametrize("person", ["sam"])
def test_it_lets_stakeholders_change_nothing(
    request: pytest.FixtureRequest, shop: Environment, sign_in: SignIn, person: str
) -> None:
    browser = sign_in(request.getfixturevalue(person))
    for name, arguments in (("start_costs", []), ("drop_costs", []), ("add_cost", []), ("change_cost", [1])):
        assert browser.post(url(name, *arguments)).status_code == 403
    assert not CostTable.objects.exists()


def test_it_asks_as_often_for_many_as_for_few(
    shop: Environment, small_template: object, lea: User, sign_in: SignIn
) -> None:
    browser = sign_in(lea)
    browser.post(url("start_costs"))
    few = [count_queries(browser, url(name)) for name in ("plan", "costs")]
    for number in range(20):
        ProgressDay.objects.create(
            environment=shop, day=timezone.localdate() - timedelta(days=number), open_count=3, item_count=3
        )
        browser.post(url("add_cost"), LINE)

    assert [count_queries(browser, url(name)) for name in ("plan", "costs")] == few
    assert "Mail" in read_text(browser.get(url("costs")))
