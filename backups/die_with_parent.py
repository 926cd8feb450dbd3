"""Launcher, run as a script: asks the kernel to end this process with its parent, then becomes the program given.

argv: PARENT_PID PROGRAM [ARGUMENT ...]. A preexec_fn would run Python in a forked copy of a threaded process, where a
lock held by a thread that does not exist there blocks for ever.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent_pid, program, *arguments = sys.argv[1:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"{program}: the kernel refused to tie the process to its parent")
    # The parent may have died before the line above; then nothing will tell us.
    if os.getppid() != int(parent_pid):
        sys.exit(f"{program}: the process that started it is gone")
    try:
        os.execv(program, [program, *arguments])  # noqa: S606  argv comes from pg_commands, no shell
    except OSError as error:
        sys.exit(f"{program}: {error.strerror}")


if __name__ == "__main__":
    main()
