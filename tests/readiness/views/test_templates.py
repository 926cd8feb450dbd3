"""A team lead makes a checklist in the browser, publishes it and lets an environment follow it; others look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from readiness.checklists import template_store
from readiness.checklists.assigned_template import read_version, template_of
from readiness.checklists.template import Template, Text, load_template, parse_template
from readiness.checklists.template_edits import change_item
from readiness.models import ChecklistTemplate, Environment, TemplateVersion
from readiness.template_forms import PASTE_LENGTH, StartForm
from tests.conftest import SignIn
from tests.readiness.checklists.test_template import BARE
from tests.readiness.pages import read_text

DOCUMENT = Path(__file__).parents[2] / "data" / "go-live-checklist.de.md"
ITEM = {"title_en": "Ask Ruth", "section": "people", "severity": "must", "kind": "manual", "approvals": "0"}
HOSTILE = '<script>alert(1)</script> <img src=x onerror="alert(1)"> [x](javascript:alert(1)) <b>b</b>'


@pytest.fixture
def lead(lea: User, sign_in: SignIn) -> Client:
    return sign_in(lea)


@pytest.fixture
def draft(db: None) -> TemplateVersion:
    """A draft with one section and one item."""
    return template_store.create_template(parse_template(BARE, "bare"), by=None)


def read_draft() -> Template:
    return read_version(TemplateVersion.objects.select_related("template").get(state="draft"))


def send(lead: Client, name: str, *arguments: object, **data: Any) -> Any:
    """Sends a form of the draft as it is now."""
    revision = TemplateVersion.objects.get(state="draft").revision
    return lead.post(reverse(name, args=arguments), {"revision": revision, **data}, follow=True)


def publish(draft: TemplateVersion) -> TemplateVersion:
    template_store.publish_draft(draft, revision=draft.revision, by=None)
    return draft


def test_it_makes_publishes_and_follows_a_small_checklist(lead: Client, shop: Environment) -> None:
    made = lead.post(reverse("add_template"), {"name": "Our own", "source": "empty"}, follow=True)
    assert "Nothing here yet. Items stand in sections" in read_text(made)
    assert "There are no items." in read_text(made)

    send(lead, "add_section", "our-own", title_en="People", title_de="Menschen", why_en="They *matter*.")
    send(lead, "add_item", "our-own", **ITEM)
    send(lead, "add_item", "our-own", **{**ITEM, "title_en": "Look", "how_en": "With **both** eyes", "approvals": "1"})
    page = read_text(send(lead, "add_item", "our-own", **{**ITEM, "title_en": "Wait", "severity": "should"}))
    assert [item.key for item in read_draft().items] == ["people.ask_ruth", "people.look", "people.wait"]
    assert "1 approval" in page

    send(lead, "move_part", "our-own", part="item", key="people.wait", direction="up")
    assert [item.key for item in read_draft().items] == ["people.ask_ruth", "people.wait", "people.look"]
    send(lead, "remove_part", "our-own", part="item", key="people.wait")

    assert "2 items in 1 section" in read_text(lead.get(reverse("publish_draft", args=["our-own"])))
    published = send(lead, "publish_draft", "our-own")
    assert "Version 1 is published" in read_text(published)
    version = TemplateVersion.objects.get()
    assert (version.state, version.published_by_name) == ("published", "lea")

    switch = reverse("environment_template", args=["shop"])
    before = read_text(lead.get(switch, {"version": version.pk}))
    assert "Now: the shipped checklist" in before
    assert "Added" in before
    assert "Removed" in before
    assert template_of(Environment.objects.get()) is load_template()
    after = lead.post(switch, {"version": version.pk}, follow=True)
    assert after.redirect_chain == [(reverse("environment", args=["shop"]), 302)]
    assert [item.key for item in template_of(Environment.objects.get()).items] == ["people.ask_ruth", "people.look"]
    assert "Ask Ruth" in read_text(after)
    assert "Database created" not in read_text(after)
    assert lead.get(reverse("item", args=["shop", "people.look"])).status_code == 200
    assert "<strong>both</strong>" in lead.get(reverse("item", args=["shop", "people.look"])).content.decode()
    assert lead.get(reverse("item", args=["shop", "postgresql.database_created"])).status_code == 404


def test_it_makes_a_template_of_a_pasted_document(lead: Client) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")

    made = lead.post(
        reverse("add_template"), {"name": "Before go-live", "source": "markdown", "text": text}, follow=True
    )

    assert "Before go-live is a draft with 28 items." in read_text(made)
    assert len(read_draft().items) == 28
    assert read_draft().items[0].title.en == "Database erstellt (Render/Supabase)"
    send(lead, "publish_draft", "before-go-live")
    assert TemplateVersion.objects.get().state == "published"


def test_it_copies_the_shipped_checklist(lead: Client) -> None:
    lead.post(reverse("add_template"), {"source": "shipped"})

    assert read_draft() == replace(load_template(), key="own-go-live")


def test_it_takes_a_template_in_toml(lead: Client) -> None:
    lead.post(reverse("add_template"), {"source": "toml", "text": BARE, "key": "other", "name": "Other"})

    assert (read_draft().key, read_draft().title.en, read_draft().items[0].key) == ("other", "Other", "people.ruth")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"source": "empty"}, "Give the checklist a name."),
        ({"source": "markdown", "name": "x"}, "Paste the text that the checklist is made of."),
        ({"source": "markdown", "text": "- [ ] a"}, "Give the checklist a name."),
        ({"source": "markdown", "name": "x", "text": "no tasks"}, "There is no task list in this text"),
        ({"source": "markdown", "name": "x", "text": "- [ ] a\n" * 501}, "There are 501 tasks"),
        ({"source": "markdown", "name": "x", "text": "x" * (PASTE_LENGTH + 1)}, "Paste at most 200,000 characters."),
        ({"source": "toml", "text": "[template\n"}, "The template is not valid TOML"),
        ({"source": "toml", "text": BARE.replace("must", "urgent")}, "item &quot;people.ruth&quot;: severity"),
        ({"source": "toml", "text": "x" * 400_001}, "at most 400000 characters"),
        ({"source": "empty", "name": "🚨"}, "Give a key"),
        ({"source": "empty", "name": "x", "key": "Two Words"}, "Use lower-case letters, digits and single dashes."),
        ({"source": "empty", "name": "x", "key": "go-live"}, "The key go-live is taken by the portal itself."),
        ({"source": "empty", "name": "Bare"}, "already exists"),
        ({"source": "nonsense", "name": "x"}, "Select a valid choice"),
    ],
)
def test_it_says_what_is_wrong_with_a_start(
    lead: Client, draft: TemplateVersion, data: dict[str, str], sentence: str
) -> None:
    answer = lead.post(reverse("add_template"), data)

    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert ChecklistTemplate.objects.get() == draft.template


def test_it_changes_an_item(lead: Client, draft: TemplateVersion) -> None:
    page = lead.get(reverse("change_item", args=["bare", "people.ruth"])).content.decode()
    assert 'value="Ask Ruth"' in page

    send(
        lead,
        "change_item",
        "bare",
        "people.ruth",
        **{
            **ITEM,
            "title_de": "Ruth fragen",
            "kind": "hybrid",
            "rule": "postgres.answers",
            "evidence": ["url", "file"],
            "applies_to": ["production"],
            "approvals": "2",
            "valid_days": "30",
            "per_release": "on",
            "estimate_minutes": "5",
            "why_en": "Because",
        },
    )

    item = read_draft().item("people.ruth")
    assert item.title == Text("Ask Ruth", "Ruth fragen")
    assert item.why == Text("Because", "Because")
    assert (item.kind, item.rule, item.approvals, item.valid_days) == ("hybrid", "postgres.answers", 2, 30)
    assert (item.evidence, item.applies_to, item.per_release) == (("url", "file"), ("production",), True)
    # What is shown again is what was stored.
    again = lead.get(reverse("change_item", args=["bare", "people.ruth"]))
    form = again.context["form"]
    assert form.initial["evidence"] == ["url", "file"]
    assert form.initial["why_de"] == ""
    assert again.content.decode().count("checked") == 4


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"title_en": ""}, "This field is required."),
        ({"title_en": "x" * 201}, "at most 200 characters"),
        ({"rule": "postgres.answers"}, "A manual item has no rule"),
        ({"kind": "automatic"}, "Choose the facts that verify it"),
        ({"kind": "automatic", "rule": "postgres.answers", "approvals": "1"}, "must not have &quot;approvals&quot;"),
        ({"evidence": ["probe"]}, "must not want the evidence &quot;probe&quot;"),
        ({"section": "elsewhere"}, "Select a valid choice"),
        ({"rule": "no.such", "kind": "hybrid"}, "Select a valid choice"),
        ({"approvals": "3"}, "Select a valid choice"),
        ({"valid_days": "0"}, "greater than or equal to 1"),
        ({"why_en": "x" * 20_001}, "at most 20000 characters"),
        ({"why_en": "a\x07b"}, "holds a control character"),
    ],
)
def test_it_says_what_is_wrong_with_an_item(
    lead: Client, draft: TemplateVersion, data: dict[str, Any], sentence: str
) -> None:
    answer = send(lead, "change_item", "bare", "people.ruth", **{**ITEM, "title_en": "Typed", **data})

    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert read_draft().item("people.ruth").title.en == "Ask Ruth"


def test_it_lets_the_second_of_two_people_look_first(lead: Client, draft: TemplateVersion, ada: User) -> None:
    stale = {"revision": draft.revision, **ITEM, "title_en": "Mine"}
    template_store.change_draft(
        draft, lambda old: change_item(old, replace(old.items[0], title=Text("Theirs", "Theirs"))), revision=1, by=ada
    )
    url = reverse("change_item", args=["bare", "people.ruth"])

    refused = lead.post(url, stale)

    assert refused.status_code == 400
    assert "ada has changed this draft in the meantime; your change was not saved." in read_text(refused)
    assert 'value="Mine"' in refused.content.decode()
    assert read_draft().items[0].title.en == "Theirs"
    lead.post(url, {**stale, "revision": refused.context["version"].revision})
    assert read_draft().items[0].title.en == "Mine"


@pytest.mark.parametrize("name", ["move_part", "remove_part"])
def test_it_moves_and_removes_nothing_that_has_changed(lead: Client, draft: TemplateVersion, name: str) -> None:
    for revision in ("0", "", "x", "9" * 30):
        answer = lead.post(
            reverse(name, args=["bare"]), {"revision": revision, "part": "item", "key": "people.ruth"}, follow=True
        )
        assert "in the meantime" in read_text(answer)
    assert lead.post(reverse(name, args=["bare"]), {"part": "planet"}).status_code == 404
    assert "There is no gone in this draft any more." in read_text(send(lead, name, "bare", part="item", key="gone"))
    assert read_draft().items[0].key == "people.ruth"


def test_it_changes_a_draft_as_text(lead: Client, draft: TemplateVersion) -> None:
    text = lead.get(reverse("draft_text", args=["bare"])).context["form"].initial["text"]
    send(lead, "draft_text", "bare", text=text.replace("Ask Ruth", "Ask Tom"))
    assert read_draft().items[0].title.en == "Ask Tom"

    line = text.splitlines().index('severity = "must"') + 1
    for wrong, sentence in (
        (text.replace('severity = "must"', "severity ="), f"line {line},"),
        (text.replace("manual", "magic"), "item &quot;people.ruth&quot;: kind &quot;magic&quot; is not one of"),
        (text.replace('key = "bare"', 'key = "other"'), "says that its key is &quot;other&quot;"),
    ):
        answer = send(lead, "draft_text", "bare", text=wrong)
        assert answer.status_code == 400
        assert sentence in answer.content.decode()
    assert read_draft().items[0].title.en == "Ask Tom"


def test_it_changes_name_introduction_and_sections(lead: Client, draft: TemplateVersion) -> None:
    send(lead, "draft_about", "bare", title_en="Better", title_de="Besser", intro_en="Hello")
    send(lead, "change_section", "bare", "people", title_en="Persons", why_de="Darum")
    send(lead, "add_section", "bare", title_en="Law")
    send(lead, "move_part", "bare", part="section", key="law", direction="up")

    found = read_draft()
    assert (found.title, found.intro) == (Text("Better", "Besser"), Text("Hello", "Hello"))
    assert [section.title.en for section in found.sections] == ["Law", "Persons"]
    assert found.sections[1].why == Text("Darum", "Darum")

    send(lead, "remove_part", "bare", part="section", key="people")
    assert [section.key for section in read_draft().sections] == ["law"]
    assert read_draft().items == ()


def test_it_asks_for_a_section_before_items(lead: Client) -> None:
    lead.post(reverse("add_template"), {"name": "Empty", "source": "empty"})

    answer = lead.get(reverse("add_item", args=["empty"]), follow=True)

    assert answer.redirect_chain == [(reverse("add_section", args=["empty"]), 302)]


def test_it_publishes_nothing_that_is_wrong(lead: Client, draft: TemplateVersion) -> None:
    send(lead, "remove_part", "bare", part="item", key="people.ruth")

    page = lead.get(reverse("publish_draft", args=["bare"]))
    answer = send(lead, "publish_draft", "bare")

    assert "Section “people” has no items." in read_text(page).replace('"people"', "“people”")
    assert 'name="revision"' not in page.content.decode()
    assert "has no items" in read_text(answer)
    assert TemplateVersion.objects.get().is_draft


def test_it_starts_shows_and_deletes_the_next_draft(lead: Client, draft: TemplateVersion) -> None:
    publish(draft)
    started = lead.post(reverse("start_draft", args=["bare"]), follow=True)
    assert "draft of version 2" in read_text(started)
    assert "has a draft already" in read_text(lead.post(reverse("start_draft", args=["bare"]), follow=True))

    send(lead, "change_item", "bare", "people.ruth", **{**ITEM, "title_en": "Ask Tom", "severity": "should"})
    page = read_text(lead.get(reverse("publish_draft", args=["bare"])))
    assert "What differs from version 1" in page
    assert "has to be claimed anew" in page
    assert "severity" in page

    asked = lead.get(reverse("delete_draft", args=["bare"]))
    assert "Version 1 stays as it is published." in read_text(asked)
    assert TemplateVersion.objects.count() == 2
    seen = asked.context["version"].revision
    lead.post(reverse("delete_draft", args=["bare"]), {"revision": seen})
    assert TemplateVersion.objects.get().number == 1
    assert lead.get(reverse("template_draft", args=["bare"])).status_code == 404
    assert lead.post(reverse("delete_draft", args=["bare"])).status_code == 404


def test_it_deletes_no_draft_that_nobody_has_seen(lead: Client, draft: TemplateVersion) -> None:
    seen = lead.get(reverse("delete_draft", args=["bare"])).context["version"].revision
    send(lead, "change_item", "bare", "people.ruth", **{**ITEM, "title_en": "Ask Tom"})

    for revision in ("", seen):
        answer = lead.post(reverse("delete_draft", args=["bare"]), {"revision": revision}, follow=True)
        assert "Ask Tom" in read_text(answer)
    assert TemplateVersion.objects.get().is_draft


def test_it_shows_versions_and_their_items(
    lead: Client, draft: TemplateVersion, sam: User, otto: User, sign_in: SignIn
) -> None:
    publish(draft)
    for url in (
        reverse("templates"),
        reverse("template", args=["bare"]),
        reverse("template_version", args=["bare", 1]),
        reverse("template_version_item", args=["bare", 1, "people.ruth"]),
        reverse("template", args=["go-live"]),
        reverse("template_version", args=["go-live", 1]),
        reverse("template_item", args=["go-live", "https.certificates"]),
    ):
        for person in (lead, sign_in(otto)):
            assert person.get(url).status_code == 200, url
        assert sign_in(sam).get(url).status_code == 403
    for url in (
        reverse("template", args=["no-such"]),
        reverse("template_version", args=["bare", 2]),
        reverse("template_version", args=["go-live", 2]),
        reverse("template_item", args=["go-live", "no.such"]),
    ):
        assert lead.get(url).status_code == 404, url
    page = sign_in(otto).get(reverse("template", args=["bare"])).content.decode()
    assert "New draft" not in page
    assert "Let it follow" not in page


def test_it_exports_files_that_can_be_taken_back(lead: Client, draft: TemplateVersion) -> None:
    publish(draft)
    toml = lead.get(reverse("export_template_version", args=["bare", 1]))
    assert toml["Content-Disposition"] == 'attachment; filename="bare.toml"'
    assert parse_template(toml.content.decode(), "bare") == read_version(draft)

    shipped = lead.get(reverse("export_template", args=["go-live"]))
    assert parse_template(shipped.content.decode(), "go-live") == load_template()

    markdown = lead.get(reverse("export_template", args=["go-live"]), {"format": "markdown", "lang": "de"})
    assert markdown["Content-Disposition"] == 'attachment; filename="go-live.md"'
    assert markdown.content.decode().count("\n- [ ] ") == len(load_template().items)
    assert "- [ ] Database erstellt\n" in markdown.content.decode()


def test_it_keeps_hostile_texts_harmless(lead: Client, shop: Environment) -> None:
    source = f"# {HOSTILE}\n\n- [ ] {HOSTILE}\n\n  {HOSTILE}\n"
    made = lead.post(reverse("add_template"), {"name": HOSTILE, "key": "bad", "source": "markdown", "text": source})
    assert made.status_code == 302
    send(lead, "publish_draft", "bad")
    version = TemplateVersion.objects.get()
    key = read_version(version).items[0].key
    lead.post(reverse("environment_template", args=["shop"]), {"version": version.pk})
    lead.post(reverse("start_draft", args=["bad"]))
    pages = [
        reverse("templates"),
        reverse("template", args=["bad"]),
        reverse("template_version_item", args=["bad", 1, key]),
        reverse("template_draft", args=["bad"]),
        reverse("change_item", args=["bad", key]),
        reverse("draft_text", args=["bad"]),
        reverse("publish_draft", args=["bad"]),
        reverse("environment", args=["shop"]),
        reverse("item", args=["shop", key]),
        reverse("environment_template", args=["shop"]),
        "/",
    ]
    for url in pages:
        answer = lead.get(url)
        assert answer.status_code == 200, url
        page = answer.content.decode()
        assert "alert(1)" in page or url == "/", url
        for danger in ("<script>alert", "<img src=x", "<b>b</b>", 'href="javascript:'):
            assert danger not in page, (url, danger)


def test_it_previews_markdown_without_harm(lead: Client, otto: User, sign_in: SignIn) -> None:
    answer = lead.post(reverse("preview_markdown"), {"why_en": f"**bold** {HOSTILE}"})

    assert "<strong>bold</strong>" in answer.content.decode()
    assert "<script" not in answer.content.decode()
    assert "<img" not in answer.content.decode()
    assert "javascript:" not in answer.content.decode().replace("](javascript:alert(1))", "")
    assert sign_in(otto).post(reverse("preview_markdown"), {"why_en": "x"}).status_code == 403


def test_it_refuses_to_follow_what_is_not_published(lead: Client, draft: TemplateVersion, shop: Environment) -> None:
    url = reverse("environment_template", args=["shop"])

    for wrong in (str(draft.pk), "999999", "x", ""):
        assert lead.get(url, {"version": wrong}).status_code == 400
        assert lead.post(url, {"version": wrong}).status_code == 400
    assert Environment.objects.get().template_version is None


def test_it_says_that_there_is_nothing_yet(lead: Client) -> None:
    assert "Nothing of your own yet." in read_text(lead.get(reverse("templates")))


def test_it_counts_the_same_queries_for_many_templates(lead: Client, db: None) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert lead.get(reverse("templates")).status_code == 200
        return len(queries)

    lead.get(reverse("templates"))
    before = count()
    for number in range(5):
        publish(template_store.create_template(replace(parse_template(BARE, "bare"), key=f"t{number}"), by=None))
    # The versions are fetched as soon as there are templates.
    assert count() == before + 1
    for number in range(5, 9):
        publish(template_store.create_template(replace(parse_template(BARE, "bare"), key=f"t{number}"), by=None))
    assert count() == before + 1


def test_it_offers_each_start() -> None:
    assert {value for value, _ in StartForm.base_fields["source"].choices} == {"empty", "shipped", "markdown", "toml"}  # type: ignore[attr-defined]
