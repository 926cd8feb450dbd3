"""Starts the private cluster again when it dies under a running portal (the kernel's OOM killer, kill -9)."""

import threading
from collections.abc import Callable

from portal.embedded_postgres import Cluster, ClusterError

WATCH_SECONDS = 2.0
PATIENCE_SECONDS = 30.0


class ClusterWatch:
    """Looks after the cluster in a thread from `start` to `stop`; ``say`` gets a sentence when it acts."""

    def __init__(self, cluster: Cluster, say: Callable[[str], None]) -> None:
        self._cluster, self._say = cluster, say
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when nothing will be started any more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        pause = WATCH_SECONDS
        while not self._over.wait(pause):
            if self._cluster.is_running():
                pause = WATCH_SECONDS
                continue
            try:
                self._cluster.start()
            except ClusterError as error:
                self._say(f"The database server died and does not start: {error}")
                pause = PATIENCE_SECONDS
            else:
                self._say("The database server died and was started again.")
