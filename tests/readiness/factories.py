"""Makes environments in every state the tests need: what is connected, what probes said, what was proven and ticked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.utils import timezone

from backups.models import Backup, State
from portal.jobs import CLUSTERS
from portal.models import WorkerPulse
from portal.people import set_role
from readiness import claims
from readiness.checklists import workflow
from readiness.checklists.facts import BackupFacts, EndpointFact, Facts, PostedValue, ProbeFact
from readiness.checklists.life import State as ItemLife
from readiness.checklists.template import Item, Kind, Severity, load_template
from readiness.checklists.verification import RULES
from readiness.checklists.workflow.items import digest_demands
from readiness.models import (
    Alert,
    AlertRule,
    Channel,
    Database,
    Endpoint,
    Environment,
    ItemState,
    Notification,
    PostedFact,
    ProbeRun,
    ProbeSchedule,
    ProbeState,
    Scenario,
    Tracker,
    TrackerProject,
)
from readiness.probes.scenarios.shipped import TEMPLATE_NAMES
from readiness.scenario_forms import make_draft
from readiness.trackers.base import RULE_KEYS
from readiness.trackers.facts import RoleFacts, TrackerFacts
from tests.conftest import PASSWORD

# What each kind reports about an environment that has nothing to hide.
GOOD_DATA: Mapping[str, Mapping[str, Any]] = {
    "http": {
        "endpoints": [
            {"role": "frontend", "status_code": 200, "redirects": 0},
            {"role": "api", "status_code": 204, "redirects": 0, "stack_trace": False},
        ]
    },
    "tls": {"trusted": True, "hostname_ok": True, "days_left": 80},
    "headers": {"grade": "A+"},
    "postgres": {
        "tables": 12,
        "tls": True,
        "local": False,
        "application": {"role": "shop", "sessions": 4, "protected": 4},
        "pooling": {"seen": True, "how": "a pooler answers on this address"},
        "largest_tables": [{"name": "public.orders", "rows": 5_000}],
    },
}
_STEPS = [{"name": "Open", "cleanup": False, "status": "pass"}]
_COOKIE = {"name": "session", "secure": True, "httponly": True, "samesite": "lax", "max_age": 86_400, "sign_in": True}
# Of the kinds that only the checklist asks for.
GOOD_CHECKLIST_DATA: Mapping[str, Mapping[str, Any]] = {
    "scenario": {
        "targets": {
            name: {"name": name, "steps": _STEPS, "cookies": [_COOKIE], "all_https": True} for name in TEMPLATE_NAMES
        }
    },
    "browser": {
        "views": [{"view": "390x844", "width": 390, "status_code": 200, "error": None, "horizontal_scroll": False}],
        "all_https": True,
        "plain_requests": [],
        "local_requests": [],
        "viewport_meta": "width=device-width",
        "manifest_url": "https://shop.example.org/manifest.json",
        "service_worker": True,
    },
}
GOOD_FINDINGS: Mapping[str, Sequence[Mapping[str, str]]] = {
    "http": [{"id": "https_redirect", "status": "pass", "summary": "Plain HTTP leads to HTTPS."}],
    "headers": [{"id": "profile", "status": "pass", "summary": "The headers meet the profile."}],
}


def make_environment(slug: str = "shop", **fields: Any) -> Environment:
    """An environment with its checklist and nothing connected."""
    environment = Environment.objects.create(slug=slug, **{"name": slug.replace("-", " ").capitalize(), **fields})
    workflow.start_checklist(environment)
    return environment


def connect(environment: Environment, dsn: str = "env:SHOP_DSN") -> Environment:
    """Gives it a frontend, an API and a database, and the schedules that follow."""
    Endpoint.objects.create(environment=environment, role="frontend", url=f"https://{environment.slug}.example.org/")
    Endpoint.objects.create(
        environment=environment,
        role="api",
        url=f"https://api.{environment.slug}.example.org/",
        health_path="/health",
    )
    Database.objects.create(environment=environment, name="main", dsn=dsn)
    claims.sync_schedules(timezone.now(), [environment])
    return environment


def make_state(environment: Environment, kind: str, status: str = "pass", **fields: Any) -> ProbeState:
    """The newest result of one kind, observed a moment ago unless told."""
    at = fields.pop("observed_at", timezone.now())
    made = {
        "status": status,
        "summary": f"{kind} says {status}.",
        "data": dict({**GOOD_DATA, **GOOD_CHECKLIST_DATA}.get(kind, {})),
        "findings": [dict(finding) for finding in GOOD_FINDINGS.get(kind, [])],
        "duration_ms": 12,
        "observed_at": at,
        "status_since": at,
        "beats": "ppp",
    }
    state, _ = ProbeState.objects.update_or_create(environment=environment, kind=kind, defaults={**made, **fields})
    return state


def make_backup(environment: Environment, *, taken_at: datetime | None = None, **fields: Any) -> Backup:
    """A backup of the environment's first database that was taken, verified and proven, unless told."""
    at = taken_at or timezone.now() - timedelta(hours=1)
    database = environment.databases.first()
    made: dict[str, Any] = {
        "database": database,
        "state": State.DONE,
        "requested_at": at,
        "taken_at": at,
        "finished_at": at,
        "verified_at": at,
        "proven_at": at,
        "bytes": 1_234_567,
        "plain_bytes": 7_654_321,
        "duration_ms": 2_400,
        "artifact": f"{environment.slug}/{at:%Y%m%dT%H%M%S}.dump.zst.age",
        "sha256": "ab" * 32,
        "tables": {"public.customers": 50, "public.orders": 5_000},
        "snapshot": {
            "lsn": "0/16B3748",
            "timeline": 1,
            "taken_at": at.isoformat(),
            "system_identifier": "7300000000000000001",
            "server_version": "15.4",
        },
    }
    return Backup.objects.create(
        environment=environment,
        database_name=database.name if database else "main",
        environment_slug=environment.slug,
        environment_name=environment.name,
        **{**made, **fields},
    )


