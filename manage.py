#!/usr/bin/env python3
"""Django's command line for Preflight; reads argv, writes what the command writes."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured

from portal.cluster_home import ClusterError
from portal.keys import KeyFileError

EXIT_COULD_NOT_TELL = 3


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except (ClusterError, KeyFileError, ImproperlyConfigured) as error:
        # The settings could not be read: whoever typed the command needs the sentence, not where it was raised.
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_COULD_NOT_TELL)


if __name__ == "__main__":
    main()
