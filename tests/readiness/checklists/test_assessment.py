"""Many environments are assessed in the same few queries as one, and each by its own rows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from readiness.checklists import workflow
from readiness.checklists.assessment import Assessment, assess
from readiness.checklists.gate import Verdict
from readiness.checklists.life import Action, State
from readiness.checklists.template import load_template
from readiness.models import Environment, ProbeSchedule
from tests.readiness.factories import connect, make_backup, make_environment, make_ready, make_state, must_items

pytestmark = pytest.mark.django_db


def assess_one(environment: Environment) -> Assessment:
    return assess([environment], timezone.now())[environment.pk]


def texts(assessment: Assessment) -> dict[str, str]:
    return {reason.key: reason.text for reason in assessment.decision.reasons}


def count_queries(environments: list[Environment]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assess(environments, timezone.now())
    return len(queries)


def test_it_says_go_for_an_environment_of_which_all_is_good() -> None:
    assessment = assess_one(make_ready())

    assert assessment.decision.reasons == ()
    assert assessment.decision.verdict is Verdict.GO
    assert assessment.done_count == len(load_template().items)


def test_it_says_no_go_for_one_that_has_just_been_added() -> None:
    assessment = assess_one(make_environment())

    assert assessment.decision.verdict is Verdict.NO_GO
    assert [reason.key for reason in assessment.decision.blockers] == [item.key for item in must_items()]
    assert assessment.done_count == 0


def test_it_asks_as_many_queries_for_thirty_environments_as_for_one() -> None:
    environments = [make_ready(f"shop-{number}") for number in range(30)]

    assert count_queries(environments[:1]) == count_queries(environments) <= 11


def test_it_does_not_read_the_connections_of_databases() -> None:
    environment = make_ready()

    with CaptureQueriesContext(connection) as queries:
        assess([environment], timezone.now())

    assert not [query["sql"] for query in queries.captured_queries if '"dsn"' in query["sql"]]


def test_it_takes_a_result_for_stale_after_twice_its_own_interval() -> None:
    environment = make_ready()
    make_state(environment, "http", observed_at=timezone.now() - timedelta(seconds=150))
    assert assess_one(environment).facts.probes["http"].is_stale

    ProbeSchedule.objects.filter(environment=environment, kind="http").update(interval_seconds=300)

    assert not assess_one(environment).facts.probes["http"].is_stale


def test_it_ignores_a_result_of_a_kind_that_has_nothing_to_probe_any_more() -> None:
    environment = make_environment()
    make_state(environment, "http")

    assessment = assess_one(environment)

    assert assessment.facts.probes == {}
    assert texts(assessment)["https.frontend_deployed"] == "Add the frontend’s URL."


def test_it_keeps_environments_apart(lea: User) -> None:
    good, bad = make_ready("good"), connect(make_environment("bad"))
    make_state(bad, "http", "error", summary="No answer.")
    workflow.move(bad, "local_run", Action.SUBMIT, by=lea, version=0)

    assessments = assess([good, bad], timezone.now())

    assert assessments[good.pk].decision.verdict is Verdict.GO
    assert texts(assessments[bad.pk])["https.frontend_deployed"] == "No answer."
    done = [standing for standing in assessments[bad.pk].standings if standing.claim.state is State.VERIFIED]
    assert [(standing.item.key, standing.claim.changed_by) for standing in done] == [("local_run", "lea")]


def test_it_holds_proofs_to_the_age_that_the_settings_allow(settings: Settings) -> None:
    environment = make_ready()
    environment.backups.all().delete()
    make_backup(environment, taken_at=timezone.now() - timedelta(days=3))
    assert assess_one(environment).facts.is_backup_proven

    settings.PROVEN_BACKUP_MAX_AGE_DAYS = 2

    assert texts(assess_one(environment))["postgresql.backup_job"] == "The newest proof is too old or incomplete."


def test_it_groups_items_by_the_sections_of_the_template() -> None:
    sections = assess_one(make_environment()).by_section()

    assert [section for section, _ in sections] == list(load_template().sections)
    assert sum(len(standings) for _, standings in sections) == len(load_template().items)
