"""Files attached to items: few harmless types, limited in size, kept in STORAGES["default"]."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import PurePath
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone

from readiness.checklists.workflow.errors import WorkflowError
from readiness.checklists.workflow.events import append
from readiness.checklists.workflow.items import find_item
from readiness.models import Attachment, Environment, ItemEvent

NAME_LENGTH = 150
FILES_PER_ITEM = 50
# By ending: what such a file begins with, where that is known.
TYPES: dict[str, tuple[bytes, ...]] = {
    ".pdf": (b"%PDF-",),
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".gif": (b"GIF87a", b"GIF89a"),
    ".webp": (b"RIFF",),
    ".txt": (),
    ".log": (),
    ".md": (),
    ".csv": (),
    ".json": (),
}
_ODD = re.compile(r"[^\w .()+-]")


class AttachmentError(WorkflowError):
    """A file that is not taken; the message is one sentence."""


def attach(environment: Environment, key: str, file: UploadedFile[bytes], *, by: AbstractBaseUser) -> Attachment:
    """Keeps a file with an item. Raises AttachmentError when it is too large, empty, or of a type that is not taken."""
    find_item(environment, key)
    limit = settings.ATTACHMENT_MAX_MB * 1_000_000
    if (file.size or 0) > limit:
        raise AttachmentError(f"A file has at most {settings.ATTACHMENT_MAX_MB} MB.")
    name = _clean_name(file.name or "")
    data = file.read(limit + 1)
    _require_type(name, data)
    if Attachment.objects.filter(environment=environment, key=key).count() >= FILES_PER_ITEM:
        raise AttachmentError(f"An item has at most {FILES_PER_ITEM} files.")
    path = default_storage.save(f"attachments/{environment.pk}/{uuid4().hex}", ContentFile(data))
    try:
        with transaction.atomic():
            attachment = Attachment.objects.create(
                environment=environment,
                key=key,
                name=name,
                path=path,
                bytes=len(data),
                sha256=sha256(data).hexdigest(),
                added_by_id=by.pk,
                added_by_name=by.get_username(),
                at=timezone.now(),
            )
            detail = {"attachment": attachment.pk, "sha256": attachment.sha256, "bytes": attachment.bytes}
            append(environment, key, ItemEvent.Kind.ATTACH, by, text=name, detail=detail)
    except BaseException:
        default_storage.delete(path)
        raise
    return attachment


def read_attachment(attachment: Attachment) -> bytes | None:
    """The file, or None when the storage has lost it or it is not what was attached."""
    try:
        with default_storage.open(attachment.path) as file:
            data = bytes(file.read())
    except FileNotFoundError:
        return None
    return data if sha256(data).hexdigest() == attachment.sha256 else None


def forget_attachments(environment: Environment) -> None:
    """Deletes the files of an environment that is about to go."""
    for attachment in Attachment.objects.filter(environment=environment):
        default_storage.delete(attachment.path)
        attachment.delete()


def _clean_name(name: str) -> str:
    """The name without a path and without what could trick a reader or a header."""
    last = PurePath(name.replace("\\", "/")).name
    stem, suffix = PurePath(last).stem, PurePath(last).suffix.lower()
    return _ODD.sub("_", stem)[: NAME_LENGTH - len(suffix)].strip() + suffix


def _require_type(name: str, data: bytes) -> None:
    suffix = PurePath(name).suffix
    if suffix not in TYPES:
        known = ", ".join(sorted(ending[1:] for ending in TYPES))
        raise AttachmentError(f"Files of this type are not taken; those are: {known}.")
    if not data:
        raise AttachmentError("The file is empty.")
    beginnings = TYPES[suffix]
    if beginnings and not data.startswith(beginnings):
        raise AttachmentError(f"This is not a {suffix[1:]} file, whatever its name says.")
    if not beginnings:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            raise AttachmentError(f"A {suffix[1:]} file has to be text in UTF-8.") from None
