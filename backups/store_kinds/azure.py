"""Azure Blob Storage through django-storages; writes blobs."""

from __future__ import annotations

from typing import IO, Any, cast

from azure.core.exceptions import AzureError, ResourceNotFoundError, ServiceRequestError, ServiceResponseError
from storages.backends.azure_storage import AzureStorage

from portal.secrets import resolve_reference

ERRORS = (AzureError,)
UNREACHABLE = (ServiceRequestError, ServiceResponseError)
CHUNK_BYTES = 4 * 1024 * 1024


def build(
    container: str, prefix: str = "", account: str = "", account_key: str = "", connection_string: str = ""
) -> AzureStorage:
    """The backend, by an account and its key or by a connection string. Raises SecretError."""
    return AzureStorage(
        azure_container=container,
        location=prefix.strip("/"),
        account_name=account or None,
        account_key=resolve_reference(account_key) or None,
        connection_string=resolve_reference(connection_string) or None,
        # One block at a time keeps the memory constant.
        upload_max_conn=1,
        client_options={
            "max_block_size": CHUNK_BYTES,
            "max_single_put_size": CHUNK_BYTES,
            "max_chunk_get_size": CHUNK_BYTES,
            "max_single_get_size": CHUNK_BYTES,
        },
        overwrite_files=True,
    )


def open_stream(storage: Any, name: str) -> IO[bytes]:
    """The blob's bytes as they come. Raises FileNotFoundError."""
    try:
        return cast("IO[bytes]", _Download(storage.client.download_blob(storage._get_valid_path(name))))
    except ResourceNotFoundError:
        raise FileNotFoundError(name) from None


class _Download:
    def __init__(self, download: Any) -> None:
        self._download = download

    def read(self, size: int = -1) -> bytes:
        return bytes(self._download.read(size))

    def close(self) -> None:
        return
