"""Which template an environment's checklist follows; reads published versions, each once per process."""

from __future__ import annotations

from collections.abc import Iterable

from readiness.checklists.template import load_template, parse_draft
from readiness.checklists.template_values import Template
from readiness.models import Environment, TemplateVersion

_MOST_KEPT = 200
# Published versions never change, so what was read once is right for good.
_published: dict[int, Template] = {}


def template_of(environment: Environment) -> Template:
    """The template that this environment follows, with the items that are for its kind."""
    return _find_template(environment.template_version_id).for_environment(environment.kind)


def read_templates(environments: Iterable[Environment]) -> None:
    """Reads what the environments follow, as far as it is not known yet, in one query."""
    followed = {environment.template_version_id for environment in environments}
    if wanted := [pk for pk in followed if pk is not None and pk not in _published]:
        for version in TemplateVersion.objects.filter(pk__in=wanted).select_related("template"):
            read_version(version)


def read_version(version: TemplateVersion) -> Template:
    """What this version says; of a draft, as it is now."""
    if version.is_draft:
        return parse_draft(version.content, version.template.key)
    if version.pk not in _published:
        template = parse_draft(version.content, version.template.key)
        if len(_published) >= _MOST_KEPT:
            _published.clear()
        _published[version.pk] = template
    return _published[version.pk]


def _find_template(version_id: int | None) -> Template:
    if version_id is None:
        return load_template()
    known = _published.get(version_id)
    if known is not None:
        return known
    return read_version(TemplateVersion.objects.select_related("template").get(pk=version_id))
