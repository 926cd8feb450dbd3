"""Ties the life of a process to its parent's (Linux), so that kill -9 of a parent leaves no orphan; reads getppid."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(expected_parent: int | None = None) -> None:
    """Asks the kernel to kill this process when the thread that started it ends; elsewhere than Linux does nothing.

    ``expected_parent`` closes the race: a parent that died before the request is not the parent any more.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if expected_parent is not None and os.getppid() != expected_parent:
        os._exit(1)


def tie_forks_to_this_process() -> None:
    """From now on every child that Python forks dies with its own parent, and so do their children."""
    parent_pids: list[int] = []

    def remember() -> None:
        parent_pids[:] = [os.getpid()]

    def tie() -> None:
        die_with_parent(parent_pids[0])

    os.register_at_fork(before=remember, after_in_child=tie)
