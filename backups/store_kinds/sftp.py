"""A directory on a machine that speaks SFTP, through django-storages; writes files of mode 0600."""

from __future__ import annotations

from typing import IO, Any, cast

import paramiko
from storages.backends.sftpstorage import SFTPStorage

from portal.secrets import resolve_reference

ERRORS = (paramiko.SSHException, EOFError)
UNREACHABLE = (EOFError, ConnectionError, TimeoutError, paramiko.ssh_exception.NoValidConnectionsError)


class KnownHostSftpStorage(SFTPStorage):  # type: ignore[misc]
    """Connects only to a host whose key is in the file; django-storages itself would believe any."""

    def _connect(self) -> None:
        client = paramiko.SSHClient()
        client.load_host_keys(self.known_host_file)
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        client.connect(self.host, **self.params)
        self._ssh = client
        self._sftp = client.open_sftp()


def build(
    host: str, user: str, path: str, known_hosts: str, port: int = 22, key_file: str = "", password: str = ""
) -> KnownHostSftpStorage:
    """The backend. ``known_hosts`` is a file as ssh-keyscan prints it. Raises SecretError."""
    parameters: dict[str, Any] = {
        "port": port,
        "username": user,
        "timeout": 10,
        "banner_timeout": 10,
        "auth_timeout": 10,
        "allow_agent": False,
        "look_for_keys": False,
    }
    if key_file:
        parameters["key_filename"] = key_file
    if password:
        parameters["password"] = resolve_reference(password)
    return KnownHostSftpStorage(
        host=host, params=parameters, root_path=path, known_host_file=known_hosts, file_mode=0o600, dir_mode=0o700
    )


def open_stream(storage: Any, name: str) -> IO[bytes]:
    """The file's bytes as they are asked for. Raises FileNotFoundError."""
    return cast("IO[bytes]", storage._read(name))
