"""Every address there is, asked by an anonymous visitor, an outsider and a stakeholder; and whose POST does what."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse
from django.utils import timezone
from django_q.models import OrmQ

from backups.models import Backup, BackupCopy, BackupSchedule, Restore, Verification
from portal.models import AuditEvent
from readiness import evidence
from readiness.checklists import decisions, template_store
from readiness.checklists.cost_tables import start_table
from readiness.checklists.template import parse_template
from readiness.models import (
    Alert,
    AlertRule,
    ApiToken,
    Attachment,
    Channel,
    CostEntry,
    Environment,
    ExpectedRecord,
    ItemEvent,
    MaintenanceWindow,
    OnCallRota,
    RequiredRole,
    Scenario,
    ScenarioSecret,
    Signature,
    TrackerIssue,
    Waiver,
)
from tests.conftest import SignIn
from tests.readiness.checklists.test_template import BARE
from tests.readiness.factories import make_ready

# What anybody may open without an account: the way in.
PUBLIC = {
    "account_login",
    "account_logout",
    "account_inactive",
    "account_signup",
    "account_email_verification_sent",
    "account_confirm_email",
    "account_confirm_login_code",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    # By the signed link of a message, to people who may have no account.
    "acknowledge_by_link",
}
# What everybody with an account may do with that account, whatever their role.
OWN_ACCOUNT = {
    *("account_change_password", "account_set_password", "account_reauthenticate", "account_email", "my_notices"),
}
# What only a token opens, whoever is signed in.
FOR_PROGRAMS = {"api_gate", "api_facts", "api_deploys"}
STAKEHOLDER_PAGES = {
    *("dashboard", "environment", "failing", "item", "environment_probes", "environment_errors", "tracker_issue"),
    *("decision", "snapshot", "download_snapshot", "snapshot_key", "compare_snapshots", "compare_environments"),
    *("plan", "costs"),
}
# Whoever holds the role may, and anybody who sees the environment can hold one.
SIGNING = {"sign_required_role", "withdraw_required_role"}
POST_ONLY = {
    *("preview_markdown", "start_draft", "move_part", "remove_part"),
    "invite_person",
    "change_person",
    "show_invitation",
    "confirm_key",
    "retire_environment",
    "add_endpoint",
    "remove_endpoint",
    "remove_database",
    "test_connection",
    "add_scenario",
    "switch_scenario",
    "remove_scenario",
    "store_secret",
    "remove_secret",
    "add_record",
    "remove_record",
    *("move_item", "plan_item", "comment_item", "attach_to_item", "request_waiver", "decide_waiver", "change_items"),
    "revoke_token",
    "probe_now",
    "remove_tracker",
    "send_test_event",
    "acknowledge_alert",
    "test_channel",
    "remove_channel",
    "remove_rule",
    "remove_rota",
    "mute_probe",
    "remove_maintenance",
    "change_probing",
    "cancel_backup",
    "verify_backup",
    "prove_backup",
    "cancel_restore",
    "approve_restore",
    "pin_backup",
    "remove_assertion",
    "undo_restore",
    "cancel_verification",
    "take_backup",
    "add_schedule",
    "change_schedule",
    *SIGNING,
    *("open_meeting", "change_agenda", "freeze_decision", "go_live", "add_required_role", "remove_required_role"),
    *("start_costs", "remove_cost"),
    "test_store",
    "retry_copy",
    "cancel_copy",
}
TEMPLATE_PAGES = {"templates", "template", "template_version", "template_item", "template_version_item"}
TEMPLATE_PAGES |= {"export_template", "export_template_version"}
FORM_PAGES = {
    *("environment_template", "add_template", "template_draft", "draft_about", "draft_text", "publish_draft"),
    *("add_section", "change_section", "add_item", "change_item", "delete_draft"),
    "maintenance",
    "change_maintenance",
    "change_thresholds",
    "replace_by_backup",
    "request_restore",
    "restore_beside",
    "import_dump",
    "proof_assertions",
    "schedule_retention",
    "edit_schedule",
    "add_environment",
    "environment_settings",
    "add_database",
    "change_database",
    "change_scenario",
    "change_tracker",
    *("add_channel", "change_channel", "add_rule", "change_rule", "add_rota", "change_rota", "test_error", "tokens"),
    *("add_cost", "change_cost", "drop_costs"),
}


@dataclass(frozen=True)
class Address:
    """One URL pattern, filled in with what exists."""

    name: str
    url: str

    @property
    def is_admin(self) -> bool:
        return self.url.startswith("/admin/")


@dataclass(frozen=True)
class World:
    """One row of everything that addresses can name."""

    environment: Environment
    backup: Backup
    verification: Verification
    restore: Restore
    copy: BackupCopy
    schedule: BackupSchedule
    window: MaintenanceWindow
    scenario: Scenario
    secret: ScenarioSecret
    record: ExpectedRecord
    person: User
    issue: TrackerIssue
    channel: Channel
    rule: AlertRule
    rota: OnCallRota
    alert: Alert
    role: RequiredRole
    cost: CostEntry
    waiver: Waiver
    attachment: Attachment
    api_token: ApiToken

    def fill(self, name: str, parameter: str) -> str:
        if parameter in {"id", "object_id", "content_type_id", "app_label", "url"}:
            return "readiness" if parameter == "app_label" else "1"
        if parameter == "pk":
            return str(self._pk(name))
        if parameter == "key" and name in {"change_section", "change_item", "template_item", "template_version_item"}:
            return "people" if name == "change_section" else "people.ruth"
        return {
            "slug": self.environment.slug,
            "template": "bare",
            "key": "x-y" if name.startswith("account") else "backup_strategy",
            "kind": "http",
            "number": "1",
            "token": "x",
            "uidb36": "1",
            "name": evidence.list_screenshots(self.environment.pk)[0].name,
        }[parameter]

    def _pk(self, name: str) -> int:
        database, endpoint = self.environment.databases.get(), self.environment.endpoints.first()
        assert endpoint is not None
        places = {
            "person": self.person,
            "invitation": self.person,
            "database": database,
            "connection": database,
            "thresholds": database,
            "endpoint": endpoint,
            "maintenance": self.window,
            "schedule": self.schedule,
            "scenario": self.scenario,
            "secret": self.secret,
            "record": self.record,
            "verification": self.verification,
            "restore": self.restore,
            "copy": self.copy,
            "channel": self.channel,
            "rule": self.rule,
            "rota": self.rota,
            "alert": self.alert,
            "required_role": self.role,
            "cost": self.cost,
            "waiver": self.waiver,
            "attachment": self.attachment,
            "revoke_token": self.api_token,
        }
        if name == "tracker_issue":
            return self.issue.pk
        if name in {"request_restore", "restore_beside", "replace_by_backup"}:
            return self.backup.pk
        return int(next((row.pk for word, row in places.items() if word in name), self.backup.pk))


@pytest.fixture
def world(db: None, make_user: Callable[[str, str | None], User]) -> World:
    environment = make_ready()
    version = template_store.create_template(parse_template(BARE, "bare"), by=None)
    template_store.publish_draft(version, revision=version.revision, by=None)
    template_store.start_draft(version.template, by=None)
    AuditEvent.objects.all().delete()
    backup = Backup.objects.get()
    tracker = environment.tracker
    path = default_storage.save(f"attachments/{environment.pk}/x", ContentFile(b"x"))
    rule = AlertRule.objects.create(name="ours", kind="probe_down")
    person = make_user("petra", "Stakeholder")
    meeting = decisions.open_meeting(environment, planned_for=None, agenda="", by=person, now=timezone.now())
    decisions.freeze(meeting, outcome="NO-GO", note="", by=person, now=timezone.now())
    decisions.open_meeting(environment, planned_for=None, agenda="", by=person, now=timezone.now())
    table = start_table(environment, language="en", by=person, now=timezone.now())
    evidence.keep_screenshots(environment.pk, {"390x844": b"\x89PNG"})
    return World(
        environment=environment,
        backup=backup,
        verification=Verification.objects.create(backup=backup, kind="verify"),
        restore=Restore.objects.create(backup=backup, target_database="again"),
        copy=BackupCopy.objects.create(backup=backup, store="local", state="failed"),
        schedule=BackupSchedule.objects.create(database=environment.databases.get()),
        window=MaintenanceWindow.objects.create(environment=environment, reason="Disk", cron="0 3 * * *"),
        scenario=environment.scenarios.get(name="login"),
        secret=ScenarioSecret.objects.create(environment=environment, name="password", value="s3cret"),
        record=ExpectedRecord.objects.create(environment=environment, type="AAAA"),
        person=person,
        issue=TrackerIssue.objects.create(tracker=tracker, project=tracker.projects.all()[0], remote_id="1", title="x"),
        channel=Channel.objects.create(name="hook", kind="webhook", address="env:NO_HOOK"),
        rule=rule,
        rota=OnCallRota.objects.create(name="nights", starts_at=timezone.now()),
        alert=Alert.objects.create(
            rule=rule, environment=environment, subject="x", title="x", opened_at=timezone.now()
        ),
        role=decisions.add_role(environment, "Product owner", person=person, group=None),
        cost=table.entries.get(plan="Supabase Free"),
        waiver=Waiver.objects.create(
            environment=environment,
            key="backup_strategy",
            reason="x",
            risk="x",
            requester_name="lea",
            requested_at=timezone.now(),
            expires_on=timezone.localdate(),
        ),
        attachment=Attachment.objects.create(
            environment=environment,
            key="backup_strategy",
            name="x.txt",
            path=path,
            bytes=1,
            sha256=sha256(b"x").hexdigest(),
            added_by_name="lea",
            at=timezone.now(),
        ),
        api_token=ApiToken.objects.create(name="CI", scopes=["gate"], sha256="x", created_at=timezone.now()),
    )


def list_patterns(resolver: Any, prefix: str = "/") -> Iterator[tuple[str, str]]:
    for pattern in resolver.url_patterns:
        route = prefix + re.sub(r"^\^|\$$", "", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from list_patterns(pattern, route)
        else:
            yield pattern.name or "", route


def list_addresses(world: World) -> list[Address]:
    """Every address of the site for people, with every parameter filled in."""
    return [
        Address(name, fill_in(route, partial(world.fill, name)))
        for name, route in list_patterns(get_resolver())
        if name not in FOR_PROGRAMS
    ]


def fill_in(route: str, fill: Callable[[str], str]) -> str:
    """The route with a value for each parameter, of both ways to spell routes."""
    parameter = re.compile(r"\(\?P<(?P<regex>\w+)>[^)]*\)|<(?:\w+:)?(?P<path>\w+)>")
    return parameter.sub(lambda match: fill(match["regex"] or match["path"]), route).replace("\\", "")


def ask(client: Client, url: str, method: str = "get") -> tuple[int, str]:
    """Status and place of the answer, through the redirects of the admin's door."""
    answer = getattr(client, method)(url)
    while answer.status_code == 302 and answer["Location"].startswith("/admin/"):
        answer = client.get(answer["Location"])
    return answer.status_code, answer.headers.get("Location", "")


