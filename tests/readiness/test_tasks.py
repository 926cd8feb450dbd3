"""The pipeline on real servers and a real database: what was found is stored, and bad targets cost only themselves."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from readiness import claims, partitions, tasks
from readiness.models import (
    Database,
    Endpoint,
    Environment,
    ExpectedRecord,
    MaintenanceWindow,
    ProbeRun,
    ProbeSchedule,
    ProbeState,
    Scenario,
    ScenarioSecret,
    StatusChange,
)
from readiness.probes.base import Target
from readiness.probes.scenarios.shipped import TEMPLATE_NAMES
from readiness.scenario_forms import make_draft
from tests.conftest import Server
from tests.readiness.factories import connect, make_environment, make_state
from tests.servers.certificates import make_certificate, make_root
from tests.servers.dns import serve_zone
from tests.servers.hostile import send_garbage, stay_silent
from tests.servers.shop import EMAIL, IDENTITY, PASSWORD, ROOT, Shop, serve_shop
from tests.servers.sockets import serve
from tests.servers.web import Answer, serve_https_site, serve_site

pytestmark = pytest.mark.django_db
SITE_ROOT = make_root()
SITE_IDENTITY = make_certificate("127.0.0.1", SITE_ROOT, hosts=["127.0.0.1"])


def make_site(slug: str, url: str) -> Environment:
    environment = make_environment(slug)
    Endpoint.objects.create(environment=environment, role="frontend", url=url)
    return environment


def make_with_database(slug: str, dsn: str, name: str = "main") -> Environment:
    environment = make_environment(slug)
    Database.objects.create(environment=environment, name=name, dsn=dsn)
    return environment


def probe_all() -> None:
    """One tick and its batch, as the worker would run them."""
    now = timezone.now()
    claims.sync_schedules(now)
    tasks.run_probes(claims.claim_due(now))


def find_state(slug: str, kind: str) -> ProbeState:
    return ProbeState.objects.get(environment__slug=slug, kind=kind)


def text_of(state: ProbeState) -> str:
    return f"{state.summary} {state.reason} {state.findings} {state.data}"


def test_it_stores_what_real_targets_say(server: Server) -> None:
    server.create_database("probed", "CREATE TABLE customers (id int)")
    with serve_site(Answer()) as site:
        environment = make_site("shop", site.url)
        Database.objects.create(environment=environment, name="main", dsn=server.url("probed"))

        probe_all()

    states = {state.kind: state for state in ProbeState.objects.all()}
    assert set(states) == {"http", "tls", "headers", "postgres"}
    assert (states["tls"].status, states["tls"].reason) == ("fail", "not_tls")
    assert states["headers"].status == "fail"
    assert states["postgres"].status in {"pass", "warn"}
    assert states["postgres"].data["tables"] == 1
    assert states["http"].data["endpoints"][0]["status_code"] == 200
    assert ProbeRun.objects.count() == StatusChange.objects.count() == 4
    assert not ProbeSchedule.objects.exclude(claimed_until=None).exists()


def test_it_asks_an_alias_again_only_after_a_while_or_when_somebody_asks() -> None:
    with serve_site({"/": Answer()}) as site, serve_https_site(Answer(), SITE_IDENTITY) as alias:
        environment = make_environment("shop", ca_bundle=SITE_ROOT.pem)
        Endpoint.objects.create(environment=environment, role="frontend", url=site.url)
        Endpoint.objects.create(environment=environment, role="alias", url=f"https://127.0.0.1:{alias.port}/")
        counts = []
        for _ in range(2):
            probe_kinds(environment, {"http"})
            counts.append(len(alias.connections))
        claimed = claims.claim_now(environment, timezone.now(), {"http"})
        tasks.run_probes(claimed)
        counts.append(len(alias.connections))
    assert counts == [1, 1, 2]
    kept = ProbeRun.objects.filter(kind="http").order_by("observed_at").values_list("data", flat=True)
    asked = [data["endpoints"][1]["asked"]["at"] for data in kept]
    assert asked[0] == asked[1] < asked[2]


def probe_kinds(environment: Environment, kinds: set[str]) -> None:
    """One run of some kinds as a tick would claim them."""
    now = timezone.now()
    claims.sync_schedules(now, [environment])
    schedules = ProbeSchedule.objects.filter(environment=environment, kind__in=kinds)
    tasks.run_probes(list(schedules.values_list("pk", flat=True)))


def test_it_stores_no_password_of_a_database_that_it_probed(server: Server) -> None:
    url = server.url("postgres")
    password = url.partition("//")[2].partition("@")[0].partition(":")[2]
    make_with_database("good", url)
    make_with_database("bad", url.replace(password, "wrong-s3cret"))

    probe_all()

    assert find_state("bad", "postgres").reason == "authentication_failed"
    for state in ProbeState.objects.all():
        assert password not in text_of(state)
        assert "wrong-s3cret" not in text_of(state)


def test_it_names_a_reference_that_leads_nowhere() -> None:
    make_with_database("lost", "env:NOT_SET_ANYWHERE")

    probe_all()

    state = find_state("lost", "postgres")
    assert (state.status, state.reason) == ("error", "bad_dsn")
    assert state.summary == "The environment variable NOT_SET_ANYWHERE is not set where the portal runs."


def test_it_shows_nothing_of_a_file_that_holds_no_connection(tmp_path: Path) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("root:s3cret-hash:19000:0:99999:7:::\n")
    make_with_database("curious", f"file:{secret}")

    probe_all()

    state = find_state("curious", "postgres")
    assert (state.status, state.reason) == ("error", "bad_dsn")
    assert "s3cret" not in text_of(state)


@pytest.mark.parametrize("content", ["", "   \n"])
def test_it_does_not_take_an_empty_reference_for_the_local_server(tmp_path: Path, content: str) -> None:
    (tmp_path / "dsn").write_text(content)
    make_with_database("empty", f"file:{tmp_path / 'dsn'}")

    probe_all()

    assert find_state("empty", "postgres").reason == "bad_dsn"


def test_it_goes_on_with_the_others_when_one_stored_connection_cannot_be_decrypted(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    make_with_database("locked", "postgresql://u:s3cret@db.example.org/shop")
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    make_with_database("lost", "env:NOT_SET_ANYWHERE")

    probe_all()

    state = find_state("locked", "postgres")
    assert (state.status, state.reason) == ("error", "bad_dsn")
    assert "cannot be decrypted with FIELD_ENCRYPTION_KEYS" in state.summary
    assert find_state("lost", "postgres").reason == "bad_dsn"


def test_it_lets_a_hanging_target_hold_up_nobody(settings: Settings) -> None:
    settings.PROBE_TIMEOUT_SECONDS = 2
    settings.PROBE_CONCURRENCY = 4
    with serve(stay_silent) as silent, serve_site(Answer()) as site:
        for number in range(3):
            make_site(f"hanging-{number}", silent.url)
        make_site("well", site.url)

        probe_all()

    assert find_state("well", "http").data["endpoints"][0]["status_code"] == 200
    hanging = ProbeState.objects.filter(environment__slug__startswith="hanging")
    assert hanging.count() == 9
    assert {state.reason for state in hanging if state.kind in {"http", "headers"}} == {"timeout"}


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Security-Policy", "default-src 'self'\x00")],
        [("Set-Cookie", "session\x00id=\x00; Path=/\x00")],
        [("Server", "\x00\x01\x7f")],
        [("Location", "http://127.0.0.1/\x00")],
        [("Strict-Transport-Security", "max-age=\ud800".encode("utf-8", "surrogatepass").decode("latin-1"))],
    ],
    ids=["csp", "cookie", "server", "location", "surrogate"],
)
@pytest.mark.parametrize("status", [200, 301])
def test_it_stores_what_a_site_says_in_characters_that_no_database_holds(status: int, headers: Any) -> None:
    with (
        serve_site(Answer(status, headers, body=b"<title>\x00\xed\xa0\x80</title>")) as site,
        serve(send_garbage) as garbage,
    ):
        make_site("hostile", site.url)
        make_site("garbage", garbage.url)
        make_with_database("garbage-database", f"postgresql://u:p@127.0.0.1:{garbage.port}/x")
        make_with_database("lost", "env:NOT_SET_ANYWHERE")

        probe_all()

    assert ProbeState.objects.count() == 8
    assert not ProbeState.objects.filter(reason="internal").exists()
    assert find_state("lost", "postgres").reason == "bad_dsn"


def test_it_combines_the_databases_of_one_environment(server: Server) -> None:
    environment = make_with_database("shop", server.url("postgres"))
    Database.objects.create(environment=environment, name="gone", dsn=server.url("no_such_database"))

    probe_all()

    state = find_state("shop", "postgres")
    assert (state.status, state.reason) == ("error", "database_not_found")
    assert set(state.data["targets"]) == {"main", "gone"}


def test_it_does_not_probe_loopback_where_the_settings_forbid_it(settings: Settings) -> None:
    settings.PROBE_ALLOW_LOOPBACK = False
    with serve_site(Answer()) as site:
        make_site("shop", site.url)

        probe_all()

        assert site.connections == []
    assert set(ProbeState.objects.values_list("reason", flat=True)) == {"address_not_allowed"}


def test_it_does_not_probe_retired_environments() -> None:
    with serve_site(Answer()) as site:
        environment = make_site("shop", site.url)
        claims.sync_schedules(timezone.now())
        environment.retired_at = timezone.now()
        environment.save()

        probe_all()

        assert site.connections == []
    assert not ProbeState.objects.exists()


def test_it_leaves_schedules_of_unknown_kinds_alone() -> None:
    environment = make_environment()
    unknown = ProbeSchedule.objects.create(environment=environment, kind="astrology", next_run_at=timezone.now())

    assert tasks.run_probes([unknown.pk]) == "0 results, 0 changes"


def test_it_queues_what_is_due_in_batches_that_end_before_their_claims_do(settings: Settings) -> None:
    settings.PROBE_CONCURRENCY = 3
    for number in range(4):
        connect(make_environment(f"shop-{number}"))

    assert tasks.tick() == "queued 20 probes"

    batches = [queued.task["args"][0] for queued in OrmQ.objects.order_by("pk")]
    assert [len(batch) for batch in batches] == [6, 6, 6, 2]
    assert len({pk for batch in batches for pk in batch}) == 20
    assert {queued.key for queued in OrmQ.objects.all()} == {"default"}


def test_it_probes_one_environment_now_and_only_once_at_a_time() -> None:
    shop = connect(make_environment())
    connect(make_environment("other"))

    assert tasks.request_probes(shop) == 5
    assert tasks.request_probes(shop) == 0


@pytest.mark.django_db(transaction=True)
def test_it_drops_whole_days_that_are_past_their_time(settings: Settings) -> None:
    settings.PROBE_RUNS_KEPT_DAYS = 14
    environment = make_environment()
    now = timezone.now()
    for age in (timedelta(days=16), timedelta(days=13)):
        partitions.ensure_partitions(now - age)
        ProbeRun.objects.create(
            environment=environment, kind="http", status="pass", duration_ms=1, observed_at=now - age
        )
    make_state(environment, "http", observed_at=now - timedelta(days=16))

    tasks.keep_partitions()

    assert ProbeRun.objects.get().observed_at == now - timedelta(days=13)
    assert min(partitions.list_partitions()) >= (now - timedelta(days=14)).date()
    assert ProbeState.objects.count() == 1


def test_it_moves_runs_of_a_day_without_a_partition_into_its_own(db: None) -> None:
    environment = make_environment()
    now = timezone.now()
    for day in partitions.list_partitions():
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE readiness_proberun_{day:%Y%m%d}")
    ProbeRun.objects.create(environment=environment, kind="http", status="pass", duration_ms=1, observed_at=now)

    made = partitions.ensure_partitions(now)

    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM readiness_proberun")
        assert cursor.fetchone() == (f"readiness_proberun_{now:%Y%m%d}",)
    assert len(made) == 4
    assert partitions.ensure_partitions(now) == []


def make_walked(url: str) -> Environment:
    """An environment with the checklist's scenarios, at a shop that is really served."""
    environment = make_environment(ca_bundle=ROOT.pem)
    Endpoint.objects.create(environment=environment, role="frontend", url=url)
    for name in TEMPLATE_NAMES:
        Scenario.objects.create(environment=environment, name=name, text=make_draft(name, environment))
    claims.sync_schedules(timezone.now())
    ProbeSchedule.objects.exclude(kind="scenario").delete()
    return environment


