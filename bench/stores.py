"""How much memory a copy into a remote store takes, whatever its size; prints a table.

Run as `python -m bench.stores [MEGABYTES]`; the default is 400 MB. A backup of that size is copied into an S3 server
on loopback (nanio, which keeps objects as files) and read back. The libraries of S3 are loaded before: what is measured
is what the copy itself adds to its worker.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.ground import portal_on_scratch_cluster
from bench.promises import Promises

MEGABYTES = int(sys.argv[1]) if len(sys.argv) > 1 else 400


def main() -> None:
    from tests.servers.object_stores import nanio_server

    with tempfile.TemporaryDirectory(prefix="preflight-bench-stores-") as folder, nanio_server(Path(folder)) as server:
        os.environ.update(S3_KEY=server.access_key, S3_SECRET=server.secret_key)
        os.environ["BACKUP_STORES"] = (
            f'offsite = {{kind = "s3", bucket = "bench", endpoint = "{server.endpoint}", region = "us-east-1", '
            'access_key = "env:S3_KEY", secret_key = "env:S3_SECRET"}'
        )
        with portal_on_scratch_cluster():
            bench()


def bench() -> None:
    from backups import stores
    from bench.backups import PeakMemory

    offsite: Any = stores.open_store("offsite")
    offsite._storage.bucket.create()
    offsite.put("bench/first.dump.zst.age", io.BytesIO(os.urandom(20_000_000)))
    offsite.read_bytes("bench/first.dump.zst.age")
    copy = make_backup()
    promises = Promises(f"Stores: a copy of {MEGABYTES} MB to S3 and back")
    from backups import copying

    began = time.perf_counter()
    with PeakMemory(with_children=False) as memory:  # the only child is the server
        done = copying.copy(copy.pk)
    seconds = time.perf_counter() - began
    if done is None or done.state != "done":
        raise SystemExit(done.error if done else "the copy did not run")
    promises.at_most("memory on top of the worker", memory.peak_mb, 80, " MB")
    promises.note(f"{seconds:.1f} s, {2 * MEGABYTES / seconds:,.0f} MB/s, written, read back and hashed")
    promises.finish()


def make_backup() -> Any:
    """A backup whose artifact holds noise: what is copied is encrypted, and looks the same."""
    from backups import storage, stores
    from backups.models import Backup, BackupCopy

    name, hashed = "bench/noise.dump.zst.age", hashlib.sha256()
    with storage.new_artifact(name) as new:
        for _ in range(MEGABYTES):
            block = os.urandom(1_000_000)
            hashed.update(block)
            new.file.write(block)
        new.seal()
    manifest = {"sha256": hashed.hexdigest()}
    backup = Backup.objects.create(
        state="done",
        artifact=name,
        bytes=MEGABYTES * 1_000_000,
        sha256=hashed.hexdigest(),
        manifest_sha256=storage.write_manifest(name, manifest),
        stores=stores.list_stores(),
    )
    assert json.loads(stores.local_store().read_bytes(name + storage.MANIFEST)) == manifest
    BackupCopy.objects.create(backup=backup, store="local", state="done")
    return BackupCopy.objects.create(backup=backup, store="offsite")


if __name__ == "__main__":
    main()
