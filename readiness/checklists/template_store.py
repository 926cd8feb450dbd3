"""The only writer of checklist templates, of their versions, and of which one an environment follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from portal import audit
from readiness.checklists import workflow
from readiness.checklists.assigned_template import read_version, template_of
from readiness.checklists.template import TemplateError, list_shipped, load_template, parse_draft
from readiness.checklists.template_changes import TemplateChanges, compare_templates
from readiness.checklists.template_check import find_problems
from readiness.checklists.template_values import Template
from readiness.checklists.template_writer import write_template
from readiness.models import ChecklistTemplate, Environment, TemplateVersion

CONTENT_LENGTH = 400_000
# Addresses of the portal's own, where a template's page would be.
RESERVED_KEYS = frozenset({"add", "new", "preview"})


class TemplateChangeError(Exception):
    """What was asked for is not possible; the message is one sentence for the person who asked."""


class DraftConflictError(TemplateChangeError):
    """Somebody else has changed the draft since it was read."""


def create_template(content: Template, *, by: AbstractBaseUser | None) -> TemplateVersion:
    """A template under the content's key, with the content as its first draft. Raises TemplateChangeError."""
    if content.key in RESERVED_KEYS or content.key in list_shipped():
        raise TemplateChangeError(f"The key {content.key} is taken by the portal itself.")
    template = ChecklistTemplate(key=content.key, name_en=content.title.en, name_de=content.title.de)
    try:
        template.full_clean()
    except ValidationError as error:
        raise TemplateChangeError(next(iter(error.message_dict.values()))[0]) from None
    try:
        with transaction.atomic():
            template.save()
            version = _add_draft(template, content, 1, by)
            _record("made the template", by, template.name_en)
    except IntegrityError:
        raise TemplateChangeError(f"There is already a template with the key {content.key}.") from None
    return version


def start_draft(
    template: ChecklistTemplate, *, by: AbstractBaseUser | None, content: Template | None = None
) -> TemplateVersion:
    """A new draft with ``content``, or with that of the newest published version. Raises TemplateChangeError."""
    newest = template.versions.order_by("-number").first()
    if newest is not None and newest.is_draft:
        raise TemplateChangeError(f"{template.name_en} has a draft already: publish or delete it first.")
    number = 1 if newest is None else newest.number + 1
    if content is None:
        assert newest is not None  # noqa: S101  a template goes with its only draft
        content = read_version(newest)
    try:
        with transaction.atomic():
            version = _add_draft(template, content, number, by)
            _record("started a draft of", by, template.name_en)
    except IntegrityError:
        raise TemplateChangeError(f"{template.name_en} has a draft already: publish or delete it first.") from None
    return version


def change_draft(
    version: TemplateVersion,
    change: Callable[[Template], Template],
    *,
    revision: int,
    by: AbstractBaseUser | None,
) -> Template:
    """Applies ``change`` to the draft as ``revision`` left it; the result has survived writing and reading.

    Raises DraftConflictError when it is another revision by now, TemplateChangeError when the result is no template.
    """
    if version.revision != revision or not version.is_draft:
        raise _conflict(version)
    try:
        content = _spell(change(read_version(version)), version)
    except KeyError as error:
        raise TemplateChangeError(f"There is no {error.args[0]} in this draft any more.") from None
    changed = TemplateVersion.objects.filter(
        pk=version.pk, revision=revision, state=TemplateVersion.State.DRAFT
    ).update(
        content=content,
        revision=revision + 1,
        changed_at=timezone.now(),
        changed_by_name=_name_of(by),
    )
    if not changed:
        version.refresh_from_db()
        raise _conflict(version)
    version.refresh_from_db()
    return read_version(version)


