"""An SFTP server over one directory, run as ``python -m tests.servers.sftp PORT DIRECTORY``."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import asyncssh


async def serve(port: int, directory: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    password = os.environ["SFTP_TEST_PASSWORD"]

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, given: str) -> bool:
            return (username, given) == ("backup", password)

    class Files(asyncssh.SFTPServer):
        def __init__(self, channel: Any) -> None:
            super().__init__(channel, chroot=os.fsencode(directory / "files"))

    public = key.export_public_key().decode().strip()
    (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(public.split()[:2])}\n")
    await asyncssh.create_server(Server, "127.0.0.1", port, server_host_keys=[key], sftp_factory=Files)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
