"""Keeps what somebody uploads where nobody else reads it: mode 0600 under var/tmp, no bigger than is allowed."""

from __future__ import annotations

import tempfile
from typing import IO, Any

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload

from backups import imports, leftovers, servers


class PrivateUploadHandler(FileUploadHandler):
    """Every upload goes to a file that vanishes when it is closed, or with the reaper; a too big one is left out."""

    _file: IO[bytes]

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115  the request closes it
            dir=servers.temporary_directory(), prefix=f"{leftovers.owner_mark()}-", suffix=".uploading"
        )

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if start + len(raw_data) > imports.max_bytes():
            self._file.close()
            raise StopUpload
        self._file.write(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile[bytes] | None:
        if self._file.closed:
            return None
        self._file.seek(0)
        return UploadedFile(self._file, self.file_name, self.content_type, file_size, self.charset)

    def upload_interrupted(self) -> None:
        self._file.close()