def test_it_knows_every_address(world: World) -> None:
    names = {address.name for address in list_addresses(world) if not address.is_admin}

    known = PUBLIC | OWN_ACCOUNT | STAKEHOLDER_PAGES | POST_ONLY | FORM_PAGES
    rest = {"people", "backup_key", "backups", "backup", "restore", "environment_backups", "download_backup"}
    rest |= {"stores", "check_database"}
    inside = {"probe_history", "screenshot", "alerts", "alert_settings", "attachment"}
    assert names == known | TEMPLATE_PAGES | rest | inside


@pytest.mark.parametrize("name", sorted(FOR_PROGRAMS))
def test_it_lets_no_person_into_what_is_for_programs(world: World, ada: User, sign_in: SignIn, name: str) -> None:
    url = reverse(name, args=["shop"])
    for browser in (Client(), sign_in(ada)):
        assert {browser.get(url).status_code, browser.post(url).status_code} == {401, 405}


def test_it_sends_anonymous_visitors_to_sign_in(world: World, client: Client) -> None:
    for address in list_addresses(world):
        for method in ("get", "post"):
            status, location = ask(client, address.url, method)
            if address.name in PUBLIC and not address.is_admin:
                assert status in {200, 302, 400, 404, 405, 503}, address
            else:
                assert (status, location.partition("?")[0]) == (302, reverse("account_login")), address


