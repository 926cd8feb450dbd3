"""Every page has a policy that runs no inline script and no inline style, and holds neither."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backups.models import Backup, BackupSchedule, Restore, Verification
from portal import audit
from readiness.checklists import decisions
from readiness.checklists.assigned_template import read_version
from readiness.models import Environment, TemplateVersion
from tests.conftest import SignIn
from tests.readiness.factories import make_backup, make_environment, make_ready, make_state


class _Violations(HTMLParser):
    """Collects whatever the policy would block."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._is_inline_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name, value in attrs:
            if name == "style" or name.startswith(("on", "hx-on", "data-hx-on")):
                self.found.append(f"<{tag} {name}={value!r}>")
            if name in {"href", "src", "action", "formaction"} and (value or "").strip().lower().startswith(
                ("javascript:", "vbscript:")
            ):
                self.found.append(f"<{tag} {name}={value!r}>")
            if (
                name in {"src", "href"}
                and tag in {"script", "link", "img"}
                and (value or "").startswith(("http", "//"))
            ):
                self.found.append(f"<{tag} {name}={value!r}>")
        if tag in {"style", "iframe", "object", "embed", "base"}:
            self.found.append(f"<{tag}>")
        self._is_inline_script = tag == "script" and "src" not in given and given.get("type") != "application/json"

    def handle_data(self, data: str) -> None:
        if self._is_inline_script and data.strip():
            self.found.append(f"<script>{data.strip()[:60]}")

    def handle_endtag(self, tag: str) -> None:
        self._is_inline_script = False


def read_policy(answer: Any) -> dict[str, list[str]]:
    directives = [part.split() for part in answer["Content-Security-Policy"].split(";") if part.strip()]
    return {name: values for name, *values in directives}


def check(answer: Any, status: int = 200) -> None:
    """Asserts status, policy and content of one page."""
    assert answer.status_code == status, answer.status_code
    policy = read_policy(answer)
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == ["'self'"]
    assert policy["style-src"] == ["'self'"]
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == ["'none'"]
    assert policy["form-action"] == policy["connect-src"] == ["'self'"]
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    parser = _Violations()
    parser.feed(answer.content.decode())
    assert parser.found == []


@pytest.fixture
def shop(db: None, lea: User) -> Environment:
    """An environment with something of everything: good and bad results, backups in every state, comments."""
    environment = make_ready()
    nasty = '<img src=x onerror="alert(1)"> "quoted"'
    make_state(
        environment,
        "headers",
        "fail",
        summary=nasty,
        beats="pwfen" * 18,
        findings=[{"id": "x", "status": "fail", "summary": nasty, "detail": nasty, "fix": nasty}],
    )
    backup = make_backup(environment, proven_at=None, damaged_at=environment.created_at, damage=nasty)
    make_backup(environment, state="failed", error=nasty)
    make_backup(environment, state="running", phase="dumping", percent=40, database=None)
    Verification.objects.create(backup=backup, kind="prove", state="done", outcome="not_provable", detail=nasty)
    Restore.objects.create(backup=backup, target_database="again", state="running", percent=7, phase=nasty)
    environment.item_events.create(
        key="backup_strategy", kind="comment", text=nasty, actor_name=nasty, at=environment.created_at
    )
    audit.record("did something to", environment=environment, subject=nasty)
    now = timezone.now()
    decisions.add_role(environment, nasty, person=lea, group=None)
    for is_frozen in (True, False):
        meeting = decisions.open_meeting(environment, planned_for=now, agenda=nasty, by=lea, now=now)
        if is_frozen:
            decisions.freeze(meeting, outcome="NO-GO", note=nasty, by=lea, now=now)
    return environment


def test_it_finds_what_it_looks_for() -> None:
    parser = _Violations()
    parser.feed('<p style="x"><a onclick=y href="javascript:z"></a><style></style><script>1</script>')

    assert len(parser.found) == 5


@pytest.mark.parametrize("person", ["sam", "lea", "otto", "ada"])
def test_it_keeps_every_page_of_an_environment_clean(
    request: pytest.FixtureRequest, shop: Environment, sign_in: SignIn, person: str
) -> None:
    browser = sign_in(request.getfixturevalue(person))
    for headers in ({}, {"HX-Request": "true"}):
        for name in ("environment", "environment_probes"):
            check(browser.get(reverse(name, args=["shop"]), headers=headers))
        check(browser.get("/", headers=headers))
    for name in ("decision", "plan", "costs", "compare_snapshots"):
        check(browser.get(reverse(name, args=["shop"])))
    check(browser.get(reverse("snapshot", args=["shop", 1])))
    check(browser.get(reverse("compare_environments")))
    for key in ("backup_strategy", "https.certificates"):
        for language in ("en", "de"):
            check(browser.get(reverse("item", args=["shop", key]), {"lang": language}))


