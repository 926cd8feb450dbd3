"""Facts about backups, as readiness is told them: one query for any number of environments."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from backups.models import Backup, State
from backups.probes import read_backup_facts
from readiness.checklists.facts import BackupFacts
from readiness.models import Database, Environment

NOW = timezone.now()


def make_environment(slug: str, *names: str) -> tuple[Environment, list[Database]]:
    environment = Environment.objects.create(name=slug, slug=slug)
    return environment, [
        Database.objects.create(environment=environment, name=name, dsn="env:UNUSED") for name in names
    ]


def make_backup(database: Database, days_ago: float, **fields: object) -> Backup:
    at = NOW - timedelta(days=days_ago)
    values = {"state": State.DONE, "taken_at": at, "finished_at": at, **fields}
    return Backup.objects.create(
        database=database,
        environment=database.environment,
        requested_at=at,
        **values,
    )


def test_it_knows_nothing_of_an_environment_without_backups(db: None) -> None:
    bare, _ = make_environment("bare")
    fresh, _ = make_environment("fresh", "main", "stats")
    assert read_backup_facts([bare.pk, fresh.pk]) == {
        bare.pk: BackupFacts(),
        fresh.pk: BackupFacts(databases_without_proof=("main", "stats")),
    }


def test_it_tells_the_age_of_the_data_not_of_the_proof(db: None) -> None:
    environment, (main,) = make_environment("shop", "main")
    old = make_backup(main, 30, proven_at=NOW)
    assert read_backup_facts([environment.pk])[environment.pk].newest_proven_at == old.taken_at


def test_it_does_not_count_damaged_unproven_or_failed_backups(db: None) -> None:
    environment, (main,) = make_environment("shop", "main")
    proven = make_backup(main, 5, proven_at=NOW)
    make_backup(main, 4, proven_at=NOW, damaged_at=NOW)
    done = make_backup(main, 3)
    failed = make_backup(main, 2, state=State.FAILED, error="It failed.", taken_at=None)
    make_backup(main, 6, state=State.FAILED, error="It failed before.", taken_at=None)
    assert read_backup_facts([environment.pk])[environment.pk] == BackupFacts(
        newest_proven_at=proven.taken_at,
        newest_done_at=done.taken_at,
        last_failed_at=failed.finished_at,
        last_error="It failed.",
    )


def test_it_speaks_for_the_database_that_is_worst_off(db: None) -> None:
    environment, (main, stats, files) = make_environment("shop", "main", "stats", "files")
    make_backup(main, 1, proven_at=NOW)
    stale = make_backup(stats, 9, proven_at=NOW)
    make_backup(stats, 12, proven_at=NOW)
    make_backup(files, 1)
    facts = read_backup_facts([environment.pk])[environment.pk]
    assert facts.newest_proven_at == stale.taken_at
    assert facts.databases_without_proof == ("files",)


def test_it_forgets_the_proof_of_a_database_that_was_removed(db: None) -> None:
    environment, (main,) = make_environment("shop", "main")
    make_backup(main, 1, proven_at=NOW)
    main.delete()
    assert read_backup_facts([environment.pk])[environment.pk].newest_proven_at is None


@pytest.mark.parametrize("count", [0, 1, 40])
def test_it_asks_once_for_any_number(db: None, count: int, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    environments = [make_environment(f"e{n}", "main")[0].pk for n in range(count)]
    with django_assert_num_queries(1):
        assert set(read_backup_facts(environments)) == set(environments)
