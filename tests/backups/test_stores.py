"""Stores that are not a directory: S3 (moto, nanio), Google Cloud Storage (an emulator) and SFTP (asyncssh)."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from backups import store_report, stores
from backups.errors import ErrorCode, JobError
from backups.models import StoreState
from backups.store_kinds import s3
from backups.stores import RemoteStore
from tests.backups.store_settings import BUCKET, s3_client, s3_text, use_stores
from tests.servers.object_stores import ObjectServer, gcs_server, moto_server, nanio_server, sftp_server

NAME = "shop/20260301T040506Z-main-7-ab.dump.zst.age"


@pytest.fixture(params=["moto", "nanio"])
def s3_server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectServer]:
    with (moto_server if request.param == "moto" else nanio_server)(tmp_path) as server:
        monkeypatch.setenv("S3_KEY", server.access_key)
        monkeypatch.setenv("S3_SECRET", server.secret_key)
        client: Any = s3_client(server)
        client.create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture
def moto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    with moto_server(tmp_path) as server:
        monkeypatch.setenv("S3_KEY", server.access_key)
        monkeypatch.setenv("S3_SECRET", server.secret_key)
        yield server


@pytest.fixture(params=["moto", "nanio", "gcs", "sftp"])
def remote(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path, settings: Settings
) -> Iterator[stores.Store]:
    """A remote store of each kind that there is a server for."""
    serve = {"moto": moto_server, "nanio": nanio_server, "gcs": gcs_server, "sftp": sftp_server}[request.param]
    with serve(tmp_path) as server:
        monkeypatch.setenv("S3_KEY", server.access_key)
        monkeypatch.setenv("S3_SECRET", server.secret_key)
        if request.param == "sftp":
            use_stores(
                settings,
                f'offsite = {{kind = "sftp", host = "127.0.0.1", port = {server.port}, user = "backup", path = "/", '
                f'known_hosts = "{tmp_path / "known_hosts"}", password = "env:S3_SECRET"}}',
            )
        elif request.param == "gcs":
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.endpoint)
            use_stores(settings, 'offsite = {kind = "gcs", bucket = "preflight", prefix = "backups", project = "p"}')
        else:
            client: Any = s3_client(server)
            client.create_bucket(Bucket=BUCKET)
            use_stores(settings, s3_text(server))
        yield stores.open_store("offsite")


def test_it_gives_back_what_was_written(remote: stores.Store) -> None:
    data = os.urandom(20_000_000)  # three parts of a multipart upload
    remote.put(NAME, io.BytesIO(data))
    assert remote.has(NAME)
    hashed = hashlib.sha256()
    with remote.open(NAME) as file:
        while part := file.read(1_000_000):
            hashed.update(part)
    assert hashed.hexdigest() == hashlib.sha256(data).hexdigest()
    assert remote.list_names() == [NAME]
    remote.put(NAME, io.BytesIO(b"again"))
    assert remote.read_bytes(NAME) == b"again"


def test_it_deletes_and_finds_nothing_afterwards(remote: stores.Store) -> None:
    remote.put(NAME, io.BytesIO(b"x"))
    remote.delete(NAME)
    remote.delete(NAME)
    assert not remote.has(NAME)
    assert remote.list_names() == []
    with pytest.raises(JobError, match="is missing") as caught:
        remote.open(NAME)
    assert caught.value.code == ErrorCode.ARTIFACT_MISSING


def test_it_says_in_one_sentence_that_a_store_is_down(s3_server: ObjectServer, store: Path, settings: Settings) -> None:
    use_stores(settings, s3_text(s3_server))
    s3_server.stop()
    with pytest.raises(JobError) as caught:
        stores.open_store("offsite").put(NAME, io.BytesIO(b"x"))
    assert caught.value.code == ErrorCode.STORE_UNREACHABLE
    assert caught.value.sentence.startswith("The backup store offsite (s3://preflight/backups) cannot be reached: ")
    assert s3_server.secret_key not in caught.value.sentence or s3_server.secret_key == "test"


@pytest.mark.django_db
def test_it_says_that_a_key_is_wrong(
    tmp_path: Path, store: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nanio_server(tmp_path) as server:
        monkeypatch.setenv("S3_KEY", server.access_key)
        monkeypatch.setenv("S3_SECRET", "another-key-altogether")
        use_stores(settings, s3_text(server))
        said = store_report.test_store("offsite")
    assert "The backup store offsite (s3://preflight/backups) failed: " in said
    assert "another-key-altogether" not in said
    state = StoreState.objects.get(name="offsite")
    assert (state.is_usable, state.error) == (False, said)


@pytest.mark.django_db
def test_it_tests_a_store_and_leaves_nothing_there(remote: stores.Store) -> None:
    assert store_report.test_store("offsite") == ""
    assert remote.list_names() == []
    report = next(each for each in store_report.read_reports() if each.name == "offsite")
    assert report.state is not None
    assert report.state.is_usable is True
    assert (report.copies, report.error) == (0, "")


def test_it_aborts_the_upload_when_its_source_stops(s3_server: ObjectServer, store: Path, settings: Settings) -> None:
    use_stores(settings, s3_text(s3_server))

    class Stopping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 9_000_000:
                raise OSError("the job is being stopped")
            return super().read(size)

    with pytest.raises(JobError):
        stores.open_store("offsite").put(NAME, Stopping(os.urandom(30_000_000)))
    client: Any = s3_client(s3_server)
    assert client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
    assert stores.open_store("offsite").list_names() == []


def test_it_clears_uploads_that_a_kill_left(s3_server: ObjectServer, store: Path, settings: Settings) -> None:
    client: Any = s3_client(s3_server)
    use_stores(settings, s3_text(s3_server))
    for key in (f"backups/{NAME}", "backups/shop/other.dump.zst.age", "elsewhere/x"):
        client.create_multipart_upload(Bucket=BUCKET, Key=key)
    opened = stores.open_store("offsite")
    if s3_server.access_key != "test":  # moto dates every upload 2010
        assert opened.clear_abandoned(datetime.now(UTC) - timedelta(days=2)) == 0
    opened.clear_partial(NAME)
    assert opened.clear_abandoned(datetime.now(UTC) + timedelta(minutes=1)) == 1
    left = client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    assert [upload["Key"] for upload in left] == ["elsewhere/x"]


def test_it_locks_objects_for_so_many_days(moto: ObjectServer, store: Path, settings: Settings) -> None:
    client: Any = s3_client(moto)
    client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    use_stores(settings, s3_text(moto, lock_days=30, lock_mode="COMPLIANCE"))
    opened = stores.open_store("offsite")
    opened.put(NAME, io.BytesIO(b"x"))
    held = client.head_object(Bucket=BUCKET, Key=f"backups/{NAME}")
    assert held["ObjectLockMode"] == "COMPLIANCE"
    assert timedelta(days=29) < held["ObjectLockRetainUntilDate"] - datetime.now(UTC) < timedelta(days=31)
    version = client.list_object_versions(Bucket=BUCKET)["Versions"][0]["VersionId"]
    with pytest.raises(Exception, match="AccessDenied"):
        client.delete_object(Bucket=BUCKET, Key=f"backups/{NAME}", VersionId=version)

    # moto forgets the lock of what comes in parts, so here what is asked for has to do.
    asked: list[dict[str, Any]] = []
    events = opened._storage.connection.meta.client.meta.events  # type: ignore[attr-defined]
    events.register("provide-client-params.s3.CreateMultipartUpload", lambda params, **_: asked.append(params))
    opened.put(NAME, io.BytesIO(os.urandom(10_000_000)))
    assert [each["ObjectLockMode"] for each in asked] == ["COMPLIANCE"]


def test_it_trusts_no_host_it_does_not_know(
    tmp_path: Path, store: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sftp_server(tmp_path) as server:
        other = tmp_path / "others"
        other.write_text("")
        monkeypatch.setenv("S3_SECRET", server.secret_key)
        use_stores(
            settings,
            f'offsite = {{kind = "sftp", host = "127.0.0.1", port = {server.port}, user = "backup", path = "/", '
            f'known_hosts = "{other}", password = "env:S3_SECRET"}}',
        )
        with pytest.raises(JobError, match="not found in known_hosts"):
            stores.open_store("offsite").list_names()


def test_it_names_the_package_that_is_missing(store: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    use_stores(settings, 'offsite = {kind = "gcs", bucket = "b"}')
    monkeypatch.setitem(__import__("sys").modules, "storages.backends.gcloud", None)
    monkeypatch.delitem(__import__("sys").modules, "backups.store_kinds.gcs", raising=False)
    with pytest.raises(JobError, match=r"needs a package that is not installed: .*requirements-stores\.txt"):
        stores.open_store("offsite")


def test_it_names_the_secret_that_is_missing(store: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3_KEY", raising=False)
    use_stores(settings, 'offsite = {kind = "s3", bucket = "b", access_key = "env:S3_KEY"}')
    with pytest.raises(JobError, match="The environment variable S3_KEY is not set"):
        stores.open_store("offsite")


def test_it_makes_a_backend_of_every_kind(store: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    use_stores(
        settings,
        'azure = {kind = "azure", container = "c", connection_string = "env:AZURE_TEST"}\n'
        'gcs = {kind = "gcs", bucket = "b", project = "p"}\n'
        f'mount = {{kind = "directory", path = "{store}/mount"}}\n',
    )
    connection = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5;EndpointSuffix=core.windows.net"
    monkeypatch.setenv("AZURE_TEST", connection)
    addresses = [stores.open_store(name).address("x") for name in ("azure", "gcs", "mount")]
    assert addresses == ["azure://c/x", "gs://b/x", f"{store}/mount/x"]
    assert isinstance(stores.open_store("azure"), RemoteStore)


def test_it_builds_s3_for_constant_memory() -> None:
    storage = s3.build(bucket="b")
    assert storage.transfer_config.use_threads is False
    assert storage.transfer_config.multipart_chunksize == s3.CHUNK_BYTES