def test_it_shows_nothing_to_somebody_without_a_role(world: World, charlie: User, sign_in: SignIn) -> None:
    browser = sign_in(charlie)
    for address in list_addresses(world):
        if (address.name in PUBLIC | OWN_ACCOUNT) and not address.is_admin:
            continue
        for method in ("get", "post"):
            status, location = ask(browser, address.url, method)
            assert (status, location) == (403, ""), address


def test_it_shows_stakeholders_the_dashboards_and_nothing_else(world: World, sam: User, sign_in: SignIn) -> None:
    browser = sign_in(sam)
    for address in list_addresses(world):
        if address.name in PUBLIC | OWN_ACCOUNT and not address.is_admin:
            continue
        status, location = ask(browser, address.url)
        if address.name in STAKEHOLDER_PAGES and not address.is_admin:
            assert status == 200, address
            assert ask(browser, address.url, "post")[0] == 405, address
        elif address.name in SIGNING:
            assert status == 405, address
            assert ask(browser, address.url, "post") == (302, reverse("decision", args=["shop"])), address
        else:
            assert (status, location) == (403, ""), address
            assert ask(browser, address.url, "post")[0] == 403, address
    assert not AuditEvent.objects.exists()
    assert not OrmQ.objects.exists()
    assert not ItemEvent.objects.exists()
    assert not Signature.objects.exists()


