"""Checklist templates in the browser: looked at, made, exported, followed; writes through the template store only."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.db.models import Count, Prefetch, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_http_methods, require_safe

from readiness.checklists import template_store
from readiness.checklists.assigned_template import read_version
from readiness.checklists.template import Template, list_shipped, load_template
from readiness.checklists.template_store import TemplateChangeError
from readiness.checklists.template_tasks import write_task_list
from readiness.checklists.template_writer import write_template
from readiness.models import ChecklistTemplate, Environment, TemplateVersion
from readiness.template_forms import StartForm, SwitchForm
from readiness.views.language import choose_language

may_see = permission_required("readiness.view_checklisttemplate", raise_exception=True)
may_change = permission_required("readiness.change_checklisttemplate", raise_exception=True)


@may_see
@require_safe
def show_templates(request: HttpRequest) -> HttpResponse:
    """Every template: the shipped one and one's own, with their versions and how many environments follow them."""
    is_active = Q(environments__retired_at__isnull=True)
    versions = TemplateVersion.objects.defer("content").annotate(follower_count=Count("environments", is_active))
    context = {
        "shipped": load_template(),
        "shipped_count": Environment.objects.active().filter(template_version__isnull=True).count(),
        "templates": ChecklistTemplate.objects.prefetch_related(Prefetch("versions", versions)),
        "page": "templates",
    }
    return render(request, "readiness/templates.html", context)


@may_change
@require_http_methods(["GET", "POST"])
def add_template(request: HttpRequest) -> HttpResponse:
    """A new template out of nothing, of the shipped one, of a Markdown task list or of TOML."""
    form = StartForm(request.POST or None, initial={"source": request.GET.get("source", StartForm.EMPTY)})
    if request.method == "POST" and form.is_valid():
        try:
            version = template_store.create_template(form.template, by=person_of(request))
        except TemplateChangeError as error:
            form.add_error(None, str(error))
        else:
            count = len(form.template.items)
            messages.success(request, f"{version.template} is a draft with {count} item{'' if count == 1 else 's'}.")
            return redirect("template_draft", version.template.key)
    context = {"form": form, "page": "templates"}
    return render(request, "readiness/template_add.html", context, status=400 if form.errors else 200)


@may_see
@require_safe
def show_template(request: HttpRequest, template: str, number: int | None = None) -> HttpResponse:
    """What one version says: the one of that number, else the newest that was published, else the draft."""
    content, version = _find_content(template, number)
    context: dict[str, Any] = {
        "template": content,
        "version": version,
        "sections": content.items_by_section(),
        "language": choose_language(request),
        "page": "templates",
    }
    if version is not None:
        context["versions"] = version.template.versions.defer("content")
        context["has_draft"] = any(one.is_draft for one in context["versions"])
    followed = Environment.objects.active().filter(template_version=version)
    context["followers"] = followed if version is None or not version.is_draft else ()
    context["environments"] = Environment.objects.active().exclude(pk__in=[one.pk for one in context["followers"]])
    return render(request, "readiness/template.html", context)


@may_see
@require_safe
def show_template_item(request: HttpRequest, template: str, key: str, number: int | None = None) -> HttpResponse:
    """One item of a template with its why and how."""
    content, version = _find_content(template, number)
    try:
        item = content.item(key)
    except KeyError:
        raise Http404 from None
    context = {
        "template": content,
        "version": version,
        "item": item,
        "section": content.section(item.section),
        "language": choose_language(request),
        "page": "templates",
    }
    return render(request, "readiness/template_item.html", context)


@may_see
@require_safe
def export_template(request: HttpRequest, template: str, number: int | None = None) -> HttpResponse:
    """A version as a file: TOML, or with ?format=markdown a task list in the language of the page."""
    content, _ = _find_content(template, number)
    if request.GET.get("format") == "markdown":
        text, kind, suffix = write_task_list(content, choose_language(request)), "text/markdown", "md"
    else:
        text, kind, suffix = write_template(content), "application/toml", "toml"
    name = f"{content.key}.{suffix}"
    return HttpResponse(
        text,
        content_type=f"{kind}; charset=utf-8",
        headers={"Content-Disposition": content_disposition_header(True, name) or "attachment"},
    )


@may_change
@require_http_methods(["GET", "POST"])
def switch_environment(request: HttpRequest, slug: str) -> HttpResponse:
    """Shows what another checklist would change for an environment, and lets it follow that."""
    environment = get_object_or_404(Environment.objects.select_related("template_version__template"), slug=slug)
    versions = {
        str(version.pk): version
        for version in TemplateVersion.objects.filter(state=TemplateVersion.State.PUBLISHED)
        .select_related("template")
        .defer("content")
    }
    asked = request.POST if request.method == "POST" else request.GET
    current = str(environment.template_version_id or SwitchForm.SHIPPED)
    data = {"version": asked.get("version", current)}
    form = SwitchForm(data, choices=[(pk, str(version)) for pk, version in versions.items()])
    if not form.is_valid():
        return render(
            request, "readiness/environment_template.html", {"environment": environment, "form": form}, status=400
        )
    chosen = versions.get(form.cleaned_data["version"])
    if request.method == "POST":
        template_store.switch_template(environment, chosen, by=person_of(request))
        messages.success(request, f"{environment.name} follows {chosen or 'the shipped checklist'}.")
        return redirect("environment", slug)
    context = {
        "environment": environment,
        "form": form,
        "current": environment.template_version,
        "chosen": chosen,
        "is_other": form.cleaned_data["version"] != current,
        "changes": template_store.compare_with(environment, chosen),
        "language": choose_language(request),
        "page": "templates",
    }
    return render(request, "readiness/environment_template.html", context)


def _find_content(key: str, number: int | None) -> tuple[Template, TemplateVersion | None]:
    """A template's content and its version; the shipped template has no versions."""
    if key in list_shipped():
        content = load_template(key)
        if number is not None and number != content.version:
            raise Http404
        return content, None
    versions = TemplateVersion.objects.select_related("template").filter(template__key=key)
    if number is not None:
        versions = versions.filter(number=number)
    version = versions.order_by("-state", "-number").first()  # published comes after draft
    if version is None:
        raise Http404
    return read_version(version), version


def person_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  the permission decorator has seen to it
    return request.user
