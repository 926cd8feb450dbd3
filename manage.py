#!/usr/bin/env python3
"""Django's command line for Preflight; reads argv, writes what the command writes."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured

from portal.cluster_home import ClusterError
from portal.keys import KeyFileError

EXIT_COULD_NOT_TELL = 3
EXIT_INTERRUPTED = 130  # as a program that SIGINT ends
EXIT_BROKEN_PIPE = 141  # likewise SIGPIPE


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except BrokenPipeError:
        # Whoever read the answer has seen enough of it, as head does; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_BROKEN_PIPE)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(EXIT_INTERRUPTED)
    except (ClusterError, KeyFileError, ImproperlyConfigured) as error:
        # The settings could not be read: whoever typed the command needs the sentence, not where it was raised.
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_COULD_NOT_TELL)


if __name__ == "__main__":
    main()
