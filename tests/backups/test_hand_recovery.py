"""Recovery without the portal: only its age key, age, zstd and PostgreSQL's own pg_restore."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from backups import pg_binaries, storage
from backups.models import Backup
from portal import keys
from tests.backups.conftest import SHOP_TABLES
from tests.conftest import Server


@pytest.mark.skipif(not shutil.which("age") or not shutil.which("zstd"), reason="age and zstd are not installed")
def test_it_is_recovered_by_hand(backup: Backup, server: Server) -> None:
    dsn = server.create_database("by_hand")
    identity = keys.age_identity_path(Path(settings.VAR_DIR))
    pg_restore = pg_binaries.find_client(backup.metadata["server_version_num"] // 10000).pg_restore
    script = 'set -o pipefail; age --decrypt --identity "$1" "$2" | zstd -d | "$3" --exit-on-error --dbname "$4"'
    artifact = storage.artifact_path(backup.artifact)
    ended = subprocess.run(
        ["bash", "-c", script, "-", str(identity), str(artifact), str(pg_restore), dsn],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    with server.connect("by_hand") as restored:
        for table, rows in SHOP_TABLES.items():
            assert restored.execute(f"SELECT count(*) FROM {table}").fetchone() == (rows,)
