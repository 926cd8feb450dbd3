"""Stops the portal and its cluster, or deletes everything they made; reads and deletes <var>.

Run as `python -m portal.teardown stop|reset`, without Django: a broken key or setting must not keep anyone from it.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import TextIO

from portal import run_state
from portal.embedded_postgres import Cluster, ClusterError
from portal.keys import KeyFileError

BASE_DIR = Path(__file__).resolve().parent.parent
MADE_BY_US = ("postgres", "keys", "backups", "demo", "files", "log", "run", "static", "tmp")


def main(arguments: list[str]) -> int:
    var_dir = Path(os.environ.get("PORTAL_VAR") or BASE_DIR / "var")
    try:
        match arguments:
            case ["stop"]:
                return stop(var_dir)
            case ["reset"]:
                return reset(var_dir)
    except (run_state.RunError, ClusterError, KeyFileError) as error:
        return _say(str(error), sys.stderr, 1)
    return _say("Use: python -m portal.teardown stop|reset", sys.stderr, 2)


def stop(var_dir: Path) -> int:
    """Stop the portal, what a killed run left, and the cluster."""
    was_running = run_state.stop_run(var_dir)
    was_running = Cluster.locate(var_dir).stop() or was_running
    return _say("Stopped." if was_running else "Nothing was running.", sys.stdout, 0)


def reset(var_dir: Path) -> int:
    """Delete database, keys, backups and logs after a typed yes; other files in the directory stay."""
    cluster = Cluster.locate(var_dir)
    places = [
        str(var_dir),
        *([str(cluster.home.path)] if cluster.home.is_outside and cluster.home.path.exists() else []),
    ]
    sys.stdout.write(f"This deletes the database, the keys, the backups and the logs in {' and '.join(places)}.\n")
    sys.stdout.write("Backups kept elsewhere cannot be read without these keys. Type yes to go on: ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() != "yes":
        return _say("Nothing was deleted.", sys.stdout, 0)
    run_state.stop_run(var_dir)
    cluster.remove()
    for name in MADE_BY_US:
        if (var_dir / name).exists():
            shutil.rmtree(var_dir / name)
    if var_dir.is_dir() and not any(var_dir.iterdir()):
        var_dir.rmdir()
    return _say("Everything was deleted; `make run` starts over.", sys.stdout, 0)


def _say(text: str, stream: TextIO, status: int) -> int:
    stream.write(f"{text}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
