"""Keeps what a browser saw of an environment's page; reads and writes files of STORAGES["default"]."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

_FOLDER = "evidence"
_NAME = re.compile(r"(?P<view>[0-9]{2,5}x[0-9]{2,5})-[0-9a-f]{12}\.png")


@dataclass(frozen=True)
class Screenshot:
    """A kept picture: its view ("390x844"), the name of its file, and when it was taken."""

    view: str
    name: str
    taken_at: datetime


def keep_screenshots(environment_id: int, screenshots: Mapping[str, bytes]) -> None:
    """Keeps PNGs by view and deletes the ones before; a run without any leaves the last page that opened."""
    if not screenshots:
        return
    before = _list_names(environment_id)
    names = {f"{view}-{sha256(png).hexdigest()[:12]}.png": png for view, png in screenshots.items()}
    for name, png in names.items():
        # The same picture is written again: the time of its file is when it was seen last.
        default_storage.delete(_path(environment_id, name))
        default_storage.save(_path(environment_id, name), ContentFile(png))
    for name in set(before) - set(names):
        default_storage.delete(_path(environment_id, name))


def list_screenshots(environment_id: int) -> list[Screenshot]:
    """What is kept of one environment, narrow views first."""
    found = [
        Screenshot(match["view"], match[0], default_storage.get_modified_time(_path(environment_id, match[0])))
        for match in map(_NAME.fullmatch, _list_names(environment_id))
        if match is not None
    ]
    return sorted(found, key=lambda one: int(one.view.partition("x")[0]))


def read_screenshot(environment_id: int, name: str) -> bytes | None:
    """The PNG of that name, or None; only names that keep_screenshots gives are looked for."""
    if not _NAME.fullmatch(name):
        return None
    try:
        with default_storage.open(_path(environment_id, name)) as file:
            return bytes(file.read())
    except FileNotFoundError:
        return None


def forget_screenshots(environment_id: int) -> None:
    """Deletes what is kept of one environment."""
    for name in _list_names(environment_id):
        default_storage.delete(_path(environment_id, name))


def _list_names(environment_id: int) -> list[str]:
    try:
        return default_storage.listdir(f"{_FOLDER}/{environment_id}")[1]
    except FileNotFoundError:
        return []


def _path(environment_id: int, name: str) -> str:
    return f"{_FOLDER}/{environment_id}/{name}"