def test_it_walks_through_every_shipped_scenario_with_stored_secrets() -> None:
    shop = Shop()
    with serve_shop(shop) as server:
        environment = make_walked(f"https://127.0.0.1:{server.port}/")
        for name, value in (("email", EMAIL), ("password", PASSWORD)):
            ScenarioSecret.objects.create(environment=environment, name=name, value=value)

        tasks.run_probes(claims.claim_due(timezone.now()))

    state = find_state("shop", "scenario")
    bad = [finding for finding in state.findings if finding["status"] != "pass"]
    assert state.status == "pass", bad
    assert set(state.data["targets"]) == set(TEMPLATE_NAMES)
    assert any(cookie["sign_in"] for cookie in state.data["targets"]["login"]["cookies"])
    assert PASSWORD not in text_of(state)


def test_it_names_the_secrets_that_a_scenario_lacks_and_walks_the_others() -> None:
    with serve_shop(Shop()) as server:
        environment = make_walked(f"https://127.0.0.1:{server.port}/")
        look = (
            f'name = "Look"\nbase_url = "https://127.0.0.1:{server.port}"\n[[steps]]\nname = "Open"\nurl = "/login"\n'
        )
        environment.scenarios.exclude(name="login").delete()
        Scenario.objects.create(environment=environment, name="look", text=look)

        tasks.run_probes(claims.claim_due(timezone.now()))

    state = find_state("shop", "scenario")
    assert (state.status, state.reason) == ("error", "bad_target")
    assert state.summary == "login: The scenario uses secrets that are not set: email, password."
    assert [step["status"] for step in state.data["targets"]["look"]["steps"]] == ["pass"]


