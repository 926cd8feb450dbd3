"""Drafts of checklist templates in the browser: changed, published, deleted; writes through the template store only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from readiness.checklists import template_store
from readiness.checklists.assigned_template import read_version
from readiness.checklists.template import Template
from readiness.checklists.template_changes import compare_templates
from readiness.checklists.template_check import find_problems
from readiness.checklists.template_edits import (
    add_item,
    add_section,
    change_item,
    change_section,
    move_item,
    move_section,
    remove_item,
    remove_section,
)
from readiness.checklists.template_store import TemplateChangeError
from readiness.checklists.toml_rows import TEXT_LENGTH
from readiness.models import ChecklistTemplate, TemplateVersion
from readiness.template_forms import AboutForm, DraftForm, ItemForm, SectionForm, TextForm
from readiness.views.templates import may_change, person_of

MARKDOWN_FIELDS = ("intro_en", "intro_de", "why_en", "why_de", "how_en", "how_de")
_MOVES = {"item": move_item, "section": move_section}
_REMOVALS = {"item": remove_item, "section": remove_section}


@may_change
@require_POST
def preview_markdown(request: HttpRequest) -> HttpResponse:
    """What a text in Markdown will look like."""
    text = next((request.POST[name] for name in MARKDOWN_FIELDS if name in request.POST), "")
    return render(request, "readiness/_markdown.html", {"text": text[:TEXT_LENGTH]})


@may_change
@require_POST
def start_draft(request: HttpRequest, template: str) -> HttpResponse:
    """A new draft of what was published."""
    row = get_object_or_404(ChecklistTemplate, key=template)
    try:
        template_store.start_draft(row, by=person_of(request))
    except TemplateChangeError as error:
        messages.error(request, str(error))
        return redirect("template", template)
    return redirect("template_draft", template)


@may_change
@require_safe
def show_draft(request: HttpRequest, template: str) -> HttpResponse:
    """A draft with everything that can be done to it, and what keeps it from being published."""
    draft = _find_draft(template)
    content = read_version(draft)
    context = {
        "version": draft,
        "template": content,
        "sections": content.items_by_section(),
        "problems": find_problems(content),
        "published": draft.template.versions.filter(state=TemplateVersion.State.PUBLISHED).exists(),
        "page": "templates",
    }
    return render(request, "readiness/template_draft.html", context)


@may_change
@require_http_methods(["GET", "POST"])
def change_about(request: HttpRequest, template: str) -> HttpResponse:
    """Name and introduction of a draft."""
    draft = _find_draft(template)
    form = AboutForm(request.POST or None, template=read_version(draft), revision=draft.revision)
    if _is_saved(request, draft, form, lambda content: form.change(content)):
        return redirect("template_draft", template)
    return _render_form(request, draft, form, "Name and introduction")


@may_change
@require_http_methods(["GET", "POST"])
def save_section(request: HttpRequest, template: str, key: str = "") -> HttpResponse:
    """Adds a section to a draft, or changes the one called ``key``."""
    draft = _find_draft(template)
    section = next((one for one in read_version(draft).sections if one.key == key), None)
    if key and section is None:
        raise Http404
    form = SectionForm(request.POST or None, section=section, revision=draft.revision)
    change = partial(change_section, key=key) if key else add_section
    if _is_saved(request, draft, form, lambda content: change(content, title=form.title, why=form.why)):
        return redirect("template_draft", template)
    return _render_form(request, draft, form, section.title.en if section else "New section")


@may_change
@require_http_methods(["GET", "POST"])
def save_item(request: HttpRequest, template: str, key: str = "") -> HttpResponse:
    """Adds an item to a draft, or changes the one called ``key``."""
    draft = _find_draft(template)
    content = read_version(draft)
    item = next((one for one in content.items if one.key == key), None)
    if key and item is None:
        raise Http404
    if not content.sections:
        messages.info(request, "Items stand in sections: add a section first.")
        return redirect("add_section", template)
    section = request.GET.get("section", content.sections[0].key)
    form = ItemForm(request.POST or None, template=content, item=item, revision=draft.revision, section=section)
    change = change_item if key else add_item
    if _is_saved(request, draft, form, lambda content: change(content, form.make_item(content))):
        return redirect("template_draft", template)
    title = item.title.en if item else "New item"
    return _render_form(request, draft, form, title, "readiness/template_item_form.html")


@may_change
@require_POST
def move_part(request: HttpRequest, template: str) -> HttpResponse:
    """Moves a section or an item one place up or down."""
    steps = -1 if request.POST.get("direction") == "up" else 1
    return _apply(request, template, _MOVES, lambda move, key: partial(move, key=key, steps=steps))


@may_change
@require_POST
def remove_part(request: HttpRequest, template: str) -> HttpResponse:
    """Removes a section with its items, or an item."""
    return _apply(request, template, _REMOVALS, lambda remove, key: partial(remove, key=key))


@may_change
@require_http_methods(["GET", "POST"])
def change_text(request: HttpRequest, template: str) -> HttpResponse:
    """A whole draft as TOML."""
    draft = _find_draft(template)
    initial = {"text": draft.content, "revision": draft.revision}
    form = TextForm(request.POST or None, initial=initial, key=template)
    if _is_saved(request, draft, form, lambda _: form.template):
        return redirect("template_draft", template)
    return _render_form(request, draft, form, "As text", "readiness/template_text.html")


@may_change
@require_http_methods(["GET", "POST"])
def publish_draft(request: HttpRequest, template: str) -> HttpResponse:
    """Shows what a draft changes, and publishes it."""
    draft = _find_draft(template)
    if request.method == "POST":
        try:
            template_store.publish_draft(draft, revision=_read_revision(request), by=person_of(request))
        except TemplateChangeError as error:
            messages.error(request, str(error))
            return redirect("template_draft", template)
        messages.success(request, f"Version {draft.number} is published. Environments follow it when you say so.")
        return redirect("template", template)
    content = read_version(draft)
    before = draft.template.versions.filter(state=TemplateVersion.State.PUBLISHED).first()
    context = {
        "version": draft,
        "template": content,
        "problems": find_problems(content),
        "before": before,
        "changes": compare_templates(read_version(before), content) if before is not None else None,
        "page": "templates",
    }
    return render(request, "readiness/template_publish.html", context)


@may_change
@require_http_methods(["GET", "HEAD", "POST"])
def delete_draft(request: HttpRequest, template: str) -> HttpResponse:
    """Shows what would be lost, and deletes the draft that was shown."""
    draft = _find_draft(template)
    if request.method == "POST":
        try:
            template_store.delete_draft(draft, revision=_read_revision(request), by=person_of(request))
        except TemplateChangeError as error:
            messages.error(request, str(error))
            return redirect("template_draft" if draft.is_draft else "template", template)
        messages.success(request, f"The draft of {draft.template} is gone.")
        return redirect("templates")
    context = {
        "version": draft,
        "template": read_version(draft),
        "before": draft.template.versions.filter(state=TemplateVersion.State.PUBLISHED).first(),
        "page": "templates",
    }
    return render(request, "readiness/template_delete.html", context)


def _find_draft(key: str) -> TemplateVersion:
    drafts = TemplateVersion.objects.select_related("template").filter(state=TemplateVersion.State.DRAFT)
    return get_object_or_404(drafts, template__key=key)


def _is_saved(
    request: HttpRequest, draft: TemplateVersion, form: DraftForm, change: Callable[[Template], Template]
) -> bool:
    """Whether the form was sent and its change is stored; otherwise the form says what is wrong."""
    if request.method != "POST" or not form.is_valid():
        return False
    try:
        template_store.change_draft(draft, change, revision=form.cleaned_data["revision"], by=person_of(request))
    except TemplateChangeError as error:
        form.add_error(None, str(error))
        return False
    messages.success(request, "Saved.")
    return True


def _render_form(
    request: HttpRequest,
    draft: TemplateVersion,
    form: DraftForm,
    title: str,
    page: str = "readiness/template_form.html",
) -> HttpResponse:
    """The form; after a conflict it applies to the draft as it is by now, once somebody has looked at that."""
    if form.errors and form.data.get("revision") != str(draft.revision):
        data = request.POST.copy()
        data["revision"] = str(draft.revision)
        form.data = data
    context = {"version": draft, "form": form, "title": title, "page": "templates"}
    return render(request, page, context, status=400 if form.errors else 200)


def _apply(request: HttpRequest, template: str, edits: dict[str, Any], make: Callable[[Any, str], Any]) -> HttpResponse:
    """Applies one of ``edits`` to the part that was sent along."""
    draft = _find_draft(template)
    edit = edits.get(request.POST.get("part", ""))
    if edit is None:
        raise Http404
    try:
        change = make(edit, request.POST.get("key", ""))
        template_store.change_draft(draft, change, revision=_read_revision(request), by=person_of(request))
    except TemplateChangeError as error:
        messages.error(request, str(error))
    return redirect("template_draft", template)


def _read_revision(request: HttpRequest) -> int:
    text = request.POST.get("revision", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