def test_it_does_nothing_on_a_get_that_only_a_post_may_do(world: World, ada: User, sign_in: SignIn) -> None:
    browser = sign_in(ada)
    seen = set()
    for address in list_addresses(world):
        if address.is_admin or address.name in PUBLIC | OWN_ACCOUNT:
            continue
        status, _ = ask(browser, address.url)
        if address.name in POST_ONLY:
            seen.add(address.name)
            assert status == 405, address
        elif address.name != "download_backup":
            assert status == 200, (address, status)
    assert seen == POST_ONLY


def test_it_enforces_csrf_on_every_post(world: World, ada: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(ada)
    for address in list_addresses(world):
        if not address.is_admin:
            assert browser.post(address.url).status_code == 403, address
    assert not AuditEvent.objects.exists()


def test_it_says_that_the_form_was_too_old(ada: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(ada)

    answer = browser.post(reverse("confirm_key"))

    assert answer.status_code == 403
    assert "The form was too old" in answer.content.decode()


@pytest.mark.parametrize("role", ["sam", "lea", "otto", "ada", "charlie"])
@pytest.mark.parametrize(
    ("name", "arguments", "allowed"),
    [
        ("move_item", ["shop", "backup_strategy"], {"lea", "ada"}),
        ("plan_item", ["shop", "backup_strategy"], {"lea", "ada"}),
        ("attach_to_item", ["shop", "backup_strategy"], {"lea", "ada"}),
        ("request_waiver", ["shop", "backup_strategy"], {"lea", "ada"}),
        ("change_items", ["shop"], {"lea", "ada"}),
        ("tokens", [], {"ada"}),
        ("comment_item", ["shop", "backup_strategy"], {"lea", "ada"}),
        ("take_backup", ["shop"], {"otto", "ada"}),
        ("probe_now", ["shop"], {"otto", "ada"}),
        ("environment_settings", ["shop"], {"otto", "ada"}),
        ("retire_environment", ["shop"], {"otto", "ada"}),
        ("add_schedule", ["shop"], {"otto", "ada"}),
        ("test_store", [], {"otto", "ada"}),
        ("add_scenario", ["shop"], {"otto", "ada"}),
        ("store_secret", ["shop"], {"otto", "ada"}),
        ("add_record", ["shop"], {"otto", "ada"}),
        ("confirm_key", [], {"otto", "ada"}),
        ("add_environment", [], {"otto", "ada"}),
        ("change_tracker", ["shop"], {"otto", "ada"}),
        ("open_meeting", ["shop"], {"lea", "ada"}),
        ("freeze_decision", ["shop"], {"lea", "ada"}),
        ("add_required_role", ["shop"], {"lea", "ada"}),
        ("go_live", ["shop"], {"lea", "ada"}),
        ("start_costs", ["shop"], {"lea", "otto", "ada"}),
        ("add_rule", [], {"otto", "ada"}),
        ("add_channel", [], {"otto", "ada"}),
        ("add_rota", [], {"otto", "ada"}),
        ("my_notices", [], {"sam", "lea", "otto", "ada"}),
        ("test_error", [], {"ada"}),
        ("invite_person", [], {"ada"}),
        ("add_template", [], {"lea", "ada"}),
        ("preview_markdown", [], {"lea", "ada"}),
        ("start_draft", ["bare"], {"lea", "ada"}),
        ("change_item", ["bare", "people.ruth"], {"lea", "ada"}),
        ("draft_text", ["bare"], {"lea", "ada"}),
        ("publish_draft", ["bare"], {"lea", "ada"}),
        ("delete_draft", ["bare"], {"lea", "ada"}),
        ("environment_template", ["shop"], {"lea", "ada"}),
    ],
)
def test_it_lets_each_role_do_what_is_theirs(
    world: World,
    request: pytest.FixtureRequest,
    sign_in: SignIn,
    role: str,
    name: str,
    arguments: list[str],
    allowed: set[str],
) -> None:
    status = sign_in(request.getfixturevalue(role)).post(reverse(name, args=arguments)).status_code

    assert (status != 403) is (role in allowed), status


@pytest.mark.parametrize("person", ["lea", "otto", "ada"])
def test_it_opens_the_admin_to_those_who_may(request: pytest.FixtureRequest, sign_in: SignIn, person: str) -> None:
    assert sign_in(request.getfixturevalue(person)).get("/admin/").status_code == 200


def test_it_leads_back_to_the_admin_page_that_was_asked_for(client: Client) -> None:
    answer = client.get("/admin/readiness/environment/?q=x")

    assert answer["Location"] == f"{reverse('account_login')}?next=/admin/readiness/environment/%3Fq%3Dx"