def test_it_says_so_when_a_stored_scenario_refers_to_the_portals_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_SECRET", "kept-s3cret")
    with serve_shop(Shop()) as server:
        environment = make_walked(f"https://127.0.0.1:{server.port}/")
        text = 'name = "x"\nbase_url = "https://127.0.0.1"\n[secrets]\nkey = "env:SHOP_SECRET"\n[[steps]]\nname = "a"\n'
        Scenario.objects.create(environment=environment, name="curious", text=f'{text}url = "/"\n')

        tasks.run_probes(claims.claim_due(timezone.now()))

        assert server.connections == []
    state = find_state("shop", "scenario")
    assert (state.status, state.reason) == ("error", "bad_target")
    assert "leave this table out" in state.summary
    assert "kept-s3cret" not in text_of(state)


def test_it_holds_dns_to_the_records_that_are_expected(settings: Settings) -> None:
    environment = make_site("shop", "https://shop.example.org/")
    ExpectedRecord.objects.create(environment=environment, type="A", values=["192.0.2.7"])
    with serve_zone({"shop.example.org": {"A": ["192.0.2.8"]}}) as nameserver:
        settings.PROBE_NAMESERVERS = [nameserver.address]
        claims.sync_schedules(timezone.now())
        ProbeSchedule.objects.exclude(kind="dns").delete()

        tasks.run_probes(claims.claim_due(timezone.now()))

    state = find_state("shop", "dns")
    assert (state.status, state.reason) == ("fail", "wrong_record")


