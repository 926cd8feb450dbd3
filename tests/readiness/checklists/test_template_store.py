"""Templates of one's own: drafts change, published versions never do, and environments follow what they are told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import AuditEvent
from readiness.checklists import assigned_template, template_store, workflow
from readiness.checklists.assessment import assess
from readiness.checklists.assigned_template import read_version, template_of
from readiness.checklists.gate import Verdict
from readiness.checklists.life import Action
from readiness.checklists.template import (
    EvidenceKind,
    Severity,
    Template,
    Text,
    load_template,
    parse_draft,
    parse_template,
)
from readiness.checklists.template_edits import change_item, remove_item
from readiness.checklists.template_store import DraftConflictError, TemplateChangeError
from readiness.models import ChecklistTemplate, Environment, ItemEvent, ItemState, TemplateVersion
from tests.readiness.checklists.test_template import BARE, SMALL
from tests.readiness.factories import make_environment

BARE_TEMPLATE = parse_template(BARE, "bare")


def publish(content: Template = BARE_TEMPLATE, by: User | None = None) -> TemplateVersion:
    """A template with one published version."""
    version = template_store.create_template(content, by=by)
    template_store.publish_draft(version, revision=version.revision, by=by)
    return version


def rename(title: str, template: Template) -> Template:
    item = template.items[0]
    return change_item(template, replace(item, title=Text(title, title)))


@pytest.fixture
def bare(db: None) -> TemplateVersion:
    return publish()


def test_it_makes_a_template_with_a_draft(lea: User) -> None:
    version = template_store.create_template(BARE_TEMPLATE, by=lea)

    assert (str(version), version.number, version.is_draft) == ("Bare, version 1", 1, True)
    assert read_version(version) == BARE_TEMPLATE
    assert str(AuditEvent.objects.get()) == "lea made the template Bare"


@pytest.mark.django_db
def test_it_copies_the_shipped_template() -> None:
    version = template_store.create_template(replace(load_template(), key="ours", version=7), by=None)

    assert read_version(version) == replace(load_template(), key="ours", version=1)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("go-live", "The key go-live is taken by the portal itself."),
        ("new", "The key new is taken by the portal itself."),
        ("Two Words", "Use lower-case letters, digits and single dashes."),
        ("x" * 61, "at most 60 characters"),
        ("bare", "already exists"),
    ],
)
def test_it_refuses_a_key(key: str, sentence: str) -> None:
    publish()

    with pytest.raises(TemplateChangeError, match=sentence):
        template_store.create_template(replace(BARE_TEMPLATE, key=key), by=None)


def test_it_changes_a_draft(lea: User) -> None:
    version = template_store.create_template(BARE_TEMPLATE, by=None)

    content = template_store.change_draft(version, lambda old: rename("Ask Tom", old), revision=1, by=lea)

    assert content.items[0].title.en == "Ask Tom"
    assert read_version(TemplateVersion.objects.get()) == content
    assert (version.revision, version.changed_by_name) == (2, "lea")


def test_it_overwrites_nobody(lea: User, ada: User) -> None:
    mine = template_store.create_template(BARE_TEMPLATE, by=lea)
    theirs = TemplateVersion.objects.get()
    template_store.change_draft(theirs, lambda old: rename("Theirs", old), revision=1, by=ada)

    with pytest.raises(DraftConflictError, match="ada has changed this draft in the meantime"):
        template_store.change_draft(mine, lambda old: rename("Mine", old), revision=1, by=lea)
    with pytest.raises(DraftConflictError):
        template_store.publish_draft(mine, revision=1, by=lea)

    assert read_version(TemplateVersion.objects.get()).items[0].title.en == "Theirs"


@pytest.mark.django_db
def test_it_saves_nothing_that_is_no_template() -> None:
    version = template_store.create_template(BARE_TEMPLATE, by=None)

    with pytest.raises(TemplateChangeError, match=r'people\.ruth": a title is one line of at most 200 characters'):
        template_store.change_draft(version, lambda old: rename("x" * 201, old), revision=1, by=None)
    with pytest.raises(TemplateChangeError, match="longer than 400,000 characters"):
        template_store.change_draft(version, _make_huge, revision=1, by=None)

    version.refresh_from_db()
    assert (read_version(version), version.revision) == (BARE_TEMPLATE, 1)


def _make_huge(old: Template) -> Template:
    text = Text("x" * 20_000, "x" * 20_000)
    return replace(old, items=tuple(replace(old.items[0], key=f"k{number}", how=text) for number in range(21)))


def test_it_publishes_for_good(bare: TemplateVersion, lea: User) -> None:
    assert (bare.is_draft, bare.published_by_name) == (False, "command line")
    with pytest.raises(DraftConflictError, match="Version 1 was published in the meantime"):
        template_store.change_draft(bare, lambda old: rename("Late", old), revision=bare.revision, by=lea)
    with pytest.raises(TemplateChangeError, match="A published version stays"):
        template_store.delete_draft(bare, revision=bare.revision, by=lea)

    for change in ({"content": "x"}, {"state": "draft", "published_at": None}, {"number": 2}, {"published_by": lea}):
        with pytest.raises(IntegrityError, match="is published and frozen"), transaction.atomic():
            TemplateVersion.objects.update(**change)
    with pytest.raises(IntegrityError, match="is published and frozen"), transaction.atomic():
        TemplateVersion.objects.all().delete()
    assert read_version(TemplateVersion.objects.get()) == BARE_TEMPLATE


def test_it_lets_an_account_go_that_has_published(lea: User) -> None:
    publish(by=lea)

    lea.delete()

    version = TemplateVersion.objects.get()
    assert (version.published_by, version.published_by_name) == (None, "lea")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (BARE[: BARE.index("[[item]]")], 'Section "people" has no items.'),
        (BARE[: BARE.index("[[section]]")], "There are no items."),
        (
            SMALL.replace("postgres.answers", "postgres.anwsers"),
            'Item "first.done" names the rule "postgres.anwsers", which nothing verifies.',
        ),
    ],
)
def test_it_publishes_nothing_unfinished(content: str, sentence: str) -> None:
    key = "bare" if "bare" in content else "small"
    version = template_store.create_template(parse_draft(content, key), by=None)

    with pytest.raises(TemplateChangeError) as caught:
        template_store.publish_draft(version, revision=1, by=None)

    assert sentence in str(caught.value)
    assert TemplateVersion.objects.get().is_draft


def test_it_starts_a_new_draft_from_the_published_version(bare: TemplateVersion) -> None:
    draft = template_store.start_draft(bare.template, by=None)

    assert (draft.number, draft.is_draft) == (2, True)
    assert read_version(draft) == replace(BARE_TEMPLATE, version=2)
    with pytest.raises(TemplateChangeError, match="Bare has a draft already"):
        template_store.start_draft(bare.template, by=None)


def test_it_deletes_a_draft_and_an_empty_template(bare: TemplateVersion) -> None:
    draft = template_store.start_draft(bare.template, by=None)
    template_store.delete_draft(draft, revision=draft.revision, by=None)
    assert ChecklistTemplate.objects.get().versions.get() == bare

    other = template_store.create_template(replace(BARE_TEMPLATE, key="other"), by=None)
    template_store.delete_draft(other, revision=other.revision, by=None)
    assert ChecklistTemplate.objects.get() == bare.template


def test_it_takes_the_name_of_what_was_published(bare: TemplateVersion) -> None:
    draft = template_store.start_draft(bare.template, by=None)
    template_store.change_draft(
        draft, lambda old: replace(old, title=Text("Better", "Besser")), revision=draft.revision, by=None
    )
    assert ChecklistTemplate.objects.get().name_en == "Bare"

    template_store.publish_draft(draft, revision=draft.revision, by=None)
    assert ChecklistTemplate.objects.get().name_de == "Besser"


def test_it_switches_an_environment(bare: TemplateVersion, shop: Environment, lea: User) -> None:
    assert template_of(shop) is load_template()

    changes = template_store.switch_template(shop, bare, by=lea)

    assert [item.key for item in changes.added] == ["people.ruth"]
    assert len(changes.removed) == len(load_template().items)
    assert template_of(Environment.objects.get()) == BARE_TEMPLATE
    assert ItemState.objects.filter(environment=shop, key="people.ruth").exists()
    assert "lea lets it follow Bare, version 1" in [str(event) for event in AuditEvent.objects.all()]
    assessment = assess([Environment.objects.get()], timezone.now())[shop.pk]
    assert [standing.item.key for standing in assessment.standings] == ["people.ruth"]

    template_store.switch_template(shop, None, by=lea)
    assert template_of(Environment.objects.get()) is load_template()


def test_it_lets_an_environment_go_live_on_a_small_checklist(shop: Environment, lea: User, ada: User) -> None:
    noted = replace(
        BARE_TEMPLATE.items[0], key="people.tom", approvals=1, evidence=(EvidenceKind.NOTE,), title=Text("Tom", "Tom")
    )
    template_store.switch_template(shop, publish(replace(BARE_TEMPLATE, items=(*BARE_TEMPLATE.items, noted))), by=lea)
    followed = Environment.objects.get()

    def verdict() -> Verdict:
        return assess([followed], timezone.now())[followed.pk].decision.verdict

    assert verdict() is Verdict.NO_GO
    workflow.move(followed, "people.ruth", Action.SUBMIT, by=lea, version=0)
    submitted = workflow.move(
        followed, "people.tom", Action.SUBMIT, by=lea, version=0, evidence=workflow.Exhibit(note="He said yes.")
    )
    assert verdict() is Verdict.NO_GO
    with pytest.raises(workflow.WorkflowError):
        workflow.move(followed, "people.tom", Action.APPROVE, by=lea, version=submitted.version)
    workflow.move(followed, "people.tom", Action.APPROVE, by=ada, version=submitted.version)
    assert verdict() is Verdict.GO


def test_it_lets_nobody_follow_a_draft(bare: TemplateVersion, shop: Environment) -> None:
    draft = template_store.start_draft(bare.template, by=None)

    with pytest.raises(TemplateChangeError, match="publish it first"):
        template_store.switch_template(shop, draft, by=None)

    assert Environment.objects.get().template_version is None


def test_it_shows_only_items_for_the_kind_of_environment(shop: Environment) -> None:
    item = replace(BARE_TEMPLATE.items[0], key="people.tom", applies_to=("staging",))
    version = publish(replace(BARE_TEMPLATE, items=(*BARE_TEMPLATE.items, item)))
    staging = make_environment("staging", kind="staging")
    for environment in (shop, staging):
        template_store.switch_template(environment, version, by=None)

    found = assess([shop, staging], timezone.now())

    assert [len(found[one.pk].standings) for one in (shop, staging)] == [1, 2]


def test_it_reads_the_templates_of_many_environments_in_one_query(db: None) -> None:
    def count(number: int) -> int:
        environments = []
        for place in range(number):
            environment = make_environment(f"e{number}-{place}")
            version = publish(replace(BARE_TEMPLATE, key=f"t{number}-{place}"))
            template_store.switch_template(environment, version, by=None)
            environments.append(Environment.objects.get(pk=environment.pk))
        assigned_template._published.clear()
        with CaptureQueriesContext(
            connection,
        ) as queries:
            found = assess(environments, timezone.now())
        assert all(len(assessment.standings) == 1 for assessment in found.values())
        return len(queries)

    assert count(2) == count(6)


def test_it_turns_stale_what_was_agreed_to_about_another_demand(shop: Environment, lea: User) -> None:
    ours = replace(load_template(), key="ours")
    for key in ("documentation", "local_run", "https.certificates"):
        ours = change_item(ours, replace(ours.item(key), how=Text("Otherwise", "Anders")))
    ours = change_item(ours, replace(ours.item("backup_strategy"), estimate_minutes=500))
    verified = ("documentation", "backup_strategy", "https.certificates", "pwa")
    ItemState.objects.filter(environment=shop, key__in=verified).update(state="verified")

    template_store.switch_template(shop, publish(ours), by=lea)

    states = dict(ItemState.objects.filter(environment=shop).values_list("key", "state"))
    assert states["documentation"] == "stale"
    assert (states["backup_strategy"], states["https.certificates"], states["pwa"]) == ("verified",) * 3
    assert states["local_run"] == "todo"
    event = ItemEvent.objects.get()
    assert (event.key, event.kind, event.from_state, event.to_state) == ("documentation", "age", "verified", "stale")
    assert event.text == "Go-live checklist, version 1 says or demands something else than was agreed to."


def test_it_keeps_what_was_claimed_about_items_that_come_back(bare: TemplateVersion, shop: Environment) -> None:
    ItemState.objects.filter(environment=shop, key="documentation").update(changed_at=timezone.now())

    template_store.switch_template(shop, bare, by=None)
    template_store.switch_template(shop, None, by=None)

    assert ItemState.objects.get(environment=shop, key="documentation").changed_at is not None


def test_it_says_what_a_switch_would_change(shop: Environment) -> None:
    ours = replace(load_template(), key="ours")
    other = change_item(remove_item(ours, "pwa"), replace(ours.item("documentation"), severity=Severity.MUST))
    version = publish(other)

    changes = template_store.compare_with(shop, version)

    assert [item.key for item in changes.removed] == ["pwa"]
    assert [(change.new.key, change.fields) for change in changes.changed] == [("documentation", ("severity",))]
    assert Environment.objects.get().template_version is None