def verify_all(environment: Environment) -> None:
    """Verifies every item that people verify, and calls not applicable what nothing can verify yet."""
    for item in load_template().items:
        if item.rule and item.rule not in RULES:
            state = ItemLife.NOT_APPLICABLE
        elif item.kind is Kind.AUTOMATIC:
            continue
        else:
            state = ItemLife.VERIFIED
        ItemState.objects.filter(environment=environment, key=item.key).update(
            state=state, changed_at=timezone.now(), demands=digest_demands(item)
        )


def hear_from_outside(environment: Environment) -> None:
    """Gives it an error tracker that has all, an alert that somebody acknowledged, and the facts that CI posts."""
    now = timezone.now()
    tracker = Tracker.objects.create(
        environment=environment,
        provider="sentry",
        url="https://sentry.example.org",
        token="env:SENTRY_TOKEN",
        synced_at=now,
        errors_24h=0,
        new_24h=0,
    )
    for role in ("backend", "frontend"):
        TrackerProject.objects.create(
            tracker=tracker,
            role=role,
            name=f"{environment.slug}-{role}",
            is_scrubbed=True,
            has_replay=True,
            rules=dict.fromkeys(RULE_KEYS, True),
            newest_event={"at": now.isoformat(), "sdk": "sentry.python"},
            test_event={"arrived_at": now.isoformat(), "error": ""},
            facts_at=now,
        )
    rule = AlertRule.objects.filter(kind="new_issue").first() or AlertRule.objects.create(kind="new_issue", name="New")
    alert = Alert.objects.create(
        rule=rule,
        environment=environment,
        subject="issue:1",
        title="TypeError",
        facts={"is_application": True},
        opened_at=now,
        resolved_at=now,
        acknowledged_at=now,
        acknowledged_by="lea",
    )
    channel, _ = Channel.objects.get_or_create(name="Team", defaults={"kind": "email", "address": "team@example.org"})
    Notification.objects.create(
        alert=alert, channel=channel, reason="opened", key=f"opened-{alert.pk}", state="sent", due_at=now, sent_at=now
    )
    facts = {"setting.DATABASE_URL": True, "secret_bits.JWT_SECRET": 256, "schema_provider": "postgresql"}
    for name, value in facts.items():
        PostedFact.objects.create(environment=environment, name=name, value=value, posted_at=now, posted_by="CI")