def test_it_keeps_every_page_of_an_operator_clean(shop: Environment, otto: User, sign_in: SignIn) -> None:
    browser = sign_in(otto)
    database = shop.databases.get()
    pages = [
        reverse("add_environment"),
        reverse("environment_settings", args=["shop"]),
        reverse("change_database", args=["shop", database.pk]),
        reverse("probe_history", args=["shop", "headers"]),
        reverse("backups"),
        reverse("environment_backups", args=["shop"]),
        reverse("backup_key"),
        *(reverse("backup", args=[backup.pk]) for backup in Backup.objects.all()),
        reverse("restore", args=[Restore.objects.get().pk]),
        *(reverse("schedule_retention", args=["shop", each.pk]) for each in BackupSchedule.objects.all()),
        *(
            reverse(name, args=[backup.pk])
            for backup in Backup.objects.filter(state="done")
            for name in ("request_restore", "restore_beside", "replace_by_backup")
        ),
        reverse("proof_assertions", args=["shop"]),
        reverse("import_dump", args=["shop"]),
    ]
    for headers in ({}, {"HX-Request": "true"}):
        for page in pages:
            check(browser.get(page, headers=headers))
        check(browser.post(reverse("test_connection", args=["shop", database.pk]), headers=headers))
    check(browser.post(reverse("add_environment"), {"name": ""}), 400)
    check(browser.post(reverse("request_restore", args=[Backup.objects.first().pk]), {"target": "x"}), 400)  # type: ignore[union-attr]
    check(browser.post(reverse("add_schedule", args=["shop"]), {"cron": "nonsense"}), 400)


def test_it_keeps_every_page_of_checklists_clean(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    nasty = '<img src=x onerror="alert(1)"> <style>a{}</style> [x](javascript:alert(1))'
    start = {"name": nasty, "key": "bad", "source": "markdown", "text": f"# {nasty}\n\n- [ ] {nasty}\n\n  {nasty}\n"}
    browser.post(reverse("add_template"), start)
    browser.post(reverse("publish_draft", args=["bad"]), {"revision": "1"})
    browser.post(reverse("start_draft", args=["bad"]))
    draft = TemplateVersion.objects.select_related("template").get(state="draft")
    (item,) = read_version(draft).items
    drafted = ("template_draft", "draft_about", "draft_text", "add_section", "add_item", "publish_draft")
    pages = [
        *(reverse("templates"), reverse("add_template"), reverse("template", args=["go-live"])),
        *(reverse(name, args=["bad"]) for name in ("template", *drafted)),
        reverse("change_item", args=["bad", item.key]),
        reverse("change_section", args=["bad", item.section]),
        reverse("template_item", args=["bad", item.key]),
        f"{reverse('environment_template', args=['shop'])}?version={TemplateVersion.objects.get(number=1).pk}",
    ]
    for page in pages:
        check(browser.get(page))
    check(browser.post(reverse("preview_markdown"), {"how_en": nasty}))
    check(browser.post(reverse("add_template"), {**start, "source": "toml"}), 400)
    check(browser.post(reverse("change_item", args=["bad", item.key]), {"title_en": nasty}), 400)


def test_it_keeps_the_pages_of_people_and_accounts_clean(ada: User, sign_in: SignIn, client: Client) -> None:
    browser = sign_in(ada)
    check(browser.get(reverse("people")))
    check(browser.post(reverse("show_invitation", args=[ada.pk])))
    check(browser.post(reverse("invite_person"), {}), 400)
    for name in ("account_change_password", "account_email", "account_logout"):
        check(browser.get(reverse(name)))
    for name in (
        "account_login",
        "account_signup",
        "account_inactive",
        "account_reset_password",
        "account_reset_password_done",
        "account_reset_password_from_key_done",
        "account_email_verification_sent",
    ):
        check(client.get(reverse(name)))
    check(client.post(reverse("account_login"), {"login": "ada", "password": "wrong"}))
    check(client.get("/accounts/password/reset/key/1-nonsense/"))


def test_it_keeps_bad_news_clean(ada: User, charlie: User, sign_in: SignIn) -> None:
    check(sign_in(charlie).get("/"), 403)
    check(sign_in(ada).get("/nothing/here/"), 404)
    check(sign_in(ada).get("/environments/nothing/"), 404)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    check(strict.post(reverse("confirm_key")), 403)


def test_it_keeps_the_page_for_faults_clean(ada: User, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*args: object) -> None:
        raise RuntimeError("s3cret detail")

    monkeypatch.setattr("portal.views.load_fleet", break_down)
    browser = sign_in(ada)
    browser.raise_request_exception = False

    answer = browser.get("/")

    check(answer, 500)
    assert "Something broke" in answer.content.decode()
    assert "s3cret" not in answer.content.decode()


def test_it_keeps_the_whole_admin_clean(shop: Environment, ada: User, sign_in: SignIn, rf: Any) -> None:
    browser = sign_in(ada)
    request: HttpRequest = rf.get("/admin/")
    request.user = ada
    check(browser.get(reverse("admin:index")))
    for label in ("readiness", "backups", "portal", "auth"):
        check(browser.get(reverse("admin:app_list", args=[label])))
    shown = 0
    for model, options in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        if options.has_view_permission(request):
            check(browser.get(reverse(f"{name}_changelist")))
            row = model._default_manager.first()
            if row is not None:
                check(browser.get(reverse(f"{name}_change", args=[row.pk])))
                check(browser.get(reverse(f"{name}_history", args=[row.pk])))
                shown += 1
        if options.has_add_permission(request):
            check(browser.get(reverse(f"{name}_add")))
    assert shown >= 10
    assert {apps.get_model(name) for name in ("readiness.Environment", "backups.Backup")} <= set(admin.site._registry)


def test_it_keeps_an_empty_portal_clean(ada: User, sign_in: SignIn) -> None:
    browser = sign_in(ada)
    check(browser.get("/"))
    check(browser.get(reverse("backups")))
    make_environment("bare")
    for name in ("environment", "environment_probes", "environment_backups", "environment_settings"):
        check(browser.get(reverse(name, args=["bare"])))
