"""`manage.py password`: gives the account `admin` a new password; writes auth's users."""

import sys
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError

from portal.embedded_postgres import ClusterError
from portal.keys import KeyFileError
from portal.local_run import ADMIN_NAME, set_admin_password, start_database
from portal.run_state import RunError


class Command(BaseCommand):
    help = "Sets a new generated password for the first administrator and shows it once."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            start_database()
            password = set_admin_password()
        except (RunError, ClusterError, KeyFileError) as error:
            self.stderr.write(str(error))
            sys.exit(1)
        except DatabaseError:
            self.stderr.write("The database has no accounts yet: run `make run` or `make setup` first.")
            sys.exit(1)
        self.stdout.write(f"Sign in as {ADMIN_NAME} with the password {password} (shown once).")
