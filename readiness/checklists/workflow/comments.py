"""Comments on items, and whom they mention."""

from __future__ import annotations

import re

from django.contrib.auth.models import AbstractBaseUser, User
from django.db import transaction

from readiness.checklists.workflow.errors import WorkflowError
from readiness.checklists.workflow.events import append
from readiness.checklists.workflow.items import find_item
from readiness.checklists.workflow.texts import TEXT_LENGTH
from readiness.models import Environment, ItemEvent

COMMENT_LENGTH = TEXT_LENGTH
# A user name as Django allows it, without a full stop that ends the sentence.
_MENTION = re.compile(r"(?<![\w@.+-])@([\w.+@-]*[\w+@-])")


def comment(environment: Environment, key: str, text: str, *, by: AbstractBaseUser) -> ItemEvent:
    """Appends a comment to one item, and an event for each person whom it mentions with @name.

    Raises WorkflowError for an unknown item, an empty or an overlong text.
    """
    find_item(environment, key)
    text = text.replace("\x00", "").strip()
    if not text:
        raise WorkflowError("Write something before you send the comment.")
    if len(text) > COMMENT_LENGTH:
        raise WorkflowError(f"A comment has at most {COMMENT_LENGTH} characters; this one has {len(text)}.")
    with transaction.atomic():
        event = append(environment, key, ItemEvent.Kind.COMMENT, by, text=text)
        for person in list_mentioned(text):
            append(
                environment,
                key,
                ItemEvent.Kind.MENTION,
                by,
                detail={"comment": event.pk},
                about=(person.pk, person.username),
            )
    return event


def list_mentioned(text: str) -> list[User]:
    """The active people whom a text mentions, each once."""
    names = {name.lower() for name in _MENTION.findall(text)}
    if not names:
        return []
    return [person for person in User.objects.filter(is_active=True).order_by("pk") if person.username.lower() in names]
