"""Runs every benchmark one after the other and sums up which kept their promises: `python -m bench [NAME...]`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
SCRIPTS = ("http", "tls", "headers", "storing", "tick", "worker", "postgres_health", "growth", "backups", "stores")


def main() -> None:
    names = sys.argv[1:] or [name for name in SCRIPTS if (FOLDER / f"{name}.py").exists()]
    unknown = [name for name in names if name not in SCRIPTS]
    if unknown:
        print(f"There is no benchmark called {unknown[0]}; there are: {', '.join(SCRIPTS)}.", file=sys.stderr)
        raise SystemExit(2)
    missed = []
    for name in names:
        status = subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=FOLDER.parent, check=False).returncode
        if status:
            missed.append(name)
        print(flush=True)
    print(f"Missed or broken: {', '.join(missed)}." if missed else "Every promise was kept.")
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
