"""Artifacts and manifests in a local store: private, whole or not there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.exceptions import SuspiciousFileOperation

from backups import storage, stores
from backups.errors import ErrorCode, JobError

AT = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_names_every_artifact_anew() -> None:
    first, second = (storage.name_artifact("shop", "main", 7, AT) for _ in range(2))
    assert first != second
    assert first.startswith("shop/20260301T040506Z-main-7-")
    assert first.endswith(".dump.zst.age")


@pytest.mark.parametrize("typed", ["../../etc", "a/b", ".hidden", "tab\tand\nline", ""])
def test_it_builds_no_path_from_what_was_typed(store: Path, typed: str) -> None:
    path = storage.artifact_path(storage.name_artifact(typed, typed, 1, AT))
    assert path.parent.parent == store.resolve()


def test_it_refuses_names_that_lead_out_of_the_store(store: Path) -> None:
    with pytest.raises(SuspiciousFileOperation):
        storage.artifact_path("../elsewhere")


def test_it_gives_an_artifact_its_name_only_when_it_is_sealed(store: Path) -> None:
    with storage.new_artifact("shop/a.age") as artifact:
        artifact.file.write(b"half")
        assert not artifact.path.exists()
        assert mode(artifact.part) == 0o600
        artifact.file.write(b" and half")
        artifact.seal()
    assert artifact.path.read_bytes() == b"half and half"
    assert not artifact.part.exists()
    assert mode(artifact.path) == 0o600
    assert mode(store) == mode(store / "shop") == 0o700


def test_it_leaves_nothing_of_an_artifact_that_was_not_sealed(store: Path) -> None:
    with pytest.raises(ZeroDivisionError), storage.new_artifact("shop/a.age") as artifact:
        artifact.file.write(b"half")
        raise ZeroDivisionError
    assert list((store / "shop").iterdir()) == []


def test_it_never_writes_over_a_part_of_somebody_else(store: Path) -> None:
    with storage.new_artifact("shop/a.age"), pytest.raises(JobError), storage.new_artifact("shop/a.age"):
        pass


def test_it_knows_a_manifest_again_and_notices_a_changed_one(store: Path) -> None:
    storage.store_directory()
    (store / "shop").mkdir()
    sha256 = storage.write_manifest("shop/a.age", {"id": 1, "tables": {"public.ä": 2}})
    storage.check_manifest("shop/a.age", sha256)
    path = storage.manifest_path("shop/a.age")
    assert mode(path) == 0o600
    path.write_bytes(path.read_bytes().replace(b"2", b"3"))
    with pytest.raises(JobError, match="not what was written") as changed:
        storage.check_manifest("shop/a.age", sha256)
    assert changed.value.code == ErrorCode.ARTIFACT_DAMAGED
    path.unlink()
    with pytest.raises(JobError, match="missing") as missing:
        storage.check_manifest("shop/a.age", sha256)
    assert missing.value.code == ErrorCode.ARTIFACT_MISSING


def test_it_says_where_a_missing_artifact_should_be(store: Path) -> None:
    with pytest.raises(JobError, match=r"store/shop/a\.age is missing") as caught:
        storage.open_artifact("shop/a.age")
    assert caught.value.code == ErrorCode.ARTIFACT_MISSING


def test_it_deletes_an_artifact_with_all_that_belongs_to_it(store: Path) -> None:
    (store / "shop").mkdir(parents=True)
    for name in ("a.age", "a.age.part", "a.age.manifest.json", "a.age.manifest.json.part", "b.age"):
        (store / "shop" / name).touch()
    storage.delete_artifact("shop/a.age")
    storage.delete_artifact("shop/a.age")
    storage.delete_artifact("")
    assert [path.name for path in (store / "shop").iterdir()] == ["b.age"]


def test_it_says_when_the_store_cannot_be_made(store: Path) -> None:
    store.write_text("a file is in the way")
    with pytest.raises(JobError, match="backup store") as caught:
        stores.local_store().free_bytes()
    assert caught.value.code == ErrorCode.STORE_FAILED