def publish_draft(version: TemplateVersion, *, revision: int, by: AbstractBaseUser | None) -> None:
    """Freezes the draft for good. Raises TemplateChangeError when something speaks against that."""
    content = read_version(version)
    if problems := find_problems(content):
        raise TemplateChangeError(" ".join(problems))
    now = timezone.now()
    with transaction.atomic():
        changed = TemplateVersion.objects.filter(
            pk=version.pk, revision=revision, state=TemplateVersion.State.DRAFT
        ).update(
            state=TemplateVersion.State.PUBLISHED,
            published_at=now,
            published_by=by.pk if by is not None else None,
            published_by_name=_name_of(by),
        )
        if not changed:
            version.refresh_from_db()
            raise _conflict(version)
        ChecklistTemplate.objects.filter(pk=version.template_id).update(
            name_en=content.title.en, name_de=content.title.de
        )
        _record("published", by, f"{content.title.en}, version {version.number}")
    version.refresh_from_db()


def delete_draft(version: TemplateVersion, *, revision: int, by: AbstractBaseUser | None) -> None:
    """Deletes the draft as ``revision`` left it, and its template when it has no other version.

    Raises TemplateChangeError for a published one, DraftConflictError when it is another revision by now.
    """
    template = version.template
    with transaction.atomic():
        deleted, _ = TemplateVersion.objects.filter(
            pk=version.pk, revision=revision, state=TemplateVersion.State.DRAFT
        ).delete()
        if not deleted:
            version.refresh_from_db()
            if version.is_draft:
                raise _conflict(version)
            raise TemplateChangeError("A published version stays: environments and snapshots refer to it.")
        if not template.versions.exists():
            template.delete()
        _record("deleted the draft of", by, str(template))


def compare_with(environment: Environment, version: TemplateVersion | None) -> TemplateChanges:
    """What would change in the environment's checklist if it followed ``version``, None for the shipped one."""
    after = read_version(version) if version is not None else load_template()
    return compare_templates(template_of(environment), after.for_environment(environment.kind))


def switch_template(
    environment: Environment, version: TemplateVersion | None, *, by: AbstractBaseUser | None
) -> TemplateChanges:
    """Lets the environment follow ``version``, None for the shipped one; returns what that has changed.

    What was claimed about items that stay is kept, also of those that go: they come back as they were. Items that now
    say or demand something else turn stale. Raises TemplateChangeError for a draft.
    """
    if version is not None and version.is_draft:
        raise TemplateChangeError("A draft cannot be followed: publish it first.")
    with transaction.atomic():
        locked = Environment.objects.select_for_update().get(pk=environment.pk)
        changes = compare_with(locked, version)
        if locked.template_version_id == (version.pk if version is not None else None):
            return changes
        locked.template_version = version
        locked.save(update_fields=["template_version"])
        environment.template_version = version
        workflow.start_checklist(locked)
        name = str(version) if version is not None else "The shipped checklist"
        workflow.age_for_template(locked, changes.other_demands, name)
        _record("lets it follow", by, name, environment=locked)
    return changes


def _add_draft(
    template: ChecklistTemplate, content: Template, number: int, by: AbstractBaseUser | None
) -> TemplateVersion:
    version = TemplateVersion(template=template, number=number, changed_at=timezone.now(), changed_by_name=_name_of(by))
    version.content = _spell(content, version)
    version.save()
    return version


def _spell(content: Template, version: TemplateVersion) -> str:
    """The canonical text of ``content`` as this version. Raises TemplateChangeError when it is no template."""
    key = version.template.key
    text = write_template(replace(content, key=key, version=version.number))
    if len(text) > CONTENT_LENGTH:
        raise TemplateChangeError(f"The template is longer than {CONTENT_LENGTH:,} characters.")
    try:
        parse_draft(text, key)
    except TemplateError as error:
        raise TemplateChangeError(str(error)) from None
    return text


def _conflict(version: TemplateVersion) -> DraftConflictError:
    if not version.is_draft:
        return DraftConflictError(f"Version {version.number} was published in the meantime; nothing was changed.")
    return DraftConflictError(
        f"{version.changed_by_name} has changed this draft in the meantime; your change was not saved."
    )


def _name_of(by: AbstractBaseUser | None) -> str:
    return by.get_username() if by is not None else audit.COMMAND_LINE


def _record(action: str, by: AbstractBaseUser | None, subject: str, environment: Environment | None = None) -> None:
    audit.record(action, actor=by, actor_name=audit.COMMAND_LINE, environment=environment, subject=subject)
