"""Google Cloud Storage through django-storages; writes objects."""

from __future__ import annotations

import json
from typing import IO, Any

from google.api_core.exceptions import GoogleAPIError, NotFound, RetryError, ServiceUnavailable
from google.auth.exceptions import GoogleAuthError
from google.oauth2.service_account import Credentials
from requests import RequestException
from storages.backends.gcloud import GoogleCloudStorage

from portal.secrets import resolve_reference

ERRORS = (GoogleAPIError, GoogleAuthError, RequestException)
UNREACHABLE = (RequestException, RetryError, ServiceUnavailable)
CHUNK_BYTES = 8 * 1024 * 1024


def build(bucket: str, prefix: str = "", project: str = "", credentials: str = "") -> GoogleCloudStorage:
    """The backend. ``credentials`` is the JSON of a service account; without it Google's own search decides.

    Raises SecretError, or ValueError when the JSON is no service account's.
    """
    found = None
    if credentials:
        try:
            found = Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                json.loads(resolve_reference(credentials))
            )
        except ValueError:
            raise ValueError("The credentials are not the JSON key of a service account.") from None
    return GoogleCloudStorage(
        bucket_name=bucket,
        location=prefix.strip("/"),
        project_id=project or None,
        credentials=found,
        blob_chunk_size=CHUNK_BYTES,
        file_overwrite=True,
    )


def open_stream(storage: Any, name: str) -> IO[bytes]:
    """The object's bytes as they come. Raises FileNotFoundError."""
    blob = storage.bucket.get_blob(storage._normalize_name(name))
    if blob is None:
        raise FileNotFoundError(name)
    try:
        stream: IO[bytes] = blob.open("rb", chunk_size=CHUNK_BYTES)
    except NotFound:
        raise FileNotFoundError(name) from None
    return stream