def wake_workers() -> None:
    """Gives every cluster of workers a sign of life."""
    for cluster in CLUSTERS:
        WorkerPulse.objects.update_or_create(cluster=cluster, defaults={"returned_at": timezone.now(), "host": "test"})


def make_ready(slug: str = "shop", **fields: Any) -> Environment:
    """An environment of which everything is known and good."""
    environment = connect(make_environment(slug, **fields))
    for kind in GOOD_DATA:
        make_state(environment, kind)
    walk_and_look(environment)
    make_backup(environment)
    hear_from_outside(environment)
    verify_all(environment)
    return environment


def walk_and_look(environment: Environment) -> None:
    """Gives it the scenarios of the checklist, which have passed three times, and a browser that liked what it saw."""
    for name in TEMPLATE_NAMES:
        Scenario.objects.create(environment=environment, name=name, text=make_draft(name, environment))
    now = timezone.now()
    for kind in GOOD_CHECKLIST_DATA:
        ProbeSchedule.objects.create(
            environment=environment, kind=kind, interval_seconds=86_400, next_run_at=now + timedelta(days=1)
        )
        make_state(environment, kind)
    ProbeRun.objects.bulk_create(
        ProbeRun(
            environment=environment,
            kind="scenario",
            status="pass",
            data=dict(GOOD_CHECKLIST_DATA["scenario"]),
            duration_ms=12,
            observed_at=now - timedelta(minutes=number),
        )
        for number in range(3)
    )


def must_items() -> list[Item]:
    """Every item of the template that weighs in the verdict."""
    return [item for item in load_template().items if item.severity is Severity.MUST]


def make_fact(kind: str, status: str | None = "pass", **fields: Any) -> ProbeFact:
    """A fresh good fact of one kind, unless told."""
    made: dict[str, Any] = {
        "summary": f"{kind} says {status}.",
        "data": {**GOOD_DATA, **GOOD_CHECKLIST_DATA}.get(kind, {}),
        "findings": tuple(GOOD_FINDINGS.get(kind, ())),
    }
    return ProbeFact(kind, status, **{**made, **fields})


def make_facts(now: datetime, probes: Sequence[ProbeFact] | None = None, **fields: Any) -> Facts:
    """Facts of an environment of which everything is good, unless told."""
    kinds = (*GOOD_DATA, *GOOD_CHECKLIST_DATA)
    known = [make_fact(kind, observed_at=now) for kind in kinds] if probes is None else probes
    made: dict[str, Any] = {
        "backups": BackupFacts(newest_proven_at=now - timedelta(hours=1), newest_done_at=now - timedelta(hours=1)),
        "roles": frozenset({"frontend", "api"}),
        "scenario_runs": (GOOD_CHECKLIST_DATA["scenario"],) * 3,
        "endpoints": (
            EndpointFact("frontend", "https://shop.example.org/"),
            EndpointFact("api", "https://api.shop.example.org/", "/health"),
        ),
        "posted": {
            "setting.DATABASE_URL": PostedValue(True, now),
            "secret_bits.JWT_SECRET": PostedValue(256, now),
            "schema_provider": PostedValue("postgresql", now),
        },
        "tracker": make_tracker_facts(now),
        "alert_acknowledged_at": now,
    }
    return Facts(now=now, probes={fact.kind: fact for fact in known}, **{**made, **fields})


def make_tracker_facts(now: datetime, **fields: Any) -> TrackerFacts:
    """What a tracker says that has all, unless told."""
    roles = tuple(
        RoleFacts(
            role=role,
            project=role,
            newest_event_at=now,
            trial_arrived_at=now,
            is_scrubbed=True,
            has_replay=True,
            rules_there=dict.fromkeys(RULE_KEYS, True),
        )
        for role in ("backend", "frontend")
    )
    made: dict[str, Any] = {"is_stale": False, "synced_at": now, "roles": roles, "acknowledged_at": now}
    return TrackerFacts("sentry", **{**made, **fields})


# One iteration instead of a million; the product verifies it all the same.
_PASSWORD_HASH = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)


def make_person(username: str, role: str | None) -> User:
    """Somebody with that role and the password of all tests, made quickly."""
    user = User.objects.create(username=username, email=f"{username}@example.org", password=_PASSWORD_HASH)
    if role is not None:
        set_role(user, role)
    return user
