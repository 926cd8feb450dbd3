"""The restore runbook, word for word: its commands are run on a real artifact with nothing of the portal's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from backups import pg_binaries, storage
from backups.models import Backup
from portal import keys
from tests.backups.conftest import SHOP_TABLES
from tests.cluster import CLUSTER
from tests.conftest import Server

RUNBOOK = Path(__file__).resolve().parent.parent.parent / "docs" / "how-to" / "restore-runbook.md"
SETUP, IS_WHOLE, KEY_OPENS, LACKS, CREATE, WITH_OWNERS, WITHOUT_OWNERS, COMPARE = range(8)
NEWDB = "by_the_runbook"

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("age", "zstd", "psql"))), reason="age, zstd and psql are not installed"
)


class Night:
    """Three in the morning: a shell, the runbook, and one backup."""

    def __init__(self, backup: Backup) -> None:
        self.blocks = re.findall(r"```bash\n(.*?)```", RUNBOOK.read_text(encoding="utf-8"), re.DOTALL)
        artifact = storage.artifact_path(backup.artifact)
        self.directory = artifact.parent
        major = int(backup.metadata["server_version_num"]) // 10000
        info = CLUSTER.connection()
        self.environment = {
            "PATH": f"{pg_binaries.find_client(major).bin_dir}{os.pathsep}{os.environ['PATH']}",
            "LC_ALL": "C",
            "ARTIFACT": artifact.name,
            "KEY": str(keys.age_identity_path(Path(settings.VAR_DIR))),
            "NEWDB": NEWDB,
            "PGHOST": info.host,
            "PGPORT": str(info.port),
            "PGUSER": info.user,
            "PGPASSWORD": info.password,
        }

    def follow(self, step: int) -> str:
        """What the step prints, both streams; the shell's options are those of the runbook's first step."""
        script = "\n".join(line for line in self.blocks[SETUP].splitlines() if not line.startswith("export"))
        done = subprocess.run(
            ["bash", "-c", f"{script}\n{self.blocks[step]}"],
            cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert step == KEY_OPENS or done.returncode == 0, done.stderr  # pg_restore --list stops reading early
        return done.stdout + done.stderr


@pytest.fixture
def night(backup: Backup, server: Server) -> Night:
    server.drop_database(NEWDB)
    server.made.append(NEWDB)
    return Night(backup)


def test_it_has_the_steps_that_are_tested(night: Night) -> None:
    assert len(night.blocks) == COMPARE + 1
    assert "set -o pipefail" in night.blocks[SETUP]


@pytest.mark.parametrize("step", [WITH_OWNERS, WITHOUT_OWNERS])
def test_it_leads_from_a_file_to_an_equal_database(night: Night, server: Server, step: int) -> None:
    assert ": OK" in night.follow(IS_WHOLE)
    assert "TABLE DATA public orders" in night.follow(KEY_OPENS)
    lacks = night.follow(LACKS)
    assert lacks.count("(0 rows)") == 2
    night.follow(CREATE)
    assert night.follow(step) == ""
    compared = night.follow(COMPARE)
    for table, rows in SHOP_TABLES.items():
        assert re.search(rf"{re.escape(table)} +\| +{rows} \| +{rows} \| t", compared)
    with server.connect() as connection:
        made = connection.execute(
            "SELECT count(DISTINCT (encoding, datcollate, datctype)) FROM pg_database WHERE datname IN (%s, 'shop')",
            [NEWDB],
        ).fetchone()
    assert made == (1,)


def test_it_notices_a_row_that_is_missing(night: Night, server: Server) -> None:
    night.follow(CREATE)
    night.follow(WITH_OWNERS)
    with server.connect(NEWDB) as connection:
        connection.execute("DELETE FROM orders WHERE id = 1")
    assert re.search(r"public\.orders +\| +5000 \| +4999 \| f", night.follow(COMPARE))


def test_it_notices_a_damaged_file(night: Night) -> None:
    artifact = night.directory / night.environment["ARTIFACT"]
    data = bytearray(artifact.read_bytes())
    data[-1] ^= 1
    artifact.write_bytes(data)
    with pytest.raises(AssertionError, match="did NOT match"):
        night.follow(IS_WHOLE)
    with pytest.raises(AssertionError, match="failed to decrypt"):
        night.follow(CREATE)
        night.follow(WITH_OWNERS)