def test_it_queues_heavy_kinds_in_tasks_of_their_own(settings: Settings) -> None:
    settings.BROWSER_PROBE = True
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 4}
    environment = make_site("shop", "http://127.0.0.1/")
    Scenario.objects.create(environment=environment, name="login", text=make_draft("login", environment))

    assert tasks.tick() == "queued 5 probes"

    kinds = dict(ProbeSchedule.objects.values_list("pk", "kind"))
    batches = [[kinds[pk] for pk in queued.task["args"][0]] for queued in OrmQ.objects.order_by("pk")]
    assert sorted(map(len, batches)) == [1, 1, 3]
    assert {batch[0] for batch in batches if len(batch) == 1} == {"scenario", "browser"}


def test_it_gives_a_heavy_kind_no_more_than_its_own_deadline() -> None:
    environment = make_site("shop", "http://127.0.0.1/")
    schedule = ProbeSchedule(environment=environment, kind="browser", timeout_seconds=300)
    light = ProbeSchedule(environment=environment, kind="http", timeout_seconds=30)

    assert tasks._with_timeout(Target(label="x", timeout_seconds=45), schedule).timeout_seconds == 45
    assert tasks._with_timeout(Target(label="x", timeout_seconds=15), light).timeout_seconds == 30


def work_off(batches: list[tuple[list[int], str]]) -> None:
    """Runs queued batches as a worker would, on a connection of its own."""
    try:
        for batch, claim in batches:
            tasks.run_probes(batch, claim)
    finally:
        connection.close()


def read_queue() -> list[tuple[list[int], str]]:
    return [tuple(queued.task["args"]) for queued in OrmQ.objects.order_by("pk")]


