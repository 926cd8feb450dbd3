"""Files of items: few types, a limit, and an answer that no browser opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from pytest_django.fixtures import Settings

from readiness.checklists import workflow
from readiness.checklists.workflow import AttachmentError
from readiness.models import Attachment, Environment, ItemEvent
from tests.conftest import SignIn

KEY = "backup_strategy"
PDF = b"%PDF-1.7\n..."


@pytest.fixture(autouse=True)
def _files(settings: Settings, tmp_path: Path) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "files")},
        },
    }


def attach(environment: Environment, by: User, name: str = "plan.pdf", data: bytes = PDF) -> Attachment:
    return workflow.attach(environment, KEY, SimpleUploadedFile(name, data), by=by)


def test_a_file_is_kept_and_told(shop: Environment, lea: User) -> None:
    attachment = attach(shop, lea)

    assert workflow.read_attachment(attachment) == PDF
    assert (attachment.name, attachment.bytes, attachment.added_by_name) == ("plan.pdf", len(PDF), "lea")
    event = ItemEvent.objects.get()
    assert (event.kind, event.text, event.detail["sha256"]) == ("attach", "plan.pdf", attachment.sha256)


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("page.html", b"<script>", "Files of this type are not taken"),
        ("logo.svg", b"<svg/>", "Files of this type are not taken"),
        ("run.exe", b"MZ", "Files of this type are not taken"),
        ("plan.pdf", b"<html>", "This is not a pdf file"),
        ("photo.PNG", b"GIF89a", "This is not a png file"),
        ("notes.txt", b"\xff\xfe\x00", "has to be text in UTF-8"),
        ("notes.txt", b"", "The file is empty"),
        ("noending", b"x", "Files of this type are not taken"),
    ],
)
def test_it_refuses_what_is_not_harmless(shop: Environment, lea: User, name: str, data: bytes, sentence: str) -> None:
    with pytest.raises(AttachmentError, match=sentence):
        attach(shop, lea, name, data)

    assert not Attachment.objects.exists()
    assert not ItemEvent.objects.exists()


def test_it_refuses_what_is_too_large(shop: Environment, lea: User, settings: Settings) -> None:
    settings.ATTACHMENT_MAX_MB = 1
    attach(shop, lea, "fits.txt", b"x" * 1_000_000)

    with pytest.raises(AttachmentError, match="at most 1 MB"):
        attach(shop, lea, "large.txt", b"x" * 1_000_001)


def test_a_name_is_only_a_name(shop: Environment, lea: User) -> None:
    file = SimpleUploadedFile("x.txt", b"x")
    # As of a client that does not clean it.
    object.__setattr__(file, "_name", '..\\..\\a"\r\n;b/../evil\x00".TXT')

    assert workflow.attach(shop, KEY, file, by=lea).name == "evil__.txt"


def test_nothing_is_left_of_a_file_whose_row_cannot_be_stored(
    shop: Environment, lea: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **fields: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("readiness.checklists.workflow.attachments.append", fail)
    with pytest.raises(RuntimeError):
        attach(shop, lea)

    assert default_storage.listdir(f"attachments/{shop.pk}")[1] == []
    assert not Attachment.objects.exists()


def test_it_is_saved_and_never_shown(shop: Environment, lea: User, sam: User, sign_in: SignIn) -> None:
    attachment = attach(shop, lea, "über.md", b"<script>alert(1)</script>")
    url = reverse("attachment", args=["shop", attachment.pk])

    answer = sign_in(lea).get(url)

    assert answer.content == b"<script>alert(1)</script>"
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"].startswith("attachment; filename")
    assert "sandbox" in answer["Content-Security-Policy"]
    assert sign_in(sam).get(url).status_code == 403
    assert sign_in(lea).get(reverse("attachment", args=["other", attachment.pk])).status_code == 404


def test_a_file_that_was_changed_or_lost_is_not_served(shop: Environment, lea: User, sign_in: SignIn) -> None:
    attachment = attach(shop, lea)
    url = reverse("attachment", args=["shop", attachment.pk])
    Path(default_storage.path(attachment.path)).write_bytes(b"%PDF-something else")
    assert sign_in(lea).get(url).status_code == 404
    default_storage.delete(attachment.path)
    assert sign_in(lea).get(url).status_code == 404


def test_it_is_attached_and_submitted_in_the_browser(shop: Environment, lea: User, sign_in: SignIn) -> None:
    browser = sign_in(lea)
    browser.post(reverse("attach_to_item", args=["shop", KEY]), {"file": SimpleUploadedFile("a.txt", b"a")})
    answer = browser.post(
        reverse("move_item", args=["shop", KEY]),
        {"action": "submit", "version": 0, "file": SimpleUploadedFile("plan.pdf", PDF)},
        follow=True,
    )

    assert answer.status_code == 200
    state = shop.item_states.get(key=KEY)
    assert state.state == "submitted"
    assert state.evidence_file is not None
    assert state.evidence_file.name == "plan.pdf"
    assert "plan.pdf" in answer.content.decode()
    refused = browser.post(reverse("attach_to_item", args=["shop", KEY]), {"file": SimpleUploadedFile("a.exe", b"a")})
    assert refused.status_code == 400
    assert "Files of this type are not taken" in refused.content.decode()
    assert browser.post(reverse("attach_to_item", args=["shop", KEY]), {}).status_code == 400
