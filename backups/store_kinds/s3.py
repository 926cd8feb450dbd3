"""S3 and what speaks like it, through django-storages; writes objects, lists and aborts uploads that broke off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import IO, Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError
from storages.backends.s3 import S3Storage

from portal.secrets import resolve_reference

ERRORS = (Boto3Error, BotoCoreError, ClientError)
UNREACHABLE = (NoConnectionError, HTTPClientError)
CHUNK_BYTES = 8 * 1024 * 1024


class LockingS3Storage(S3Storage):  # type: ignore[misc]
    """Locks every object that it writes for so many days, where the store was given a number of days."""

    def __init__(self, lock_days: int = 0, lock_mode: str = "GOVERNANCE", **options: Any) -> None:
        super().__init__(**options)
        self.lock_days, self.lock_mode = lock_days, lock_mode

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_object_parameters(name)
        if self.lock_days:
            until = datetime.now(UTC) + timedelta(days=self.lock_days)
            parameters |= {"ObjectLockMode": self.lock_mode, "ObjectLockRetainUntilDate": until}
        return parameters


def build(
    bucket: str,
    prefix: str = "",
    endpoint: str = "",
    region: str = "",
    addressing: str = "auto",
    ca_file: str = "",
    access_key: str = "",
    secret_key: str = "",
    lock_days: int = 0,
    lock_mode: str = "GOVERNANCE",
) -> LockingS3Storage:
    """The backend; without keys boto3 looks where it always looks (its environment, a role). Raises SecretError."""
    return LockingS3Storage(
        lock_days=lock_days,
        lock_mode=lock_mode,
        bucket_name=bucket,
        location=prefix.strip("/"),
        endpoint_url=endpoint or None,
        region_name=region or None,
        verify=ca_file or None,
        access_key=resolve_reference(access_key) or None,
        secret_key=resolve_reference(secret_key) or None,
        # Not every server knows the newer checksums; what was stored is read back and hashed anyway. A lock needs one.
        client_config=Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": addressing},
            request_checksum_calculation="when_supported" if lock_days else "when_required",
            response_checksum_validation="when_required",
        ),
        # One part at a time: constant memory, and a source that stops ends the upload at once.
        transfer_config=TransferConfig(
            use_threads=False, multipart_threshold=CHUNK_BYTES, multipart_chunksize=CHUNK_BYTES
        ),
        file_overwrite=True,
    )


def open_stream(storage: Any, name: str) -> IO[bytes]:
    """The object's bytes as they come. Raises FileNotFoundError."""
    try:
        body: IO[bytes] = storage.bucket.Object(storage._normalize_name(name)).get()["Body"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            raise FileNotFoundError(name) from None
        raise
    return body


def abort_uploads(storage: Any, *, name: str = "", begun_before: datetime | None = None) -> int:
    """Give up multipart uploads that broke off, which cost money and are in no listing; how many.

    ``name`` is the file they were for, else all of the store's.
    """
    client = storage.connection.meta.client
    key = storage._normalize_name(name) if name else ""
    prefix = key or (f"{storage.location}/" if storage.location else "")
    found = client.get_paginator("list_multipart_uploads").paginate(Bucket=storage.bucket_name, Prefix=prefix)
    aborted = 0
    for upload in [each for page in found for each in page.get("Uploads", ())]:
        # Not every server heeds the prefix, and what is not the store's must not be touched.
        if not upload["Key"].startswith(prefix) or (key and upload["Key"] != key):
            continue
        if begun_before is None or upload["Initiated"] < begun_before:
            client.abort_multipart_upload(Bucket=storage.bucket_name, Key=upload["Key"], UploadId=upload["UploadId"])
            aborted += 1
    return aborted