def watch_only(kind: str) -> None:
    ProbeSchedule.objects.exclude(kind=kind).update(is_enabled=False)


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_are_both_given_every_batch_run_no_probe_twice(settings: Settings) -> None:
    settings.PROBE_CONCURRENCY = 1
    with ExitStack() as stack:
        sites = [stack.enter_context(serve_site(Answer())) for _ in range(6)]
        for number, site in enumerate(sites):
            make_site(f"shop-{number}", site.url)
        claims.sync_schedules(timezone.now())
        watch_only("tls")  # one connection a run
        tasks.tick()
        batches = read_queue()
        assert len(batches) == 3

        workers = [threading.Thread(target=work_off, args=(batches[:: 1 - 2 * number],)) for number in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

        assert [len(site.connections) for site in sites] == [1] * 6
    assert ProbeRun.objects.count() == 6
    assert not ProbeSchedule.objects.exclude(claimed_until=None).exists()


def test_it_skips_a_batch_that_waited_so_long_that_it_was_queued_again() -> None:
    with serve_site(Answer()) as site:
        make_site("shop", site.url)
        claims.sync_schedules(timezone.now())
        watch_only("tls")
        tasks.tick()
        ProbeSchedule.objects.filter(kind="tls").update(claimed_until=timezone.now() - timedelta(seconds=1))
        tasks.tick()
        (old, old_claim), (new, new_claim) = read_queue()

        assert tasks.run_probes(old, old_claim) == "0 results, 0 changes"
        assert ProbeSchedule.objects.exclude(claimed_until=None).get().pk in new
        assert tasks.run_probes(new, new_claim) == "1 results, 1 changes"
        assert tasks.run_probes(new, new_claim) == "0 results, 0 changes"

        assert len(site.connections) == 1


def test_it_gives_back_no_claim_that_is_another_workers_by_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was held up (a suspended machine) comes back while another probes the same."""
    with serve_site(Answer()) as site:
        make_site("shop", site.url)
        claims.sync_schedules(timezone.now())
        watch_only("tls")
        tasks.tick()
        ((batch, claim),) = read_queue()
        others = timezone.now() + timedelta(seconds=99)

        def lose_claim() -> list[Any]:
            ProbeSchedule.objects.filter(kind="tls").update(claimed_until=others)
            return []

        monkeypatch.setattr(tasks, "load_windows", lose_claim)
        tasks.run_probes(batch, claim)

    assert ProbeSchedule.objects.get(kind="tls").claimed_until == others


def run_again(schedule: ProbeSchedule) -> ProbeState:
    """Runs one schedule as if it were due, and gives the state afterwards."""
    ProbeSchedule.objects.filter(pk=schedule.pk).update(next_run_at=timezone.now())
    tasks.run_probes(claims.claim_due(timezone.now()))
    return ProbeState.objects.get(environment=schedule.environment, kind=schedule.kind)


def test_it_retries_soon_before_it_calls_a_target_down_and_waits_for_its_recovery() -> None:
    statuses = iter([200, 500, 500, 500, 200, 200])
    # Asked for an address that nobody can decode, it says so and uses up no status.
    with serve_https_site(lambda request: Answer(next(statuses) if request.path == "/" else 400), IDENTITY) as site:
        environment = make_environment(ca_bundle=ROOT.pem)
        Endpoint.objects.create(environment=environment, role="api", url=f"https://127.0.0.1:{site.port}/")
        claims.sync_schedules(timezone.now())
        watch_only("http")
        schedule = ProbeSchedule.objects.get(kind="http")
        ProbeSchedule.objects.update(
            interval_seconds=3600, failures_before_down=3, successes_before_up=2, retry_seconds=5
        )
        seen, waits = [], []
        for _ in range(6):
            state = run_again(schedule)
            schedule.refresh_from_db()
            seen.append((state.status, state.pending_count))
            waits.append((schedule.next_run_at - timezone.now()).total_seconds() <= 5)

    assert seen == [("pass", 0), ("pass", 1), ("pass", 2), ("fail", 0), ("fail", 1), ("pass", 0)]
    assert waits == [False, True, True, False, True, False]
    assert StatusChange.objects.count() == 3


def test_it_gives_a_schedule_its_own_timeout(settings: Settings) -> None:
    settings.PROBE_TIMEOUT_SECONDS = 30
    with serve(stay_silent) as silent:
        make_site("hanging", silent.url)
        claims.sync_schedules(timezone.now())
        watch_only("http")
        ProbeSchedule.objects.update(timeout_seconds=1)
        tasks.run_probes(claims.claim_due(timezone.now()))

    state = find_state("hanging", "http")
    assert state.reason == "timeout"
    assert state.duration_ms < 5_000


def test_it_marks_runs_under_maintenance_of_their_kind_and_no_other() -> None:
    with serve_site(Answer()) as site:
        environment = make_site("shop", site.url)
        MaintenanceWindow.objects.create(
            environment=environment, kind="tls", reason="New certificate", cron="* * * * *", duration_minutes=5
        )

        probe_all()

    marked = ProbeRun.objects.filter(in_maintenance=True)
    assert set(marked.values_list("kind", flat=True)) == {"tls"}
    assert ProbeRun.objects.filter(in_maintenance=False).exists()
