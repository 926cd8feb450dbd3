"""What becomes an alert, once, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backups.models import BackupSchedule
from readiness.alerts import gates, incidents, removing, rules
from readiness.checklists.assessment import assess
from readiness.checklists.gate import Verdict
from readiness.models import (
    Alert,
    AlertRule,
    Channel,
    Database,
    Environment,
    GateSeen,
    MaintenanceWindow,
    Notification,
    OnCallRota,
    OnCallTurn,
    ProbeSchedule,
    StatusChange,
    Tracker,
    TrackerEvent,
    TrackerIssue,
    TrackerProject,
)
from tests.readiness.alerts.factories import make_change, make_channel, make_rule
from tests.readiness.factories import make_backup, make_ready, make_state


@pytest.fixture
def tracker(shop: Environment) -> Tracker:
    tracker = Tracker.objects.create(
        environment=shop, provider="sentry", url="https://s.example.org", organization="o", token="t"
    )
    Tracker.objects.update(created_at=timezone.now() - timedelta(hours=2), synced_at=timezone.now())
    tracker.refresh_from_db()
    TrackerProject.objects.create(tracker=tracker, name="api")
    return tracker


def make_issue(tracker: Tracker, **fields: Any) -> TrackerIssue:
    made = {
        "remote_id": str(TrackerIssue.objects.count() + 1),
        "title": "ValueError: x",
        "level": "error",
        "status": "unresolved",
        "first_seen": timezone.now(),
        "last_seen": timezone.now(),
    }
    return TrackerIssue.objects.create(tracker=tracker, project=tracker.projects.get(), **{**made, **fields})


def test_it_tells_of_a_probe_that_fails_and_of_its_end(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"))
    make_change(shop, "fail")
    assert rules.evaluate_changes(timezone.now()) == 1
    alert = Alert.objects.get()
    assert (alert.subject, alert.resolved_at, "The site says fail." in alert.title) == ("probe:http", None, True)

    make_change(shop, "pass")
    rules.evaluate_changes(timezone.now())

    alert.refresh_from_db()
    assert alert.resolved_at is not None
    assert sorted(Notification.objects.values_list("reason", flat=True)) == ["opened", "resolved"]


def test_it_claims_a_change_once(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"))
    make_change(shop, "fail")

    assert [rules.evaluate_changes(timezone.now()), rules.evaluate_changes(timezone.now())] == [1, 0]
    assert Notification.objects.count() == 1
    assert StatusChange.objects.get().alerted_at is not None


def test_it_tells_nobody_of_what_is_history(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"))
    make_change(shop, "fail", at=timezone.now() - timedelta(days=2))

    assert rules.evaluate_changes(timezone.now()) == 1
    assert not Alert.objects.exists()


def test_it_does_not_open_what_is_open(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"))
    make_change(shop, "fail")
    make_change(shop, "error")

    rules.evaluate_changes(timezone.now())

    assert Notification.objects.count() == 1


def test_it_knows_whose_rule_it_is(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"), environment=make_ready("other"))
    make_change(shop, "fail")

    rules.evaluate_changes(timezone.now())

    assert not Alert.objects.exists()


def test_it_holds_back_during_maintenance(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"))
    now = timezone.now()
    MaintenanceWindow.objects.create(environment=shop, starts_at=now, reason="moving")
    make_change(shop, "fail")

    rules.evaluate_changes(timezone.now())

    assert Alert.objects.get().held_back == "maintenance"
    assert not Notification.objects.exists()


def test_it_tells_of_an_outage_that_outlives_its_maintenance(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"))
    now = timezone.now()
    MaintenanceWindow.objects.create(environment=shop, starts_at=now, reason="moving", duration_minutes=60)
    make_change(shop, "fail")
    rules.evaluate_changes(timezone.now())

    assert incidents.follow_up(now + timedelta(minutes=59)) == 0
    assert [incidents.follow_up(now + timedelta(minutes=61)) for _ in range(2)] == [1, 0]

    assert Alert.objects.get().held_back == ""
    assert Notification.objects.get().reason == "opened"


def test_it_keeps_quiet_while_a_kind_is_muted_and_speaks_when_the_mute_ends(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"))
    now = timezone.now()
    for kind, until in (("http", now + timedelta(hours=1)), ("tls", None)):
        ProbeSchedule.objects.create(environment=shop, kind=kind, next_run_at=now, muted_until=until)
        make_change(shop, "fail", kind)
    rules.evaluate_changes(timezone.now())
    assert list(Notification.objects.values_list("alert__subject", flat=True)) == ["probe:tls"]

    assert incidents.follow_up(now + timedelta(minutes=59)) == 0
    assert incidents.follow_up(now + timedelta(minutes=61)) == 1

    assert set(Notification.objects.values_list("alert__subject", flat=True)) == {"probe:http", "probe:tls"}


def test_it_says_nothing_of_an_outage_that_ended_under_maintenance(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"))
    now = timezone.now()
    MaintenanceWindow.objects.create(environment=shop, starts_at=now, reason="moving", duration_minutes=60)
    for to in ("fail", "pass"):
        make_change(shop, to)
        rules.evaluate_changes(timezone.now())

    assert incidents.follow_up(now + timedelta(minutes=61)) == 0
    assert not Notification.objects.exists()


def test_it_holds_back_what_began_in_maintenance_and_tells_what_outlasts_it(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"))
    now = timezone.now()
    window = MaintenanceWindow.objects.create(environment=shop, starts_at=now, reason="moving", duration_minutes=60)
    change = make_change(shop, "fail")
    StatusChange.objects.filter(pk=change.pk).update(in_maintenance=True)
    rules.evaluate_changes(now)

    assert incidents.follow_up(now + timedelta(minutes=59)) == 0
    assert incidents.follow_up(now + timedelta(minutes=61)) == 1
    assert incidents.follow_up(now + timedelta(minutes=62)) == 0
    assert Notification.objects.get().reason == "opened"
    assert Alert.objects.get().told_at == window.starts_at + timedelta(minutes=61)  # type: ignore[operator]


def test_it_does_not_tell_at_once_of_a_change_from_a_window_that_is_over(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"))
    change = make_change(shop, "fail")
    StatusChange.objects.filter(pk=change.pk).update(in_maintenance=True)
    make_change(shop, "pass")

    rules.evaluate_changes(timezone.now())

    assert Alert.objects.get().held_back == "maintenance"
    assert not Notification.objects.exists()


def test_it_tells_after_the_cool_down_of_what_is_still_down(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"), cooldown_minutes=30)
    for to in ("fail", "pass", "fail"):
        make_change(shop, to)
        rules.evaluate_changes(timezone.now())

    assert incidents.follow_up(timezone.now() + timedelta(minutes=29)) == 0
    assert incidents.follow_up(timezone.now() + timedelta(minutes=31)) == 1
    assert Notification.objects.filter(reason="opened").count() == 2


def test_it_tells_on_monday_what_broke_on_sunday(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"), schedule="business")
    sunday = timezone.now().replace(year=2026, month=11, day=22, hour=12)
    AlertRule.objects.update(created_at=sunday - timedelta(days=1))
    make_change(shop, "fail", at=sunday)
    rules.evaluate_changes(sunday)
    assert Alert.objects.get().held_back == "outside hours"

    assert incidents.follow_up(sunday + timedelta(hours=6)) == 0
    assert incidents.follow_up(sunday + timedelta(days=1)) == 1


# Of three that take turns of a day the second is switched off: in its turn the third answers.
@pytest.mark.parametrize(("hours", "name"), [(-5, "one"), (1, "one"), (25, "three"), (49, "three"), (73, "one")])
def test_it_tells_whoever_is_on_call(shop: Environment, hours: int, name: str) -> None:
    channels = [make_channel("https://hook.example.org/", name=one) for one in ("one", "two", "three")]
    Channel.objects.filter(name="two").update(is_enabled=False)
    now = timezone.now()
    rota = OnCallRota.objects.create(name="Nights", starts_at=now - timedelta(hours=hours), turn_hours=24)
    for place, channel in enumerate(channels):
        OnCallTurn.objects.create(rota=rota, channel=channel, position=place)
    make_rule("probe_down", rota=rota)
    make_change(shop, "fail")

    rules.evaluate_changes(now)

    told = Notification.objects.get().channel
    assert told is not None
    assert told.name == name


def test_it_tells_on_call_at_night_and_the_others_in_hours_only(shop: Environment) -> None:
    night = timezone.now().replace(year=2026, month=11, day=23, hour=3)
    on_call, team = make_channel("https://a.example.org/"), make_channel("https://b.example.org/")
    rota = OnCallRota.objects.create(name="Nights", starts_at=night)
    OnCallTurn.objects.create(rota=rota, channel=on_call, position=0)
    make_rule("probe_down", team, rota=rota, schedule="business")
    AlertRule.objects.update(created_at=night - timedelta(days=1))
    make_change(shop, "fail", at=night)

    rules.evaluate_changes(night)

    assert Notification.objects.get().channel == on_call


def test_it_says_nothing_of_a_rule_that_is_removed(shop: Environment) -> None:
    rule = make_rule("probe_down", make_channel("https://hook.example.org/"))
    make_change(shop, "fail")
    rules.evaluate_changes(timezone.now())

    removing.remove_rule(rule, timezone.now())
    make_change(shop, "fail", "tls")
    rules.evaluate_changes(timezone.now())

    assert Alert.objects.get().resolved_at is not None
    assert Notification.objects.get().state == "dropped"


def test_it_cools_down(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"), cooldown_minutes=30)
    for to in ("fail", "pass", "fail"):
        make_change(shop, to)
        rules.evaluate_changes(timezone.now())

    assert list(Alert.objects.order_by("pk").values_list("held_back", flat=True)) == ["", "cool-down"]
    assert Notification.objects.count() == 2


def test_it_damps_what_flaps(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"))
    for to in ("fail", "pass") * 8:
        make_change(shop, to)
        rules.evaluate_changes(timezone.now())

    assert Alert.objects.filter(held_back="").count() == incidents.FLAP_LIMIT
    assert Notification.objects.count() == 2 * incidents.FLAP_LIMIT


def test_it_speaks_in_business_hours_only(shop: Environment) -> None:
    rule = make_rule("probe_down", make_channel("https://hook.example.org/"), schedule="business")
    monday_night = timezone.now().replace(year=2026, month=11, day=23, hour=3)

    assert not incidents.is_in_hours(rule, monday_night)
    assert incidents.is_in_hours(rule, monday_night.replace(hour=9))
    assert not incidents.is_in_hours(rule, monday_night.replace(day=22, hour=9))


def test_it_tells_of_a_new_issue_with_its_figures(shop: Environment, tracker: Tracker) -> None:
    make_rule("new_issue", make_channel("https://hook.example.org/"))
    issue = make_issue(tracker, users=3)
    for number in range(2):
        TrackerEvent.objects.create(issue=issue, remote_id=str(number), at=timezone.now(), tags={"browser": "Firefox"})

    rules.evaluate_issues(timezone.now())

    facts = Alert.objects.get().facts
    assert (facts["project"], facts["users"], facts["events_last_hour"]) == ("api", 3, 2)
    assert facts["browsers"] == ["Firefox"]
    assert facts["link"].endswith(f"/environments/shop/errors/{issue.pk}/")


@pytest.mark.parametrize(
    "fields",
    [
        {"level": "warning"},
        {"status": "resolved"},
        {"first_seen": timezone.now() - timedelta(days=30)},
    ],
)
def test_it_tells_nobody_of_other_issues(shop: Environment, tracker: Tracker, fields: dict[str, Any]) -> None:
    make_rule("new_issue", make_channel("https://hook.example.org/"))
    make_issue(tracker, **fields)

    assert rules.evaluate_issues(timezone.now()) == 1
    assert not Alert.objects.exists()


def test_it_waits_for_the_level(tracker: Tracker) -> None:
    make_issue(tracker, level="")

    assert rules.evaluate_issues(timezone.now()) == 0


@pytest.mark.parametrize(("title", "count"), [("OperationalError: the Database is gone", 1), ("ValueError", 0)])
def test_it_looks_for_the_word_database(tracker: Tracker, title: str, count: int) -> None:
    make_rule("database", make_channel("https://hook.example.org/"))
    make_issue(tracker, title=title, level="warning")

    rules.evaluate_issues(timezone.now())

    assert Alert.objects.count() == count


def test_it_resolves_with_the_issue(tracker: Tracker) -> None:
    make_rule("new_issue", make_channel("https://hook.example.org/"))
    issue = make_issue(tracker)
    rules.evaluate_issues(timezone.now())
    assert rules.resolve_issues(timezone.now()) == 0
    TrackerIssue.objects.filter(pk=issue.pk).update(status="resolved")

    assert rules.resolve_issues(timezone.now()) == 1


@pytest.mark.parametrize(("count", "opened"), [(9, 0), (10, 1)])
def test_it_counts_errors_a_minute(shop: Environment, tracker: Tracker, count: int, opened: int) -> None:
    make_rule("error_rate", make_channel("https://hook.example.org/"))
    Tracker.objects.update(minutes=[[int(timezone.now().timestamp()) - 60, count]])

    rules.evaluate_conditions(timezone.now())

    assert Alert.objects.count() == opened


def test_it_neither_opens_nor_resolves_what_nobody_can_tell(shop: Environment, tracker: Tracker) -> None:
    make_rule("error_rate", make_channel("https://hook.example.org/"))
    Tracker.objects.update(minutes=[[int(timezone.now().timestamp()) - 60, 50]])
    rules.evaluate_conditions(timezone.now())
    Tracker.objects.update(minutes=None)

    rules.evaluate_conditions(timezone.now())

    assert Alert.objects.get().resolved_at is None


def test_it_sees_failed_sign_ins(shop: Environment, tracker: Tracker) -> None:
    make_rule("auth_failure", make_channel("https://hook.example.org/"))
    event = TrackerEvent.objects.create(
        issue=make_issue(tracker), remote_id="1", at=timezone.now(), tags={"auth-failure": "1"}
    )
    rules.evaluate_conditions(timezone.now())
    assert Alert.objects.get().title == "1 sign-in has failed in 10 minutes"

    TrackerEvent.objects.filter(pk=event.pk).update(at=timezone.now() - timedelta(hours=1))
    rules.evaluate_conditions(timezone.now())

    assert Alert.objects.get().resolved_at is not None


def test_it_says_when_a_tracker_is_silent(shop: Environment, tracker: Tracker) -> None:
    make_rule("tracker_silent", make_channel("https://hook.example.org/"))
    Tracker.objects.update(synced_at=timezone.now() - timedelta(hours=1), error="It answered 500.")

    rules.evaluate_conditions(timezone.now())

    assert "It answered 500." in Alert.objects.get().title


def test_it_warns_before_a_certificate_ends(shop: Environment) -> None:
    ready = make_ready("ready")
    make_rule("certificate_days", make_channel("https://hook.example.org/"))
    make_state(ready, "tls", data={"days_left": 9, "trusted": True, "hostname_ok": True})

    rules.evaluate_conditions(timezone.now())

    assert Alert.objects.get().title == "The certificate ends in 9 days"


def test_it_says_that_a_scheduled_backup_is_late(shop: Environment) -> None:
    make_rule("backup_late", make_channel("https://hook.example.org/"))
    database = Database.objects.create(environment=shop, name="main", dsn="env:UNUSED")
    now = timezone.now()
    schedule = BackupSchedule.objects.create(database=database, next_run_at=now - timedelta(minutes=59))
    rules.evaluate_conditions(now)
    assert not Alert.objects.exists()

    rules.evaluate_conditions(now + timedelta(minutes=2))
    assert Alert.objects.get().resolved_at is None

    # Asked for, and not done: it stays late. Done: it is not.
    BackupSchedule.objects.update(next_run_at=now + timedelta(days=1), last_requested_at=now - timedelta(minutes=59))
    rules.evaluate_conditions(now + timedelta(minutes=3))
    assert Alert.objects.get().resolved_at is None
    make_backup(shop, taken_at=now)
    rules.evaluate_conditions(now + timedelta(minutes=4))
    assert Alert.objects.get().resolved_at is not None
    assert schedule.pk


def test_it_tells_of_wal_that_lags(db: None) -> None:
    ready = make_ready("ready")
    make_rule("wal_lag", make_channel("https://hook.example.org/"))
    lag = {"id": "replica_lag", "status": "fail", "summary": "This server is a standby, 2 hours behind."}
    slow = {"id": "slow_queries", "status": "fail", "summary": "slow"}
    make_state(ready, "postgres", findings=[lag, slow])

    rules.evaluate_conditions(timezone.now())
    assert Alert.objects.get().title == "WAL: This server is a standby, 2 hours behind."

    make_state(ready, "postgres", "error", reason="timeout")
    rules.evaluate_conditions(timezone.now())
    assert Alert.objects.get().resolved_at is None

    make_state(ready, "postgres")
    rules.evaluate_conditions(timezone.now())
    assert Alert.objects.get().resolved_at is not None


@pytest.mark.parametrize(
    ("quota", "count"), [({}, 0), ({"dropped_24h": 0}, 0), ({"dropped_24h": 7}, 1), ({"is_accepting": False}, 1)]
)
def test_it_says_that_a_tracker_drops_events(
    shop: Environment, tracker: Tracker, quota: dict[str, Any], count: int
) -> None:
    make_rule("events_dropped", make_channel("https://hook.example.org/"))
    Tracker.objects.update(quota=quota)

    rules.evaluate_conditions(timezone.now())

    assert Alert.objects.count() == count


def test_it_notices_a_gate_that_falls_from_go(db: None) -> None:
    ready = make_ready("ready")
    # Beside the others: without them the alert that the checklist wants acknowledged would go too.
    AlertRule.objects.update(is_enabled=False)
    AlertRule.objects.create(name="gate", kind="gate_fell")
    rules.evaluate_conditions(timezone.now())
    assert GateSeen.objects.get().verdict == "GO"
    make_state(ready, "http", "fail", data={"endpoints": [{"role": "frontend", "status_code": 502}]})

    rules.evaluate_conditions(timezone.now())
    rules.evaluate_conditions(timezone.now())

    alert = Alert.objects.get(subject="gate:NO-GO")
    assert alert.title.startswith("NO-GO, was GO: ")
    make_state(ready, "http")
    rules.evaluate_conditions(timezone.now())
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_it_notices_each_step_down_and_each_step_up(db: None) -> None:
    ready = make_ready("ready")
    rule = make_rule("gate_fell", make_channel("https://hook.example.org/"))
    now = timezone.now()
    assessment = assess([ready], now)[ready.pk]

    def turn(verdict: Verdict) -> list[str]:
        decision = replace(assessment.decision, verdict=verdict)
        gates.evaluate_gates([rule], {ready.pk: replace(assessment, decision=decision)}, now)
        return list(Alert.objects.filter(resolved_at=None).order_by("pk").values_list("subject", flat=True))

    assert turn(Verdict.GO) == []
    assert turn(Verdict.CONDITIONAL) == ["gate:CONDITIONAL"]
    assert turn(Verdict.NO_GO) == ["gate:CONDITIONAL", "gate:NO-GO"]
    assert turn(Verdict.CONDITIONAL) == ["gate:CONDITIONAL"]
    assert turn(Verdict.GO) == []
    assert Alert.objects.order_by("pk").last().title.startswith("NO-GO, was CONDITIONAL")  # type: ignore[union-attr]


def test_it_does_not_call_a_new_environment_fallen(shop: Environment) -> None:
    make_rule("gate_fell", make_channel("https://hook.example.org/"))

    rules.evaluate_conditions(timezone.now())

    assert not Alert.objects.exists()


def test_it_escalates_once_when_nobody_acknowledges(shop: Environment) -> None:
    boss = make_channel("https://boss.example.org/", name="boss")
    make_rule("probe_down", make_channel("https://hook.example.org/"), escalate_minutes=10, escalate_to=boss)
    make_change(shop, "fail")
    rules.evaluate_changes(timezone.now())
    later = timezone.now() + timedelta(minutes=11)

    assert incidents.follow_up(timezone.now()) == 0
    assert [incidents.follow_up(later), incidents.follow_up(later)] == [1, 0]
    assert Notification.objects.get(reason="escalated").channel == boss


def test_it_reminds_of_what_is_still_open_only(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"), remind_minutes=30)
    make_change(shop, "fail", "http")
    make_change(shop, "fail", "tls")
    rules.evaluate_changes(timezone.now())
    make_change(shop, "pass", "tls")
    rules.evaluate_changes(timezone.now())

    assert incidents.follow_up(timezone.now() + timedelta(minutes=31)) == 1
    reminded = Notification.objects.get(reason="reminder").alert
    assert reminded is not None
    assert reminded.subject == "probe:http"


def test_it_does_not_bother_whoever_has_acknowledged(shop: Environment) -> None:
    make_rule("probe_down", make_channel("https://hook.example.org/"), remind_minutes=30)
    make_change(shop, "fail")
    rules.evaluate_changes(timezone.now())

    assert incidents.acknowledge(Alert.objects.get(), "otto", timezone.now())
    assert not incidents.acknowledge(Alert.objects.get(), "lea", timezone.now())
    assert incidents.follow_up(timezone.now() + timedelta(minutes=31)) == 0
    assert Alert.objects.get().acknowledged_by == "otto"


def test_it_keeps_quiet_about_other_environments_of_the_tracker(shop: Environment, tracker: Tracker) -> None:
    """A tracker that filters no events is stored whole, and what the chosen environment has not counts as nothing."""
    channel = make_channel("https://hook.example.org/")
    make_rule("new_issue", channel)
    make_rule("auth_failure", channel)
    Tracker.objects.update(tracker_environment="production")
    issue = make_issue(tracker, count_total=0)
    tags = {"auth-failure": "1", "environment": "staging"}
    event = TrackerEvent.objects.create(issue=issue, remote_id="1", at=timezone.now(), tags=tags)

    rules.evaluate_issues(timezone.now())
    rules.evaluate_conditions(timezone.now())
    assert not Alert.objects.exists()

    TrackerIssue.objects.update(count_total=1)
    TrackerEvent.objects.filter(pk=event.pk).update(tags={**tags, "environment": "production"})
    rules.evaluate_issues(timezone.now())
    rules.evaluate_conditions(timezone.now())
    assert Alert.objects.count() == 2
