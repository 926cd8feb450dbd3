"""A real PgBouncer in front of a real server: the probe works through it and says that it is there."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from readiness.probes.base import Status, TargetOptions
from readiness.probes.postgres import PostgresProbe
from tests.cluster import CLUSTER
from tests.conftest import Server
from tests.servers.probing import LOCAL, find, probe_now

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
CONFIG = """
[databases]
pooled = host=127.0.0.1 port={port} dbname=pooled user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
"""

pytestmark = [
    pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed"),
    pytest.mark.usefixtures("any_minor"),
]


@pytest.fixture
def pooled_url(server: Server, tmp_path: Path) -> Iterator[str]:
    server.create_database("pooled", "CREATE TABLE t (id int)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own_port = free.getsockname()[1]
    info = CLUSTER.connection()
    config = tmp_path / "pgbouncer.ini"
    config.touch(mode=0o600)
    config.write_text(CONFIG.format(port=info.port, user=info.user, password=info.password, own_port=own_port))
    account = None
    if os.geteuid() == 0:  # PgBouncer does not run as root; it is given the open file instead of a way to it
        account = pwd.getpwnam("nobody").pw_uid
        os.chown(config, account, -1)
    with config.open() as opened:
        process = subprocess.Popen(
            [str(PGBOUNCER), "-q", f"/proc/self/fd/{opened.fileno()}"], user=account, pass_fds=[opened.fileno()]
        )
    try:
        deadline = time.monotonic() + 20
        while True:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", own_port)) == 0:
                    break
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield f"postgresql://anyone@127.0.0.1:{own_port}/pooled"
    finally:
        process.terminate()
        process.wait()


def test_it_probes_through_a_pooler_and_sees_it(server: Server, pooled_url: str) -> None:
    probe, options = PostgresProbe(), TargetOptions(timeout_seconds=20, address_policy=LOCAL)
    for _ in range(2):  # the second time on a connection that the pooler has used before
        result = probe_now(probe, probe.parse_target(pooled_url, options))
        assert (result.status, result.reason, result.data["unread"]) == (Status.PASS, None, {})
        assert result.data["pooling"]["seen"] is True
        assert find(result, "pooling").status is Status.PASS
    direct = probe_now(probe, probe.parse_target(server.url("pooled"), options))
    assert direct.data["pooling"]["how"] != "a pooler answers on this address"
