"""What earlier results say about a database is found again, for one database and for several."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from readiness.database_history import read_previous, read_size_history
from readiness.models import ProbeRun
from tests.readiness.factories import make_environment, make_state

pytestmark = pytest.mark.django_db


def test_it_finds_the_newest_data_of_one_database_among_several() -> None:
    one, several = make_environment(slug="one"), make_environment(slug="several")
    make_state(one, "postgres", data={"size": {"used_bytes": 7}})
    make_state(several, "postgres", data={"targets": {"main": {"tables": 3}, "stats": {"tables": 9}}})

    assert read_previous(one.pk, "main") == {"size": {"used_bytes": 7}}
    assert read_previous(several.pk, "stats") == {"tables": 9}
    assert read_previous(several.pk, "gone") is None
    assert read_previous(0, "main") is None


def test_it_reads_one_size_a_day_the_newest_of_each() -> None:
    shop = make_environment()
    today = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0)
    for days, hour, size in ((0, -1, 30), (1, 0, 20), (1, -2, 15), (2, 0, None)):
        data = {"targets": {"main": {"size": {"used_bytes": size}}}} if size else {"targets": {}}
        ProbeRun.objects.create(
            environment=shop,
            kind="postgres",
            status="pass",
            duration_ms=1,
            data=data,
            observed_at=today - timedelta(days=days) + timedelta(hours=hour),
        )

    history = read_size_history(shop.pk, "main", today)

    assert sorted(size for _, size in history) == [20, 30]
