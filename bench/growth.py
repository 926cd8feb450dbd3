"""Two portals that differ in what they have stored only, 5 million runs or 50 thousand: the same pages, the same tick.

Promise: the environment's page and the tick take the same time within 20 %. Both databases hold the same 250 probes,
run every minute: two weeks of them in the one, the last hours in the other, roll-ups and status changes to match.

Run from the project's root: `python -m bench.growth [RUNS]` for another size than 5 million.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from bench.ground import portal_on_scratch_cluster
from bench.promises import Promises, take_turns

MANY, FEW = 5_000_000, 50_000
ENVIRONMENTS, KINDS = 50, ("http", "tls", "headers", "dns", "postgres")
SERIES = ENVIRONMENTS * len(KINDS)
ROUNDS, REPEATS, MINUTES_A_STATEMENT = 12, 4, 500
PROMISED = 1.2
PAGES = {
    "page": "/environments/e-7/",
    "probes page": "/environments/e-7/probes/",
    "history": "/environments/e-7/probes/http/",
}
_RUNS = """
INSERT INTO readiness_proberun
    (environment_id, kind, status, reason, summary, findings, data, duration_ms, observed_at, in_maintenance)
SELECT environment.id, series.kind, 'pass', '', 'https://shop.example.org/ answers.',
    '[{"id": "reachable", "status": "pass", "summary": "https://shop.example.org/ answers.", "detail": "HTTP 200"}]',
    '{"endpoints": [{"role": "frontend", "status_code": 200, "url": "https://shop.example.org/"}]}',
    10 + (minute * 7) %% 40, %s - minute * interval '1 minute', false
FROM generate_series(%s, %s) AS minute, readiness_environment AS environment, unnest(%s::text[]) AS series (kind)
"""
_ROLLUPS = """
INSERT INTO readiness_proberollup (environment_id, kind, period, starts_at, up_seconds, down_seconds,
    maintenance_seconds, runs, duration_ms_sum, duration_ms_max)
SELECT environment_id, kind, period.letter, date_trunc(period.name, observed_at, 'UTC'), 60 * count(*), 0, 0, count(*),
    sum(duration_ms), max(duration_ms)
FROM readiness_proberun, (VALUES ('h', 'hour'), ('d', 'day')) AS period (letter, name)
GROUP BY 1, 2, 3, 4
"""
_CHANGES = """
INSERT INTO readiness_statuschange (environment_id, kind, from_status, to_status, summary, at, in_maintenance)
SELECT environment_id, kind, 'fail', 'pass', summary, observed_at, false FROM readiness_proberun WHERE id %% 1000 = 0
"""


def make_fleet() -> None:
    """Environments with everything connected, and a first result of every kind."""
    from django.contrib.auth.models import User
    from django.utils import timezone

    from readiness import claims, results
    from readiness.models import Database, Endpoint, Environment, ProbeRun
    from readiness.probes.base import Finding, ProbeResult, Status

    User.objects.create_superuser("alice")
    environments = Environment.objects.bulk_create(
        [Environment(name=f"E{number}", slug=f"e-{number}") for number in range(ENVIRONMENTS)]
    )
    Endpoint.objects.bulk_create([Endpoint(environment=e, url=f"https://{e.slug}.example.org/") for e in environments])
    Database.objects.bulk_create([Database(environment=e, name="main", dsn="env:SHOP") for e in environments])
    now = timezone.now()
    claims.sync_schedules(now)
    finding = Finding("reachable", Status.PASS, "https://shop.example.org/ answers.", "HTTP 200")
    results.record(
        results.Observed(environment.pk, now, ProbeResult(kind, "x", Status.PASS, findings=(finding,), data={}))
        for environment in environments
        for kind in KINDS
    )
    ProbeRun.objects.all().delete()


def fill(runs: int) -> None:
    """Stores `runs` results, every series once a minute up to now, with what the portal sums up of them."""
    from django.db import connection
    from django.utils import timezone

    from readiness import partitions
    from readiness.models import ProbeRollup

    now, minutes = timezone.now(), runs // SERIES
    for day in range(minutes // 1440 + 2):
        partitions.ensure_partitions(now - timedelta(days=day))
    ProbeRollup.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        for first in range(1, minutes + 1, MINUTES_A_STATEMENT):
            cursor.execute(_RUNS, [now, first, min(first + MINUTES_A_STATEMENT - 1, minutes), list(KINDS)])
        cursor.execute(_ROLLUPS)
        cursor.execute(_CHANGES, [])
        cursor.execute("VACUUM (ANALYZE)")


def answer(database: str) -> None:
    """The other end of `ask`: fills `database`, then times what each line asks for, in milliseconds."""
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = database
    django.setup()
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get(username="alice"))
    for line in sys.stdin:
        word = line.strip()
        if word.startswith("fill "):
            fill(int(word.removeprefix("fill ")))
            print("0", flush=True)
            continue
        measure = time_tick if word == "tick" else partial(time_page, client, PAGES[word])
        print(min(measure() for _ in range(REPEATS)), flush=True)


def time_page(client: object, path: str) -> float:
    started = time.perf_counter()
    response = client.get(path)  # type: ignore[attr-defined]
    took = (time.perf_counter() - started) * 1000
    assert response.status_code == 200, response.status_code
    return took


def time_tick() -> float:
    from django.utils import timezone
    from django_q.models import OrmQ

    from readiness import tasks
    from readiness.models import ProbeSchedule

    OrmQ.objects.all().delete()
    ProbeSchedule.objects.update(claimed_until=None, next_run_at=timezone.now() - timedelta(seconds=5))
    started = time.perf_counter()
    tasks.tick()
    return (time.perf_counter() - started) * 1000


@contextmanager
def open_portal(database: str) -> Iterator[Callable[[str], float]]:
    """A portal process on `database`: takes a word, returns the milliseconds it took."""
    command = [sys.executable, "-m", "bench.growth", "--answer", database]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as portal:
        to_portal, from_portal = portal.stdin, portal.stdout
        assert to_portal is not None
        assert from_portal is not None

        def ask(word: str) -> float:
            to_portal.write(f"{word}\n")
            to_portal.flush()
            return float(from_portal.readline())

        yield ask
        to_portal.close()


def main() -> None:
    from django.core.management import call_command
    from django.db import connection

    call_command("collectstatic", interactive=False, verbosity=0)
    many = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    promises = Promises(f"growth, {many:,} stored runs against {FEW:,}")
    make_fleet()
    name = connection.settings_dict["NAME"]
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"CREATE DATABASE grown TEMPLATE {connection.ops.quote_name(name)}")
    started = time.perf_counter()
    with open_portal(name) as ask_few, open_portal("grown") as ask_many:
        ask_few(f"fill {FEW}")
        ask_many(f"fill {many}")
        promises.note(f"stored in {time.perf_counter() - started:,.0f} s")
        for word in ("page", "tick", "probes page", "history"):
            took = take_turns(
                {"few": lambda word=word: ask_few(word), "many": lambda word=word: ask_many(word)}, ROUNDS
            )
            shown = f"{took['many']:.1f} ms against {took['few']:.1f} ms"
            ratio = took["many"] / took["few"]
            if word in ("page", "tick"):
                promises.at_most(f"the environment's {word}" if word == "page" else word, ratio, PROMISED, " times")
                promises.note(shown)
            else:
                promises.note(f"{word}: {ratio:.2f} times, {shown}")
    promises.finish()


if __name__ == "__main__":
    if "--answer" in sys.argv:
        answer(sys.argv[2])
    else:
        with portal_on_scratch_cluster():
            main()
