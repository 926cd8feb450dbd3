"""Screenshots: the newest run's are kept, the ones before go, and nothing else can be read through them."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone
from pytest_django.fixtures import Settings

from readiness import claims, evidence, tasks
from readiness.models import Endpoint, Environment, ProbeSchedule, ProbeState
from readiness.probes.browser_presence import find_chromium, has_playwright
from tests.servers.web import Answer, serve_site

PNG = b"\x89PNG\r\n\x1a\n"
NUMBER = 987_654


def list_names() -> list[str]:
    return [one.name for one in evidence.list_screenshots(NUMBER)]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, settings: Settings) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {**settings.STORAGES["default"], "OPTIONS": {"location": tmp_path, "file_permissions_mode": 0o600}},
    }


def test_it_keeps_the_newest_pictures_and_deletes_the_ones_before(tmp_path: Path) -> None:
    evidence.keep_screenshots(NUMBER, {"1440x900": PNG + b"wide", "390x844": PNG + b"narrow"})
    first = list_names()
    assert [one.view for one in evidence.list_screenshots(NUMBER)] == ["390x844", "1440x900"]

    evidence.keep_screenshots(NUMBER, {"390x844": PNG + b"narrow", "1440x900": PNG + b"wider"})

    assert list_names()[0] == first[0]
    assert list_names()[1] != first[1]
    assert len(list((tmp_path / "evidence" / str(NUMBER)).iterdir())) == 2
    assert evidence.read_screenshot(NUMBER, list_names()[1]) == PNG + b"wider"


def test_it_keeps_what_there_is_when_a_page_did_not_open() -> None:
    evidence.keep_screenshots(NUMBER, {"390x844": PNG})

    evidence.keep_screenshots(NUMBER, {})

    assert len(list_names()) == 1


def test_it_reads_nothing_but_pictures(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"s3cret")
    evidence.keep_screenshots(NUMBER, {"390x844": PNG})

    for name in ("../../secret.png", "secret.png", "390x844-000000000000.png", "", "390x844-0.png"):
        assert evidence.read_screenshot(NUMBER, name) is None


def test_it_forgets(tmp_path: Path) -> None:
    evidence.keep_screenshots(NUMBER, {"390x844": PNG})

    evidence.forget_screenshots(NUMBER)
    evidence.forget_screenshots(NUMBER + 1)

    assert list_names() == []


@pytest.mark.skipif(not find_chromium() or not has_playwright(), reason="there is no Chromium or Playwright")
def test_it_keeps_what_a_real_browser_saw(shop: Environment, settings: Settings) -> None:
    settings.BROWSER_PROBE = True
    page = b"<!doctype html><title>x</title><meta name=viewport content='width=device-width'><h1>Shop</h1>"
    with serve_site(Answer(body=page)) as site:
        Endpoint.objects.create(environment=shop, role="frontend", url=site.url)
        claims.sync_schedules(timezone.now())
        ProbeSchedule.objects.exclude(kind="browser").delete()

        tasks.run_probes(claims.claim_due(timezone.now()))

    state = ProbeState.objects.get()
    assert state.kind == "browser"
    assert state.data["views"][0]["status_code"] == 200
    assert state.data["local_requests"] == []  # it is served on this machine itself
    kept = evidence.list_screenshots(shop.pk)
    assert [one.view for one in kept] == ["390x844", "1440x900"]
    seen = {view["view"]: view["screenshot"]["sha256"] for view in state.data["views"]}
    for one in kept:
        picture = evidence.read_screenshot(shop.pk, one.name)
        assert picture is not None and picture.startswith(PNG)
        assert one.name == f"{one.view}-{seen[one.view][:12]}.png"
        assert default_storage.exists(f"evidence/{shop.pk}/{one.name}")
